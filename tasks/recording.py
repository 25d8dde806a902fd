"""Records a run: the row that says `running`, what the function logs, and how it ends."""

import asyncio
import logging
import threading
import traceback
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import Error, IntegrityError, connections, transaction
from django.utils import timezone
from redis import Redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Retry

from tasks import capture, current, outcome, run_requests, spool
from tasks.deadline import Deadline
from tasks.job import Job, RunId
from tasks.models import NAME_LENGTH, RunRecord, ScheduledTask, ScheduledTaskInstance, Task

logger = logging.getLogger(__name__)

# Seconds between looks at whether log and progress have to be written.
PROGRESS_EVERY = 0.5
LOG_EVERY = 2.0
# How soon a run that waits for the previous one looks again, in seconds, and how often.
WAIT_INTERVAL = 1
WAIT_TIMES = 10_000_000


class _NotNow(Exception):
    """The previous run is still going, and the schedule says to wait."""


def record(job: Job, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run a job's function with its record; return its result as JSON, or re-raise.

    A run that must not start (again) is settled without calling the function and returns None.
    """
    deadline = Deadline.current()
    if deadline is not None:
        deadline.hold()
    try:
        row = outcome.patiently(lambda: claim(job))
    except _NotNow:
        return Retry(max=WAIT_TIMES, interval=WAIT_INTERVAL)
    if row is None:
        return None
    return Recorder(row, job.connection).run(func, args, kwargs, deadline)


def record_uncallable(job: Job, error: BaseException) -> None:
    """Record a run whose function isn't registered, or whose payload can't be read, as failed."""
    try:
        row = outcome.patiently(lambda: claim(job))
    except _NotNow:
        return  # The ledger brings it back.
    if row is not None:
        reason = outcome.failure_reason(error)
        outcome.close(row, "failed", job.connection, reason=reason, log=f"{reason}\n")


def claim(job: Job) -> RunRecord | None:
    """Make the row of a job's attempt say `running`; None if it isn't to run.

    Of two jobs for the same attempt one gets the row: the database decides, by its unique
    constraints and conditional updates.
    """
    run_id = RunId.parse(job.id)
    if run_id is None:
        return _claim_task(job)
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
    if not claimed:
        logger.info("Background call %s is not waiting to be run (any more).", job.id)
        return None
    return Task.objects.get(job_id=job.id)


def _claim_run(run_id: RunId, job: Job) -> ScheduledTaskInstance | None:
    parent = (
        ScheduledTask.objects.select_for_update(no_key=True)
        .filter(job_id=run_id.schedule_job_id)
        .first()
    )
    if parent is None:
        logger.info("The schedule of run %s has been deleted.", job.id)
        return None
    by_hand = {} if run_id.requested is None else {"requested": run_id.requested}
    known = parent.runs.filter(due=run_id.due, **by_hand).first()
    request = run_requests.take(parent, run_id) if run_id.is_asked_for else None
    if run_id.is_backfill and run_id.attempt == 1:
        is_open = request is not None and _has_not_run(known)
    else:
        is_open = _is_next_attempt(run_id, known) and not _is_settled(run_id, parent, known)
    if not is_open:
        logger.info("Run %s has been recorded already.", job.id)
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
    """Tell whether backfill can run an occurrence: it has no row, or one that says it never ran."""
    status = ScheduledTaskInstance.Status
    return known is None or known.status in (status.MISSED, status.SKIPPED)


def _is_settled(run_id: RunId, parent: ScheduledTask, known: ScheduledTaskInstance | None) -> bool:
    """Tell whether the books are closed over an occurrence without a row: it isn't owed."""
    return known is None and run_id.due is not None and run_id.due <= parent.accounted_until


def _refusal(run_id: RunId, parent: ScheduledTask) -> tuple[str, str] | None:
    """Say with which status and reason an occurrence ends unstarted, None if it may start."""
    if run_id.due is None or run_id.is_backfill:
        return None
    if parent.status == ScheduledTask.Status.DEATH:
        return "skipped", "The schedule was cancelled before the run started."
    if parent.status == ScheduledTask.Status.PAUSED:
        return "skipped", "The schedule was paused before the run started."
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
    others = list(parent.runs.running())
    if not others:
        return None
    skips = parent.overlap == ScheduledTask.Overlap.SKIP
    with_backfill = run_id.is_backfill or any(other.is_backfill for other in others)
    waits = parent.overlap == ScheduledTask.Overlap.WAIT or with_backfill
    if waits or (skips and run_id.attempt > 1):
        raise _NotNow
    if skips:
        return "skipped", f"The run of {outcome.moment_text(others[0].due)} was still going."
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


def stop_job(job_id: str, redis: Redis) -> None:
    """Have the worker that runs this job, if any, kill its work-horse."""
    try:
        send_stop_job_command(redis, job_id)
    except (NoSuchJobError, InvalidJobOperation) as error:
        logger.info("Job %s isn't running: %s", job_id, error)


class Recorder:
    """Runs one attempt and writes its row: live while it runs, and when it ends."""

    def __init__(self, row: RunRecord, redis: Redis) -> None:
        self._row = row
        self._redis = redis
        self._text = capture.BoundedText()
        if row.log:
            for line in [*row.log.splitlines(), f"— attempt {row.attempt} —"]:
                self._text.add(line)
        self._percent, self._message = 0, ""
        self._ended = threading.Event()

    def on_progress(self, percent: int, message: str) -> None:
        """Note the progress; the writer thread brings it to the row."""
        self._percent, self._message = percent, capture.escape(message)[:200]

    def run(
        self, func: Callable[..., Any], args: Any, kwargs: Any, deadline: Deadline | None
    ) -> Any:
        """Call the function, record how it ends; return its JSON result or re-raise."""
        writer = threading.Thread(target=self._write_live, daemon=True)
        writer.start()
        error: BaseException | None = None
        result = None
        try:
            with capture.capturing(self._text), current.listening(self):
                result = _call(func, args, kwargs, deadline)
        except BaseException as raised:
            error = raised
        self._ended.set()
        writer.join()
        if error is not None:
            self._end_failed(error)
            raise error
        return self._end_finished(result)

    def _end_finished(self, result: Any) -> Any:
        value, not_json = outcome.as_json(result)
        reason = ""
        if not_json is not None:
            reason = f"The result is not JSON and was not kept: {not_json[:NAME_LENGTH]}."
            self._text.add(reason)
        self._end("finished", result=value, reason=reason, progress=100)
        return value

    def _end_failed(self, error: BaseException) -> None:
        reason = outcome.failure_reason(error)
        self._text.add(reason)
        self._end(
            "failed",
            reason=reason,
            exception_class=outcome.type_name(error)[:NAME_LENGTH],
            traceback=outcome.clean_text("".join(traceback.format_exception(error))[-16_384:]),
            progress=self._percent,
        )

    def _end(self, status: str, **values: Any) -> None:
        values |= {
            "ended": timezone.now(),
            "log": str(self._text),
            "progress_message": self._message,
        }
        try:
            written = outcome.patiently(
                lambda: outcome.close(self._row, status, self._redis, **values)
            )
        except Error:
            logger.exception("The end of run %s is kept in Redis.", self._row.run_job_id)
            spool.push(self._redis, self._row.run_job_id, status, **values)
            return
        if not written:
            logger.warning("Run %s was closed meanwhile.", self._row.run_job_id)
            return
        assert self._row.started is not None
        seconds = (values["ended"] - self._row.started).total_seconds()
        logger.info("“%s” %s after %.1f s. %s", self._row.name, status, seconds, values["reason"])

    def _write_live(self) -> None:
        """Bring progress and log to the row while the function runs (in a thread)."""
        seen: tuple[Any, ...] = (0, "")
        seen_log, looks = str(self._text), 0
        try:
            while not self._ended.wait(PROGRESS_EVERY):
                looks += 1
                values: dict[str, Any] = {}
                if seen != (self._percent, self._message):
                    seen = (self._percent, self._message)
                    values |= {"progress": seen[0], "progress_message": seen[1]}
                if looks % (LOG_EVERY // PROGRESS_EVERY) == 0 and seen_log != (
                    text := str(self._text)
                ):
                    seen_log = text
                    values |= {"log": text}
                if values:
                    self._try_to_write(values)
        finally:
            connections.close_all()

    def _try_to_write(self, values: dict[str, Any]) -> None:
        try:
            self._row.update_attempt(**values)
        except Error:
            logger.warning("The progress of a run can't be written now.", exc_info=True)
            connections.close_all()


def _call(func: Callable[..., Any], args: Any, kwargs: Any, deadline: Deadline | None) -> Any:
    """Call the function under its deadline; one that swallowed its timeout has failed."""
    try:
        if deadline is not None:
            deadline.setup_death_penalty()
        result = func(*args, **kwargs)
        if asyncio.iscoroutine(result):
            result = asyncio.run(_await(result))
    finally:
        if deadline is not None:
            deadline.hold()
    if deadline is not None and deadline.fired:
        raise deadline.error()
    return result


async def _await(coroutine: Any) -> Any:
    return await coroutine
