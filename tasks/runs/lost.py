"""Closes runs whose worker died, and enqueues jobs that were lost."""

import logging
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from django.db import Error
from django.db.models import F, Max, Q
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock, registry
from tasks.broker.enqueue import enqueue_run, enqueue_task
from tasks.broker.in_flight import Waiting, in_flight, keep_started
from tasks.broker.leases import CERTAINTY, LEASE_SECONDS, LeaseProbe, are_held
from tasks.database import CHUNK
from tasks.exceptions import TasksError
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import RunRecord, RunRequest, ScheduledTask, ScheduledTaskInstance, Task
from tasks.reasons import Code, Reason, reason
from tasks.runs import backfill, completion
from tasks.runs.claim import give_up
from tasks.runs.reporting import report_failure
from tasks.runs.retries import RETRY_MEMORY, awaits_retry, retry

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status
# The id of a run's job, and when its lease was last renewed at the database.
Suspect = tuple[str, datetime | None]

# The states of a job that hasn't updated its run's row yet: it hasn't tried, or wasn't able to.
UNENDED = (b"queued", b"started", b"scheduled", b"failed")
# How a call ends that still waits according to its row although its job has ended in Redis: it was
# called off through RQ's interface, or the database has forgotten, or never knew, what was done.
ENDED = {
    b"canceled": (Task.Status.CANCELED, Code.CALL_CANCELLED_IN_RQ),
    b"stopped": (Task.Status.CANCELED, Code.CALL_STOPPED_IN_RQ),
    b"finished": (Task.Status.FAILED, Code.CALL_UNACCOUNTED),
}


class Watch:
    """Remembers how long things have looked lost, by this process's own clock."""

    def __init__(self) -> None:
        self._since: dict[Hashable, dict[Any, float]] = {}

    def confirmed(
        self, suspects: Iterable[Any], part: Hashable = None, seconds: float = CERTAINTY
    ) -> list[Any]:
        """Return those that have been suspects at every check for so many seconds.

        A caller that checks one `part` of everything at a time names it: each part has its own
        checks.
        """
        now = time.monotonic()
        known = self._since.pop(part, {})
        since = {suspect: known.get(suspect, now) for suspect in suspects}
        if since:
            self._since[part] = since
        return [suspect for suspect, first in since.items() if now - first >= seconds]

    def forget(self) -> None:
        """Begin anew with everything."""
        self._since.clear()


def close_lost_runs(redis: Redis, watch: Watch, probe: LeaseProbe) -> None:
    """Close, as lost, the running runs and calls whose lease nobody renews any more.

    Nobody is judged until leases could be renewed for longer than one lasts. A worker that doesn't
    reach Redis renews at the database: each renewal there makes another suspect of its run.
    """
    try:
        unleased = _unleased(redis) if _may_judge(redis, probe) else {}
    except (RedisError, Error):
        watch.forget()  # Whatever looked lost may have had a lease meanwhile.
        raise
    in_redis = [suspect for suspect in unleased if suspect[1] is None]
    at_database = [suspect for suspect in unleased if suspect[1] is not None]
    lost = watch.confirmed(in_redis, "in Redis")
    lost += watch.confirmed(at_database, "at the database", LEASE_SECONDS + CERTAINTY)
    for suspect in lost:
        _close_as_lost(unleased.pop(suspect), redis)
    if unleased:
        keep_started({job_id for job_id, _renewed in unleased}, redis)


def _unleased(redis: Redis) -> dict[Suspect, RunRecord]:
    """Return the running runs and calls that have no lease in Redis."""
    # Only the fields that their leases' names are made of: logs and tracebacks can be large.
    of_any = ("attempt", "lease_renewed")
    of_run = (*of_any, "due", "requested", "parent__job_id")
    runs = ScheduledTaskInstance.objects.running().select_related("parent").only(*of_run)
    tasks = Task.objects.filter(status=Task.Status.RUNNING).only(*of_any, "job_id")
    records: dict[str, RunRecord] = {record.run_job_id: record for record in chain(runs, tasks)}
    held = are_held(redis, list(records))
    return {
        (job_id, record.lease_renewed): record
        for (job_id, record), is_held in zip(records.items(), held, strict=True)
        if not is_held
    }


def _may_judge(redis: Redis, probe: LeaseProbe) -> bool:
    """Return whether every live worker has been able to renew its leases.

    Raises RedisError if none is now.
    """
    proven_for = probe.proven_for(redis)
    return min(proven_for, clock.undisturbed_for()) > LEASE_SECONDS


