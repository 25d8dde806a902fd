"""The settings of processes that find their Redis by Sentinel; SENTINEL_PORT names it."""

import os

from tests.process_settings import *  # noqa: F403
from tests.process_settings import RQ_QUEUES as BY_ADDRESS

SENTINEL_SERVICE = "shop"
RQ_QUEUES = {
    name: {
        "SENTINELS": [("127.0.0.1", int(os.environ["SENTINEL_PORT"]))],
        "MASTER_NAME": SENTINEL_SERVICE,
        "SERIALIZER": queue["SERIALIZER"],
        "DEFAULT_TIMEOUT": queue["DEFAULT_TIMEOUT"],
    }
    for name, queue in BY_ADDRESS.items()
}
