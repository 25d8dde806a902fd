"""Makes the row of a run say `running`, or settles why it doesn't start."""

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import partial

from django.db import (
    IntegrityError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
    connection,
    transaction,
)
from django.utils import timezone
from redis import Redis

from tasks.broker.enqueue import stop_job
from tasks.database import patiently
from tasks.exceptions import SpecError
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import NAME_LENGTH, RunRecord, ScheduledTask, ScheduledTaskInstance, Task
from tasks.runs import requests, spool, sql
from tasks.runs.writer import writer
from tasks.storable import instant_text
from tasks.timing import spec
from tasks.timing.instants import MILLISECOND

logger = logging.getLogger(__name__)

# How soon a run that waits looks again, in seconds, and how often.
WAIT_INTERVAL = 1
WAIT_TIMES = 10_000_000


class NotNow(Exception):
    """The previous run is still going, and the schedule says to wait."""


def claim_patiently(job: Job) -> RunRecord | None:
    """Claim a job's row, on a new connection if this one can't be used as it is.

    A function before may have changed its settings, or a migration the tables under what is
    prepared.
    """
    try:
        return patiently(lambda: claim(job))
    except (InternalError, NotSupportedError, ProgrammingError):
        if connection.in_atomic_block:
            raise
        logger.warning("Run %s is claimed on a new connection.", job.id, exc_info=True)
    connection.close()
    return patiently(lambda: claim(job))


def claim(job: Job) -> RunRecord | None:
    """Make the row of a job's attempt say `running`; None if it isn't to run.

    Of two jobs for the same attempt one gets the row: the database decides, by its unique
    constraints and conditional updates.
    """
    run_id = RunId.parse(job.id)
    if run_id is not None and run_id.attempt == 1 and not run_id.is_requested:
        worker_name = (job.worker_name or "")[:NAME_LENGTH]
        run = writer.start(sql.Start(run_id, worker_name, timezone.now()))
        if run is not None:
            return run
    else:
        writer.catch_up(job.connection)
    return _claim_task(job) if run_id is None else _claim_by_policy(run_id, job)


def _claim_by_policy(run_id: RunId, job: Job) -> ScheduledTaskInstance | None:
    """Claim a run as its schedule has it, or settle why it doesn't start."""
    try:
        with transaction.atomic():
            return _claim_run(run_id, job)
    except IntegrityError:
        logger.info("Run %s has been recorded meanwhile by another job.", job.id)
        return None


def _claim_task(job: Job) -> Task | None:
    claimed = Task.objects.filter(job_id=job.id, status__in=Task.WAITING).update(
        status=Task.Status.RUNNING,
        started=timezone.now(),
        worker_name=(job.worker_name or "")[:NAME_LENGTH],
    )
    task = Task.objects.filter(job_id=job.id).first()
    if claimed or (task is not None and _is_claimed_by(job, task)):
        return task
    logger.info("Background call %s is not waiting to be run (any more).", job.id)
    return None


def _is_claimed_by(job: Job, record: RunRecord) -> bool:
    """Return whether this very job has claimed the row, and the database's answer was lost."""
    return (
        record.status == "running"
        and record.worker_name == (job.worker_name or "")[:NAME_LENGTH]
        and job.started_at is not None
        and record.started is not None
        and record.started >= job.started_at
    )


def _claim_run(run_id: RunId, job: Job) -> ScheduledTaskInstance | None:
    parent = (
        ScheduledTask.objects.select_for_update(no_key=True)
        .filter(job_id=run_id.schedule_job_id)
        .first()
    )
    if parent is None:
        logger.info("The schedule of run %s has been deleted.", job.id)
        return None
    manual = {} if run_id.requested is None else {"requested": run_id.requested}
    known = parent.runs.filter(due=run_id.due, **manual).first()
    if known is not None and known.attempt == run_id.attempt and _is_claimed_by(job, known):
        return known
    request = requests.take(parent, run_id) if run_id.is_requested else None
    if run_id.is_backfill and run_id.attempt == 1:
        is_open = request is not None and _has_not_run(known)
    else:
        is_open = _is_next_attempt(run_id, known) and not _is_settled(run_id, parent, known)
    if not is_open:
        logger.info("Run %s has been recorded already.", job.id)
        return None
    if not _is_expected(run_id, parent):
        logger.info("Run %s is not due any more: its schedule has been changed.", job.id)
        return None
    refusal = _refusal(run_id, parent) or _overlap(parent, run_id, job.connection)
    if refusal is not None:
        if known is None:
            _settle(parent, run_id, *refusal)
        return None
    run = known or ScheduledTaskInstance(
        parent=parent, name=parent.name, due=run_id.due, requested=run_id.requested
    )
    if request is not None:
        run.requested = request.requested
    return _start(parent, run_id, run, job.worker_name or "")