def _close_as_lost(seen: RunRecord, redis: Redis) -> None:
    """Close a run, unless its worker has renewed its lease at the database since it was seen."""
    unchanged = Q(lease_renewed=seen.lease_renewed)
    rows = type(seen)._default_manager.filter(unchanged, pk=seen.pk, attempt=seen.attempt)
    record = rows.defer("log", "traceback", "result").first()
    if record is None:
        return
    lost = reason(Code.LOST_CONTACT, worker=record.worker_name)
    if completion.close(record, Status.FAILED, redis, unchanged, **lost.fields):
        record.refresh_from_db(fields=["status"])
        if record.status == Status.FAILED:  # One that was replaced was cancelled.
            report_failure(record, None, str(lost))


def enqueue_lost_jobs(redis: Redis, watch: Watch) -> None:
    """Enqueue again what its row says is waiting but Redis has lost; end what has ended there."""
    for _step in enqueueing_lost_jobs(redis, watch):
        pass


def enqueueing_lost_jobs(redis: Redis, watch: Watch) -> Iterator[None]:
    """Do what `enqueue_lost_jobs` does, and yield wherever it can be interrupted.

    It finds background calls, retries, and requested runs: manual ones and backfill.
    """
    popped: list[str] = []
    ended: list[tuple[str, bytes]] = []
    others = ((chunk, False) for chunk in chain(_waiting_calls(), _waiting_retries()))
    requests = ((chunk, True) for chunk in _waiting_requests())
    for chunk, are_requests in chain(others, requests):
        statuses = _statuses(chunk, redis)
        missing, maybe_popped = _lost_jobs(chunk, statuses, redis, are_requests=are_requests)
        for job_id in missing:
            _enqueue_again(job_id, redis)
        popped += maybe_popped
        ended += _ended_calls(chunk, statuses)
        yield
    for job_id in watch.confirmed(popped):
        _enqueue_again(job_id, redis)
        yield
    for job_id, status in watch.confirmed(ended, "ended"):
        end, code = ENDED[status]
        _end_call(job_id, end, reason(code))
        yield


def _waiting_calls() -> Iterator[list[Waiting]]:
    """Yield, in chunks, the jobs of the calls that have been waiting for a while."""
    cutoff = clock.now() - timedelta(seconds=CERTAINTY)
    waiting = Task.objects.filter(status__in=Task.WAITING, created__lt=cutoff).order_by("pk")
    last = 0
    while rows := list(waiting.filter(pk__gt=last).values_list("pk", "job_id", "queue")[:CHUNK]):
        last = rows[-1][0]
        yield [(job_id, queue) for _pk, job_id, queue in rows]


def _waiting_retries() -> Iterator[list[Waiting]]:
    """Yield, in chunks, the jobs of the next attempts of failed runs."""
    longest = ScheduledTask.objects.filter(retries__gt=0).aggregate(Max("retry_delay"))
    delay = longest["retry_delay__max"]
    if delay is None:
        return
    of_run = ("attempt", "due", "requested", "ended", "reason_code")
    of_parent = ("job_id", "queue", "status", "retries", "retry_delay")
    failed = (
        ScheduledTaskInstance.objects.filter(
            status=Status.FAILED,
            attempt__lte=F("parent__retries"),
        )
        .select_related("parent")
        .only(*of_run, *(f"parent__{name}" for name in of_parent))
        .order_by("ended", "pk")
    )
    later = Q(ended__gt=clock.now() - RETRY_MEMORY - timedelta(seconds=delay))
    while runs := list(failed.filter(later)[:CHUNK]):
        ended = runs[-1].ended
        later = Q(ended__gt=ended) | Q(ended=ended, pk__gt=runs[-1].pk)
        yield [
            (run.run_id.next_attempt().job_id, run.parent.queue)
            for run in runs
            if awaits_retry(run)
        ]


