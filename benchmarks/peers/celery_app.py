"""celery's application."""

import os
from typing import Any

import celery

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
