"""The settings of processes that tests start: the project's, with the tests' task functions."""

import os

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS, REDIS_URL, RQ_QUEUES

INSTALLED_APPS += ["tests.jobs"]
if "PICKLED_QUEUE" in os.environ:
    # A queue that isn't this app's, as a site has that uses RQ as well.
    RQ_QUEUES[os.environ["PICKLED_QUEUE"]] = {"URL": REDIS_URL}
