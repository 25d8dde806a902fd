"""Background calls on a queue with django-rq's `ASYNC: False`: in this process, at once."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError
from rq.job import Retry

from tasks import clock
from tasks.broker.enqueue import build_job
from tasks.broker.keys import lease_key
from tasks.broker.leases import LEASE_RENEWAL_SECONDS, renew_lease
from tasks.job import Job
from tasks.masking import hiding
from tasks.models import Task
from tasks.runs.timeout import Deadline
from tasks.runs.writer import writer

logger = logging.getLogger(__name__)


def runs_at_once(task: Task) -> bool:
    """Return whether a call is to run in the process that makes it, without a worker."""
    config = settings.RQ_QUEUES.get(task.queue, {})
    return task.reserved_for is None and not config.get("ASYNC", True)


def run(task: Task, redis: Redis) -> bool:
    """Run a call here and now; its row says how it ended, and what it raised is not raised.

    Returns False if it can't start now, because the database doesn't answer. Its timeout isn't
    enforced. Raises RedisError, or TasksError if the function isn't registered.
    """
    job = build_job(task, task.job_id, redis)
    job.worker_name = f"{socket.gethostname()}.{os.getpid()}"
    job.started_at = clock.now()
    job.meta["isolated"] = False  # It runs in this process, whatever its function says.
    with _renewing_lease(job), _apart_from_the_run_around_it():
        try:
            # Not in this context: this code may run inside another task function.
            return not isinstance(Context().run(job.perform), Retry)
        except (Exception, SystemExit) as error:
            if job.recorded_error is not error:
                with hiding(job.secret_values):
                    logger.exception("Background call “%s” failed.", task.name)
            return True


@contextmanager
def _renewing_lease(job: Job) -> Iterator[None]:
    """Renew the lease on a job's run as long as the block takes, from a thread."""
    name, redis, ended = str(job.worker_name), job.connection, threading.Event()
    renew_lease(redis, job.id, name)

    def renew() -> None:
        while not ended.wait(LEASE_RENEWAL_SECONDS):
            try:
                renew_lease(redis, job.id, name)
            except RedisError as error:
                logger.warning("The lease of job %s could not be renewed: %s", job.id, error)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        redis.delete(lease_key(job.id))


@contextmanager
def _apart_from_the_run_around_it() -> Iterator[None]:
    """Leave what the worker is told, and the alarm, to the run that makes the call, if any."""
    witness, writer.witness = writer.witness, None
    try:
        with Deadline.none():
            yield
    finally:
        writer.witness = witness
