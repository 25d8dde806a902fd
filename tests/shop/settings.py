"""The project's settings with the shop's task functions and queues."""

import socket

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS, RQ_QUEUES

INSTALLED_APPS += ["tests.shop"]
RQ_QUEUES |= dict.fromkeys(("feeds", "reports"), RQ_QUEUES["default"])
for _name in ("high", "low"):
    del RQ_QUEUES[_name]
# No picture shows the name of the machine on which it was taken.
socket.gethostname = lambda: "jobs-1"
