"""Makes the row of a run say `running`, or records why it doesn't start."""

import logging
from dataclasses import dataclass
from functools import partial

from django.db import IntegrityError, InternalError, NotSupportedError, ProgrammingError
from django.db.models import QuerySet
from redis import Redis

from tasks import clock
from tasks.database import atomic, connection, on_commit, patiently
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
from tasks.reasons import TO_BE_ENDED, Code, Reason, reason
from tasks.registry import Answer
from tasks.runs import backfill, policy, spool, sql
from tasks.runs.policy import Decision, Outcome, Situation
from tasks.runs.stop import stop_jobs
from tasks.runs.writer import writer
from tasks.timing import spec
from tasks.timing.instants import MILLISECOND

logger = logging.getLogger(__name__)

# How soon a run that waits checks again, in seconds, and how many times.
WAIT_INTERVAL = 1
WAIT_TIMES = 10_000_000
# What a run that may start can still have to wait for, and what its function's check comes before.
WAITS = (Outcome.WAIT, Outcome.REPLACE)
CHECKED = (Outcome.START, Outcome.REPLACE)
Status = ScheduledTaskInstance.Status
MAY_GIVE_UP = (Status.FAILED, Status.MISSED, Status.SKIPPED)


class MustWait(Exception):
    """The run can't start yet; its job will be enqueued again."""


def claim_patiently(
    job: Job, answer: Answer | None = None, *, by_policy: bool = False
) -> RunRecord | None:
    """Claim a job's row, on a new connection if the current one turns out to be unusable.

    An earlier task function may have changed the connection's settings, or a migration may have
    changed the tables that its prepared statements refer to.
    """
    try:
        return patiently(lambda: claim(job, answer, by_policy=by_policy))
    except (InternalError, NotSupportedError, ProgrammingError):
        if connection.in_atomic_block:
            raise
        logger.warning("Run %s is claimed on a new connection.", job.id, exc_info=True)
    connection.close()
    return patiently(lambda: claim(job, answer, by_policy=by_policy))


def claim(job: Job, answer: Answer | None = None, *, by_policy: bool = False) -> RunRecord | None:
    """Make the row of a job's attempt say `running`; return None if it isn't to run.

    If two jobs claim the same attempt, one gets the row: the database decides, by its unique
    constraints and conditional updates. `answer` is that of the function's check. Raises MustWait
    if the run can't start yet.
    """
    run_id = RunId.parse(job.id)
    if run_id is None:
        writer.catch_up(job.connection)
        return _claim_task(job)
    start = plain_start(job) if answer is None and not by_policy else None
    if start is not None:
        run = writer.start(start)
        if run is not None:
            return run
    else:
        writer.catch_up(job.connection)
    return _claim_by_policy(run_id, job, answer)


def plain_start(job: Job) -> sql.Start | None:
    """Return the start of a job's run as one statement writes it, None if `claim` has to look.

    That is the first attempt of an occurrence.
    """
    run_id = RunId.parse(job.id)
    if run_id is None or run_id.attempt > 1 or run_id.is_requested:
        return None
    return sql.Start(run_id, _worker_name(job), clock.now())


def _worker_name(job: Job) -> str:
    return (job.worker_name or "")[:NAME_LENGTH]


def _claim_task(job: Job) -> Task | None:
    claimed = Task.objects.filter(job_id=job.id, status__in=Task.WAITING).update(
        status=Task.Status.RUNNING, started=clock.now(), worker_name=_worker_name(job)
    )
    task = Task.objects.filter(job_id=job.id).first()
    if claimed or (task is not None and _is_claimed_by(job, task)):
        return task
    logger.info("Background call %s is not waiting to be run (any more).", job.id)
    return None


