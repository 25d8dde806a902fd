"""celery's application."""

import os
from typing import Any

import celery

from benchmarks.peers import functions
from benchmarks.stamps import stamp

app = celery.Celery("benchmark", broker=os.environ["REDIS_URL"])
app.conf.update(
    result_backend="django-db",
    task_track_started=True,
    task_serializer="json",
    timezone="UTC",
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task(name="noop")
def noop(*args: Any) -> None:
    """Do nothing but note when."""
    stamp()


@app.task(name="pause")
def pause(seconds: float) -> None:
    """Wait: in a pool of green threads, others go on meanwhile."""
    functions.pause(seconds)
