"""The settings of the processes under test: those of the tests, changed by the environment."""

import os

from tests.acceptance.proof import kill_points
from tests.process_settings import *  # noqa: F403
from tests.process_settings import LOGGING, RQ_QUEUES

# A case that runs several things side by side gives each its own queue.
LANES = [f"lane-{number}" for number in range(1, 9)]
RQ_QUEUES |= {lane: dict(RQ_QUEUES["default"]) for lane in LANES}

if os.environ.get("PROOF_SUBJECT") == "stock":
    # What a user has who follows the documentation of django-rq and rq-scheduler.
    RQ = {"SCHEDULER_CLASS": "rq_scheduler.Scheduler", "WORKER_CLASS": "rq.Worker"}
    for _queue in RQ_QUEUES.values():
        del _queue["SERIALIZER"]
    # Our checks would refuse them.
    SILENCED_SYSTEM_CHECKS = ["tasks.E002", "tasks.E004"]

# The tests don't wait for a minute until a run counts as lost.
TASKS_LOST_AFTER = 15

LOGGING["formatters"] = {
    "line": {"format": "%(asctime)s %(process)d %(threadName)s %(levelname)s %(name)s: %(message)s"}
}

kill_points.install(os.environ)
