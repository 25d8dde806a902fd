"""Jobs: built from rows, enqueued, withdrawn."""

import copy
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import django_rq
from django.conf import settings
from redis import Redis
from rq.exceptions import DuplicateJobError
from rq.job import JobStatus
from rq.queue import Queue

from tasks import clock, registry
from tasks.broker import limits
from tasks.broker.keys import WAKE_KEY, queue_key, scheduled_key
from tasks.job import COROUTINE, FAILURE_TTL, RESULT_TTL, Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, Task
from tasks.timing.instants import to_score

logger = logging.getLogger(__name__)

OnDisconnect = ScheduledTask.OnDisconnect


def build_job(record: ScheduledTask | Task, job_id: str, connection: Redis) -> Job:
    """Build the job that calls a row's function, without saving it."""
    timeout = timeout_of(record)
    job = Job.create(
        record.function,
        args=record.args,
        kwargs=record.kwargs,
        id=job_id,
        connection=connection,
        origin=record.queue,
        description=record.name,
        timeout=timeout,
        result_ttl=RESULT_TTL,
        failure_ttl=FAILURE_TTL,
        meta=meta_of(record),
        status=JobStatus.SCHEDULED,
    )
    job.marks = marks_of(record)
    return job


def marks_of(record: ScheduledTask | Task) -> dict[str, str]:
    """Return the fields of a row's jobs by which a worker decides whether to take one now.

    Raises UnknownTaskFunction, or InvalidArguments if its function's `limit_key` fails.
    """
    found = [registry.get(record.function).limit(record.args, record.kwargs)]
    if isinstance(record, ScheduledTask) and record.overlap == ScheduledTask.Overlap.WAIT:
        found.append(f"1 {limits.PLACE_OF_SCHEDULE}{record.job_id}")
    marks = {"kind": kind_of(record), "limit": "\n".join(filter(None, found))}
    return {name: value for name, value in marks.items() if value}


def kind_of(record: ScheduledTask | Task) -> str:
    """Return COROUTINE if the runs of a row can go on beside others in one process, else "".

    One that goes on when its worker is cut off can't be suspended alone.
    """
    if isinstance(record, ScheduledTask):
        return kind_of_schedule(record.function, record.on_disconnect, record.isolated)
    return _kind(record.function, None)


def kind_of_schedule(function: str, on_disconnect: str, isolated: bool | None) -> str:
    """Return the kind of a schedule's runs, by these columns of its row."""
    return _kind(function, isolated) if on_disconnect == OnDisconnect.STOP else ""


def _kind(name: str, isolated: bool | None) -> str:
    function = registry.find(name)
    if function is None or not function.is_coroutine:
        return ""
    isolated = function.isolated if isolated is None else isolated
    if isolated is None:
        isolated = bool(getattr(settings, "TASKS_ISOLATED", False))
    return "" if isolated else COROUTINE


def meta_of(record: ScheduledTask | Task) -> dict[str, Any]:
    """Return what the worker has to know of a row when it can't read it: what isn't the default."""
    meta: dict[str, Any] = {}
    if isinstance(record, ScheduledTask):
        if record.isolated is not None:
            meta["isolated"] = record.isolated
        if record.on_disconnect != OnDisconnect.STOP:
            meta["on_disconnect"] = str(record.on_disconnect)
    return meta


def timeout_of(record: ScheduledTask | Task) -> int:
    """Return after how many seconds a row's function is stopped.

    Raises UnknownTaskFunction if no such function is registered.
    """
    function = registry.get(record.function)
    return record.timeout or function.timeout or _queue_timeout(record.queue)


@cache
def _queue_timeout(queue: str) -> int:
    return int(django_rq.get_queue(queue)._default_timeout or Queue.DEFAULT_TIMEOUT)


def enqueue_run(
    schedule: ScheduledTask,
    run_id: RunId,
    connection: Redis,
    *,
    at: datetime | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> None:
    """Put a run's job on its queue, now or later; a job that is there already is left alone.

    `arguments` are the run's own, as its row holds them, if it isn't called with the schedule's.
    """
    if arguments is not None:
        schedule = copy.copy(schedule)
        schedule.args, schedule.kwargs = arguments["args"], arguments["kwargs"]
    _enqueue(build_job(schedule, run_id.job_id, connection), connection, at)


def enqueue_task(task: Task, connection: Redis) -> None:
    """Put a background call's job on its queue, now or at the time for which it is reserved."""
    _enqueue(build_job(task, task.job_id, connection), connection, task.reserved_for)


def withdraw(job_id: str, queue: str, connection: Redis) -> None:
    """Take a waiting job off its queue, or from where it waits for a place."""
    limits.unpark(job_id, connection)
    with connection.pipeline() as pipe:
        pipe.lrem(queue_key(queue), 1, job_id)
        pipe.zrem(scheduled_key(queue), job_id)
        pipe.delete(Job.key_for(job_id))
        pipe.execute()


def _enqueue(job: Job, connection: Redis, at: datetime | None) -> None:
    queue = Queue(job.origin, connection=connection, job_class=Job, serializer=job.serializer)
    try:
        if at is None or at <= clock.now():
            queue.enqueue_job(job, unique=True)
        else:
            # RQ keeps whole seconds: first the next one, then the exact time.
            queue.schedule_job(job, at + timedelta(seconds=1), unique=True)
            connection.zadd(scheduled_key(queue.name), {job.id: to_score(at)}, xx=True)
            wake(connection)
    except DuplicateJobError:
        logger.debug("Job %s is already enqueued.", job.id)


def wake(connection: Redis) -> None:
    """Have the scheduler look now, not only when something is next due."""
    with connection.pipeline() as pipe:
        pipe.lpush(WAKE_KEY, 1)
        pipe.ltrim(WAKE_KEY, 0, 0)
        pipe.execute()
