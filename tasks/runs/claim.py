"""Makes the row of a run say `running`, or records why it doesn't start."""

import logging
from dataclasses import dataclass
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

from tasks.database import patiently
from tasks.exceptions import SpecError
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import (
    NAME_LENGTH,
    RunRecord,
    RunRequest,
    ScheduledTask,
    ScheduledTaskInstance,
    Task,
)
from tasks.reasons import Code, Reason, reason
from tasks.registry import Answer
from tasks.runs import policy, spool, sql
from tasks.runs.policy import Decision, Outcome, Situation
from tasks.runs.stop import stop_jobs
from tasks.runs.writer import writer
from tasks.timing import spec
from tasks.timing.instants import MILLISECOND

logger = logging.getLogger(__name__)

# How soon a run that waits checks again, in seconds, and how many times.
WAIT_INTERVAL = 1
WAIT_TIMES = 10_000_000


class MustWait(Exception):
    """The run can't start yet; its job will be enqueued again."""


def claim_patiently(job: Job, answer: Answer | None = None) -> RunRecord | None:
    """Claim a job's row, on a new connection if the current one turns out to be unusable.

    An earlier task function may have changed the connection's settings, or a migration may have
    changed the tables that its prepared statements refer to.
    """
    try:
        return patiently(lambda: claim(job, answer))
    except (InternalError, NotSupportedError, ProgrammingError):
        if connection.in_atomic_block:
            raise
        logger.warning("Run %s is claimed on a new connection.", job.id, exc_info=True)
    connection.close()
    return patiently(lambda: claim(job, answer))


def claim(job: Job, answer: Answer | None = None) -> RunRecord | None:
    """Make the row of a job's attempt say `running`; return None if it isn't to run.

    If two jobs claim the same attempt, one gets the row: the database decides, by its unique
    constraints and conditional updates. `answer` is that of the function's check. Raises MustWait
    if the run can't start yet.
    """
    run_id = RunId.parse(job.id)
    if run_id is None:
        writer.catch_up(job.connection)
        return _claim_task(job)
    if run_id.attempt == 1 and not run_id.is_requested and answer is None:
        run = writer.start(sql.Start(run_id, _worker_name(job), timezone.now()))
        if run is not None:
            return run
    else:
        writer.catch_up(job.connection)
    return _claim_by_policy(run_id, job, answer)


def _worker_name(job: Job) -> str:
    return (job.worker_name or "")[:NAME_LENGTH]


def _claim_task(job: Job) -> Task | None:
    claimed = Task.objects.filter(job_id=job.id, status__in=Task.WAITING).update(
        status=Task.Status.RUNNING, started=timezone.now(), worker_name=_worker_name(job)
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
        and record.worker_name == _worker_name(job)
        and job.started_at is not None
        and record.started is not None
        and record.started >= job.started_at
    )


def _claim_by_policy(
    run_id: RunId, job: Job, answer: Answer | None
) -> ScheduledTaskInstance | None:
    """Claim a run if its schedule and its policies allow it, or record why it doesn't start."""
    try:
        with transaction.atomic():
            return _claim_run(run_id, job, answer)
    except IntegrityError:
        logger.info("Run %s has been recorded meanwhile by another job.", job.id)
        return None


def _claim_run(run_id: RunId, job: Job, answer: Answer | None) -> ScheduledTaskInstance | None:
    schedule = (
        ScheduledTask.objects.select_for_update(no_key=True)
        .filter(job_id=run_id.schedule_job_id)
        .first()
    )
    if schedule is None:
        _log_not_started(job, policy.decide(None))
        return None
    row = _row(schedule, run_id)
    if row is not None and row.attempt == run_id.attempt and _is_claimed_by(job, row):
        return row
    request = _request(schedule, run_id) if run_id.is_requested else None
    others = _others(schedule, job.connection)
    decision = policy.decide(_situation(schedule, run_id, row, request, others, answer))
    if decision.outcome is Outcome.WAIT:
        raise MustWait
    if request is not None:
        request.delete()
    if decision.outcome is Outcome.REPLACE:
        _cancel(others.runs, schedule, job.connection)
    if decision.outcome in (Outcome.START, Outcome.REPLACE):
        return _start(schedule, run_id, row, request, _worker_name(job))
    if decision.reason is not None and row is None:
        _record_not_run(schedule, run_id, decision.outcome.value, decision.reason)
    _log_not_started(job, decision)
    return None