def _waiting_requests() -> Iterator[list[Waiting]]:
    """Yield, in chunks, the jobs of manual runs, and of what backfill runs next."""
    cutoff = clock.now() - timedelta(seconds=CERTAINTY)
    requests = RunRequest.objects.filter(requested__lt=cutoff).order_by("pk")
    manual = requests.filter(due=None).select_related("parent")
    last = 0
    while rows := list(manual.filter(pk__gt=last)[:CHUNK]):
        last = rows[-1].pk
        yield [(request.run_id.job_id, request.parent.queue) for request in rows]
    backfilled = ScheduledTask.objects.filter(
        pk__in=requests.filter(due__isnull=False).order_by().values("parent")
    )
    last = 0
    while schedules := list(backfilled.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        last = schedules[-1].pk
        yield [
            (request.run_id.job_id, schedule.queue)
            for schedule in schedules
            for request in backfill.next_requests(schedule)
        ]


def _statuses(waiting: Sequence[Waiting], redis: Redis) -> list[bytes | None]:
    """Return the status that Redis has for each job, None if the job isn't there."""
    with redis.pipeline(transaction=False) as pipe:
        for job_id, _queue in waiting:
            pipe.hget(Job.key_for(job_id), "status")
        return pipe.execute()


def _ended_calls(
    waiting: Sequence[Waiting], statuses: Sequence[bytes | None]
) -> list[tuple[str, bytes]]:
    """Return the calls whose jobs have ended, with the status that Redis has for them."""
    return [
        (job_id, status)
        for (job_id, _), status in zip(waiting, statuses, strict=True)
        if status in ENDED and RunId.parse(job_id) is None
    ]


def _lost_jobs(
    waiting: Sequence[Waiting],
    statuses: Sequence[bytes | None],
    redis: Redis,
    *,
    are_requests: bool,
) -> tuple[list[str], list[str]]:
    """Return which of these jobs aren't in Redis, and which seem to have been popped and lost.

    A retry whose job has ended was refused by its row, and isn't lost. But as long as the request
    for a run is there, its job has not done its work.
    """
    known = list(zip(waiting, statuses, strict=True))
    missing = [job_id for (job_id, _), status in known if status is None]
    open_jobs = [
        (job_id, queue)
        for (job_id, queue), status in known
        if status in UNENDED or (status is not None and are_requests)
    ]
    states = in_flight(open_jobs, redis)
    popped = [job_id for (job_id, _), there in zip(open_jobs, states, strict=True) if not there]
    return missing, popped


def _enqueue_again(job_id: str, redis: Redis) -> None:
    """Enqueue a lost job, if its row still waits for it."""
    key, run_id = Job.key_for(job_id), RunId.parse(job_id)
    if run_id is not None and _may_kill_its_process(run_id, key, redis):
        give_up(run_id, redis)
        return
    redis.delete(key)
    if run_id is None:
        _enqueue_call_again(job_id, redis)
        return
    if run_id.attempt > 1:
        failed = ScheduledTaskInstance.objects.of(run_id).select_related("parent")
        run = failed.filter(
            parent__job_id=run_id.schedule_job_id, status=Status.FAILED, attempt=run_id.attempt - 1
        ).first()
        if run is not None:
            retry(run, redis)
            return
    _enqueue_request_again(run_id, redis)


def _may_kill_its_process(run_id: RunId, key: str, redis: Redis) -> bool:
    """Return whether a job was taken twice and never started, and its function has a check."""
    if not redis.hexists(key, "put_back"):
        return False
    schedule = ScheduledTask.objects.filter(job_id=run_id.schedule_job_id).first()
    return schedule is not None and registry.has_check(schedule.function)


def _enqueue_call_again(job_id: str, redis: Redis) -> None:
    task = Task.objects.filter(job_id=job_id, status__in=Task.WAITING).first()
    if task is None:
        return
    try:
        enqueue_task(task, redis)
    except TasksError as error:
        _end_call(job_id, Task.Status.FAILED, reason(Code.NOT_ENQUEUED, error=str(error)))


def _end_call(job_id: str, status: str, why: Reason) -> None:
    """End a call that will not run, if it is still waiting."""
    Task.objects.filter(job_id=job_id, status__in=Task.WAITING).update(
        status=status, ended=clock.now(), **why.fields
    )


def _enqueue_request_again(run_id: RunId, redis: Redis) -> None:
    manual = {} if run_id.is_backfill else {"requested": run_id.requested}
    requests = RunRequest.objects.filter(parent__job_id=run_id.schedule_job_id, due=run_id.due)
    request = requests.filter(attempt=run_id.attempt, **manual).select_related("parent").first()
    if request is None:
        return
    try:
        enqueue_run(request.parent, run_id, redis, arguments=request.arguments)
    except TasksError as error:
        logger.warning("A requested run of “%s” can't start yet: %s", request.parent.name, error)