def _is_next_attempt(run_id: RunId, known: ScheduledTaskInstance | None) -> bool:
    if known is None:
        return run_id.attempt == 1
    return (
        known.status == ScheduledTaskInstance.Status.FAILED
        and known.attempt == run_id.attempt - 1
        and known.is_backfill == run_id.is_backfill
    )


def _has_not_run(known: ScheduledTaskInstance | None) -> bool:
    """Return whether backfill can run an occurrence: no row says that it has run."""
    status = ScheduledTaskInstance.Status
    return known is None or known.status in (status.MISSED, status.SKIPPED)


def _is_settled(run_id: RunId, parent: ScheduledTask, known: ScheduledTaskInstance | None) -> bool:
    """Return whether the books are closed over an occurrence without a row: it isn't owed."""
    return known is None and run_id.due is not None and run_id.due <= parent.settled_through


def _is_expected(run_id: RunId, parent: ScheduledTask) -> bool:
    """Return whether an occurrence is due by the schedule as it is now.

    A change closes the books up to its own moment. What was dispatched after that, before Redis
    had heard of the change, belongs to no period: it gets no row.
    """
    if run_id.due is None or run_id.is_backfill:
        return True
    if not parent.is_live or run_id.attempt > 1:  # A second attempt's occurrence has its row.
        return parent.is_live
    try:
        due = spec.next_due(parent.spec(), run_id.due - MILLISECOND)
    except SpecError:
        return True  # Its row says what is wrong with it; this job was made before that.
    return due is not None and due < run_id.due + MILLISECOND


def _refusal(run_id: RunId, parent: ScheduledTask) -> tuple[str, str] | None:
    """Say with which status and reason an occurrence ends unstarted, None if it may start."""
    if run_id.due is None or run_id.is_backfill:
        return None
    deadline = parent.start_deadline
    if (
        deadline is not None
        and run_id.attempt == 1
        and timezone.now() > run_id.due + timedelta(seconds=deadline)
    ):
        return "missed", f"It could not start within its start deadline of {deadline} s."
    return None


def _overlap(parent: ScheduledTask, run_id: RunId, redis: Redis) -> tuple[str, str] | None:
    """Apply the overlap policy; raises _NotNow if the run has to wait.

    A retry is never skipped, since its run is on record already: it waits. So do backfill and
    the regular runs for each other: neither takes anything away from the other.
    """
    if parent.overlap == ScheduledTask.Overlap.ALLOW:
        return None
    ends_wait = spool.is_in_use(redis)  # asked before the rows: what leaves it is written there
    others = list(parent.runs.running())
    if not others:
        return None
    if ends_wait:
        raise NotNow  # Perhaps that of the run that seems to be going on.
    skips = parent.overlap == ScheduledTask.Overlap.SKIP
    with_backfill = run_id.is_backfill or any(other.is_backfill for other in others)
    waits = parent.overlap == ScheduledTask.Overlap.WAIT or with_backfill
    if waits or (skips and run_id.attempt > 1):
        raise NotNow
    if skips:
        return "skipped", f"The run of {instant_text(others[0].due)} was still going."
    for other in others:
        other.parent = parent
        other.update_attempt(
            status="canceled", ended=timezone.now(), reason="Replaced by the next run."
        )
    job_ids = [other.run_job_id for other in others]
    transaction.on_commit(partial(_stop_jobs, job_ids, redis), robust=True)
    return None


def _settle(parent: ScheduledTask, run_id: RunId, status: str, reason: str) -> None:
    parent.runs.create(
        name=parent.name,
        due=run_id.due,
        requested=run_id.requested,
        status=status,
        reason=reason,
        ended=timezone.now(),
    )


def _start(
    parent: ScheduledTask, run_id: RunId, run: ScheduledTaskInstance, worker_name: str
) -> ScheduledTaskInstance:
    run.status = ScheduledTaskInstance.Status.RUNNING
    run.attempt = run_id.attempt
    run.started, run.ended = timezone.now(), None
    run.worker_name = worker_name[:NAME_LENGTH]
    run.progress, run.progress_message, run.reason = 0, "", ""
    run.exception_class, run.traceback, run.result = "", "", None
    run.save()
    run.parent = parent
    return run


def _stop_jobs(job_ids: Iterable[str], redis: Redis) -> None:
    for job_id in job_ids:
        stop_job(job_id, redis)