def _row(schedule: ScheduledTask, run_id: RunId) -> ScheduledTaskInstance | None:
    """Return the row that a run already has, None if it has none."""
    manual = {} if run_id.requested is None else {"requested": run_id.requested}
    return schedule.runs.filter(due=run_id.due, **manual).first()


def _request(schedule: ScheduledTask, run_id: RunId) -> RunRequest | None:
    """Return the request for a manual run or a backfill, None if there is none (any more)."""
    manual = {} if run_id.is_backfill else {"requested": run_id.requested}
    return schedule.requests.filter(due=run_id.due, **manual).first()


@dataclass(frozen=True, slots=True)
class _Others:
    """A schedule's runs that seem to be going, and whether ends of runs wait to be written."""

    runs: list[ScheduledTaskInstance]
    has_spooled_ends: bool


def _others(schedule: ScheduledTask, redis: Redis) -> _Others:
    if schedule.overlap == ScheduledTask.Overlap.ALLOW:
        return _Others([], False)
    spooled = spool.is_in_use(redis)  # Before the rows: what leaves the spool is on a row.
    return _Others(list(schedule.runs.running()), spooled)


def _situation(
    schedule: ScheduledTask,
    run_id: RunId,
    row: ScheduledTaskInstance | None,
    request: RunRequest | None,
    others: _Others,
    answer: Answer | None,
) -> Situation:
    return Situation(
        run_id=run_id,
        now=timezone.now(),
        overlap=schedule.overlap,
        start_deadline=schedule.start_deadline,
        settled_through=schedule.settled_through,
        is_live=schedule.is_live,
        is_due=_is_due(schedule, run_id),
        has_request=request is not None,
        row=None if row is None else policy.Row(row.status, row.attempt, row.is_backfill),
        running=tuple(policy.Running(run.due, run.is_backfill) for run in others.runs),
        has_spooled_ends=others.has_spooled_ends,
        answer=answer,
    )


def _is_due(schedule: ScheduledTask, run_id: RunId) -> bool:
    """Return whether the spec yields this occurrence; only a first, regular attempt needs it."""
    if run_id.due is None or run_id.is_requested or run_id.attempt > 1 or not schedule.is_live:
        return False
    try:
        due = spec.next_due(schedule.spec(), run_id.due - MILLISECOND)
    except SpecError:
        return True  # The schedule's row says what is wrong; this job was made before that.
    return due is not None and due < run_id.due + MILLISECOND


def _log_not_started(job: Job, decision: Decision) -> None:
    logger.info("Run %s doesn't start: %s.", job.id, decision.reason or decision.outcome.value)


def _record_not_run(schedule: ScheduledTask, run_id: RunId, status: str, reason: Reason) -> None:
    schedule.runs.create(
        name=schedule.name,
        due=run_id.due,
        requested=run_id.requested,
        status=status,
        ended=timezone.now(),
        **reason.fields,
    )


def _start(
    schedule: ScheduledTask,
    run_id: RunId,
    row: ScheduledTaskInstance | None,
    request: RunRequest | None,
    worker_name: str,
) -> ScheduledTaskInstance:
    """Make the row say `running`: a new one, or the one of the attempt before."""
    run = row or ScheduledTaskInstance(
        parent=schedule, name=schedule.name, due=run_id.due, requested=run_id.requested
    )
    if request is not None:
        run.requested = request.requested
    run.status = ScheduledTaskInstance.Status.RUNNING
    run.attempt = run_id.attempt
    run.started, run.ended = timezone.now(), None
    run.worker_name = worker_name
    run.progress, run.progress_message = 0, ""
    run.reason, run.reason_code, run.reason_values = "", "", None
    run.exception_class, run.traceback, run.result = "", "", None
    run.save()
    run.parent = schedule
    return run


def _cancel(runs: list[ScheduledTaskInstance], schedule: ScheduledTask, redis: Redis) -> None:
    """Cancel runs that are replaced, and have their workers stop them after the commit."""
    for run in runs:
        run.parent = schedule
        run.update_attempt(
            status=ScheduledTaskInstance.Status.CANCELED,
            ended=timezone.now(),
            **reason(Code.REPLACED).fields,
        )
    job_ids = [run.run_job_id for run in runs]
    transaction.on_commit(partial(stop_jobs, job_ids, redis), robust=True)