def _is_claimed_by(job: Job, record: RunRecord) -> bool:
    """Return whether this very job has claimed the row, and the database's answer was lost."""
    return (
        record.status == Status.RUNNING
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
        with atomic():
            outcome, run = _claim_run(run_id, job, answer)
    except IntegrityError:
        logger.info("Run %s has been recorded meanwhile by another job.", job.id)
        return None
    if outcome in WAITS:
        raise MustWait
    return run


def may_start(run_id: RunId, job: Job) -> bool:
    """Return whether this run would start now, or replace another one.

    Its function's check has not been asked.
    """
    read = _read(run_id, job.connection, ScheduledTask.objects.all())
    return read is not None and policy.decide(read.situation(None)).outcome in CHECKED


def _claim_run(
    run_id: RunId, job: Job, answer: Answer | None
) -> tuple[Outcome, ScheduledTaskInstance | None]:
    """Do what the policy decides; return that, and the run if it starts."""
    schedules = ScheduledTask.objects.select_for_update(no_key=True)
    read = _read(run_id, job.connection, schedules)
    if read is None:
        logger.info("Run %s doesn't start: its schedule has been deleted.", job.id)
        return Outcome.NO_SCHEDULE, None
    row = read.row
    if row is not None and row.attempt == run_id.attempt and _is_claimed_by(job, row):
        return Outcome.START, row
    decision = policy.decide(read.situation(answer))
    if decision.outcome in WAITS:
        _replace(read, job.connection, is_new=decision.outcome is Outcome.REPLACE)
        return decision.outcome, None
    if read.request is not None:
        read.request.delete()
    if decision.outcome is Outcome.START:
        return Outcome.START, _start(read, _worker_name(job))
    if decision.reason is not None:
        _record_not_run(read, decision.outcome.value, decision.reason)
    if run_id.is_backfill:
        feed = partial(backfill.feed_if_possible, read.schedule, job.connection)
        on_commit(feed)
    _log_not_started(read.schedule, decision)
    return decision.outcome, None


def give_up(run_id: RunId, redis: Redis) -> None:
    """Record that a run never started, and drop the request for it: its job may kill its process.

    A row that says anything else than that the run has failed, or never ran, is left alone.
    """
    with atomic():
        schedules = ScheduledTask.objects.select_for_update(no_key=True)
        read = _read(run_id, redis, schedules)
        if read is None:
            return
        if read.request is not None:
            read.request.delete()
        if read.row is None or read.row.status in MAY_GIVE_UP:
            _record_not_run(read, Status.MISSED, reason(Code.NEVER_STARTED))
        if run_id.is_backfill:
            on_commit(partial(backfill.feed_if_possible, read.schedule, redis))


@dataclass(frozen=True, slots=True)
class _Read:
    """What the rows and Redis say about a run that is about to start."""

    run_id: RunId
    schedule: ScheduledTask
    row: ScheduledTaskInstance | None
    request: RunRequest | None
    others: list[ScheduledTaskInstance]
    has_spooled_ends: bool

    def situation(self, answer: Answer | None) -> Situation:
        """Return it as the policy reads it."""
        row, schedule = self.row, self.schedule
        return Situation(
            run_id=self.run_id,
            now=clock.now(),
            overlap=schedule.overlap,
            start_deadline=schedule.start_deadline,
            settled_through=schedule.settled_through,
            is_live=schedule.is_live,
            is_due=_is_due(schedule, self.run_id),
            has_request=self.request is not None,
            row=None if row is None else policy.Row(row.status, row.attempt, row.is_backfill),
            running=tuple(
                policy.Running(run.due, run.is_backfill, _is_to_end(run)) for run in self.others
            ),
            has_spooled_ends=self.has_spooled_ends,
            answer=answer,
        )


def _read(run_id: RunId, redis: Redis, schedules: QuerySet[ScheduledTask]) -> _Read | None:
    """Return what there is about a run, None if its schedule has been deleted."""
    schedule = schedules.filter(job_id=run_id.schedule_job_id).first()
    if schedule is None:
        return None
    manual = {} if run_id.requested is None else {"requested": run_id.requested}
    row = schedule.runs.filter(due=run_id.due, **manual).first()
    request = _request(schedule, run_id) if run_id.is_requested else None
    if schedule.overlap == ScheduledTask.Overlap.ALLOW:
        return _Read(run_id, schedule, row, request, [], has_spooled_ends=False)
    # Asked before the rows: the ends that leave the spool are written to them.
    has_spooled_ends = spool.is_in_use(redis)
    others = list(schedule.runs.running().only("due", "requested", "attempt", "reason_code"))
    return _Read(run_id, schedule, row, request, others, has_spooled_ends)


def _request(schedule: ScheduledTask, run_id: RunId) -> RunRequest | None:
    """Return the request for a manual run or a backfill, None if there is none (any more)."""
    manual = {} if run_id.is_backfill else {"requested": run_id.requested}
    return schedule.requests.filter(due=run_id.due, attempt=run_id.attempt, **manual).first()


def _is_due(schedule: ScheduledTask, run_id: RunId) -> bool:
    """Return whether the spec yields this occurrence; only a first, regular attempt needs it."""
    if run_id.due is None or run_id.is_requested or run_id.attempt > 1 or not schedule.is_live:
        return False
    try:
        due = spec.next_due(schedule.spec(), run_id.due - MILLISECOND)
    except SpecError:
        return True  # The schedule's row says what is wrong; this job was made before that.
    return due is not None and due < run_id.due + MILLISECOND


def _log_not_started(schedule: ScheduledTask, decision: Decision) -> None:
    why = decision.reason or f"{decision.outcome.value.capitalize()}."
    logger.info("“%s” doesn't start: %s", schedule.name, why)


def _record_not_run(read: _Read, status: str, why: Reason) -> None:
    """Write why a run doesn't start; a failed run that isn't retried keeps what it says, too."""
    row = read.row or _new_row(read)
    if row.status != Status.FAILED:
        row.status, row.ended, row.reason = status, clock.now(), ""
    row.reason_code, row.reason_values = why.code.value, why.fields["reason_values"]
    row.save()


def _new_row(read: _Read) -> ScheduledTaskInstance:
    run_id, schedule = read.run_id, read.schedule
    run = ScheduledTaskInstance(
        parent=schedule, name=schedule.name, due=run_id.due, requested=run_id.requested
    )
    if read.request is not None:
        run.take_over(read.request)
    return run


def _start(read: _Read, worker_name: str) -> ScheduledTaskInstance:
    """Make the row say `running`: a new one, or the one of the attempt before."""
    run = read.row or _new_row(read)
    if read.request is not None:
        run.take_over(read.request)
    run.status = Status.RUNNING
    run.attempt = read.run_id.attempt
    run.started, run.ended = clock.now(), None
    run.worker_name, run.lease_renewed = worker_name, None
    run.progress, run.progress_message = 0, ""
    run.reason, run.reason_code, run.reason_values = "", None, None
    run.exception_class, run.traceback, run.result = "", "", None
    run.save()
    run.parent = read.schedule
    return run


def _is_to_end(run: ScheduledTaskInstance) -> bool:
    """Return whether it is being replaced or stopped already."""
    return run.reason_code in TO_BE_ENDED


def _replace(read: _Read, redis: Redis, *, is_new: bool) -> None:
    """Have the workers of the runs that are replaced stop them, after the commit.

    Until then they are still going. A worker may miss the command, or not reach Redis: the reason
    on the row says it as well, and the command is sent again as long as another run waits.
    """
    replaced = [run for run in read.others if is_new or _is_to_end(run)]
    for run in replaced:
        run.parent = read.schedule
        if not _is_to_end(run):
            run.update_attempt(**reason(Code.REPLACED).fields)
    job_ids = [run.run_job_id for run in replaced]
    on_commit(partial(stop_jobs, job_ids, redis), robust=True)
