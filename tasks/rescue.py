"""Finds what was lost: runs whose worker died, jobs that vanished from their queue.

As long as its worker lives, a run has a lease in Redis. What looks lost is taken for lost only
when it did so at every look for a while: after Redis came back empty, all leases are missing.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, cast

from django.db.models import F, QuerySet
from django.utils import timezone
from redis import Redis

from tasks import outcome, projection
from tasks.exceptions import TasksError
from tasks.job import Job
from tasks.models import MAX_TIMEOUT, REASON_LENGTH, RunRecord, ScheduledTaskInstance, Task

logger = logging.getLogger(__name__)

# Seconds that a run's lease holds without its worker renewing it, and between renewals.
LEASE = 15
LEASE_RENEWAL = 5
# How long something has to look lost before it is taken for lost, in seconds.
CERTAINTY = 15.0
# The states of a job that its run's row doesn't know of yet: not tried, or not able to.
UNENDED = (b"queued", b"started", b"scheduled", b"failed")
# Retries that should have been enqueued longer ago than this are given up.
RETRY_MEMORY = timedelta(hours=1)
CHUNK = 500


def lease_key(job_id: str) -> str:
    """Return the key that exists as long as a worker vouches for this job's run."""
    return f"tasks:lease:{job_id}"


def renew_lease(redis: Redis, job_id: str, worker_name: str) -> None:
    """Vouch for a run for another `LEASE` seconds."""
    redis.set(lease_key(job_id), worker_name, ex=LEASE)


class Watch:
    """Remembers since when things look lost, by this process's own clock."""

    def __init__(self) -> None:
        self._since: dict[Any, float] = {}

    def confirmed(self, suspects: Iterable[Any]) -> list[Any]:
        """Return those that have been suspects at every look for `CERTAINTY` seconds."""
        now = time.monotonic()
        self._since = {suspect: self._since.get(suspect, now) for suspect in suspects}
        return [suspect for suspect, since in self._since.items() if now - since >= CERTAINTY]


def close_lost_runs(redis: Redis, watch: Watch) -> None:
    """Close the running runs and calls for which no worker vouches any more, as lost."""
    running: list[RunRecord] = [
        *ScheduledTaskInstance.objects.running().select_related("parent"),
        *Task.objects.filter(status=Task.Status.RUNNING),
    ]
    records = {record.run_job_id: record for record in running}
    leases = redis.mget([lease_key(job_id) for job_id in records]) if records else []
    unleased = [
        job_id for job_id, lease in zip(records, cast(list[Any], leases), strict=True) if not lease
    ]
    for job_id in watch.confirmed(unleased):
        record = records[job_id]
        reason = f"Lost: the worker “{record.worker_name}” died or lost contact."
        if outcome.close(record, "failed", redis, reason=reason):
            logger.warning("Run %s (“%s”) is lost.", job_id, record.name)


def enqueue_lost_jobs(redis: Redis, watch: Watch) -> None:
    """Enqueue again what waits by its row, but is lost in Redis: retries and background calls."""
    cutoff = timezone.now() - timedelta(seconds=CERTAINTY)
    tasks = {
        task.job_id: task
        for task in Task.objects.filter(status__in=Task.WAITING, created__lt=cutoff)
    }
    retries = {
        run.run_id.next_attempt().job_id: run
        for run in _failed_with_tries().select_related("parent")
        if awaits_retry(run)
    }
    queues = {job_id: task.queue for job_id, task in tasks.items()}
    queues |= {job_id: run.parent.queue for job_id, run in retries.items()}
    for job_id in _lost_jobs(queues, redis, watch):
        redis.delete(Job.key_for(job_id))
        if job_id in retries:
            outcome.retry(retries[job_id], redis)
        else:
            _enqueue_again(tasks[job_id], redis)


def _failed_with_tries() -> QuerySet[ScheduledTaskInstance]:
    return ScheduledTaskInstance.objects.filter(
        status=ScheduledTaskInstance.Status.FAILED,
        attempt__lte=F("parent__retries"),
        ended__gt=timezone.now() - RETRY_MEMORY - timedelta(seconds=MAX_TIMEOUT),
    )


def _lost_jobs(queues: dict[str, str], redis: Redis, watch: Watch) -> list[str]:
    """Return those jobs that aren't in Redis, or that were popped from their queue and lost.

    A job that has ended was refused by its row, and isn't lost.
    """
    with redis.pipeline(transaction=False) as pipe:
        for job_id in queues:
            pipe.hget(Job.key_for(job_id), "status")
        statuses = dict(zip(queues, pipe.execute(), strict=True))
    gone = [job_id for job_id, status in statuses.items() if status is None]
    open_jobs = [job_id for job_id, status in statuses.items() if status in UNENDED]
    states = in_flight([(job_id, queues[job_id]) for job_id in open_jobs], redis)
    popped = [job for job, in_flight in zip(open_jobs, states, strict=True) if not in_flight]
    return gone + watch.confirmed(popped)


def awaits_retry(run: ScheduledTaskInstance) -> bool:
    """Tell whether a failed run has another try coming that isn't long overdue."""
    overdue = timezone.now() - RETRY_MEMORY - timedelta(seconds=run.parent.retry_delay)
    return outcome.tries_left(run) and run.ended is not None and run.ended > overdue


def _enqueue_again(task: Task, redis: Redis) -> None:
    try:
        projection.enqueue_task(task, redis)
    except TasksError as error:
        Task.objects.filter(pk=task.pk, status__in=Task.WAITING).update(
            status=Task.Status.FAILED, ended=timezone.now(), reason=str(error)[:REASON_LENGTH]
        )


def in_flight(jobs: Sequence[tuple[str, str]], redis: Redis) -> list[bool]:
    """Tell for each job, given with its queue, whether it is there, kept for later, or leased."""
    with redis.pipeline(transaction=False) as pipe:
        for job_id, queue in jobs:
            pipe.lpos(f"rq:queue:{queue}", job_id)
            pipe.zscore(projection.scheduled_key(queue), job_id)
            pipe.get(lease_key(job_id))
        answers = iter(pipe.execute())
    return [
        any(answer is not None for answer in three) for three in zip(*[answers] * 3, strict=True)
    ]
