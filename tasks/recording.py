"""Records a run: the row that says `running`, what the function logs, and how it ends."""

import asyncio
import inspect
import logging
import os
import threading
import traceback
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from django.db import (
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from django.utils import timezone
from redis import Redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Retry

from tasks import capture, current, outcome, rows, run_requests, spec, spool, transactions
from tasks.deadline import Deadline
from tasks.exceptions import SpecError
from tasks.job import MILLISECOND, Job, RunId
from tasks.models import NAME_LENGTH, RunRecord, ScheduledTask, ScheduledTaskInstance, Task

logger = logging.getLogger(__name__)

# Seconds between looks at whether log and progress have to be written.
PROGRESS_EVERY = 0.5
LOG_EVERY = 2.0
# How soon a run that waits looks again, in seconds, and how often.
WAIT_INTERVAL = 1
WAIT_TIMES = 10_000_000
LEFT_OPEN = "It left a transaction open, which was rolled back."


class _NotNow(Exception):
    """The previous run is still going, and the schedule says to wait."""


class Witness(Protocol):
    """Who wants to know how far a run and its row have come: see `tasks.board.Board`."""

    def start(self) -> None: ...
    def keep_end(self, job_id: str, status: str, values: dict[str, Any]) -> bool: ...
    def forget_end(self) -> None: ...


class Writer:
    """Writes starts and ends of runs; the end of a finished run together with the next start.

    It keeps at most one end, and only for a witness, who writes it if this process dies.
    """

    def __init__(self) -> None:
        self.witness: Witness | None = None
        self._end: tuple[str, rows.End] | None = None

    def start(self, start: rows.Start) -> ScheduledTaskInstance | None:
        """Write the start of a run; None if its row, the schedule or its policies don't allow it.

        Raises the database's errors; a kept end stays kept then.
        """
        return self._write(start)

    def end(self, job_id: str, end: rows.End) -> bool:
        """Write the end of a finished run, now or with the next start; tell whether it took it.

        Raises the database's errors.
        """
        if self.witness is not None and self.witness.keep_end(job_id, "finished", end.values):
            self._end = (job_id, end)
            return True
        ended, _ = rows.write(end, None)
        return ended

    def catch_up(self, redis: Redis, patience: float = outcome.PATIENCE) -> None:
        """Write the end that was kept, if there is one; on the spool if the database is away.

        `patience` is for how many seconds it is tried.
        """
        if self._end is None:
            return
        job_id, end = self._end
        try:
            outcome.patiently(lambda: self._write(None), patience)
        except Error:
            logger.exception("The end of run %s is kept in Redis.", job_id)
            spool.push(redis, job_id, "finished", **end.values)
            self._forget()

    def _write(self, start: rows.Start | None) -> ScheduledTaskInstance | None:
        kept = self._end
        ended, run = rows.write(kept and kept[1], start)
        if kept is not None:
            self._forget()
            if not ended:
                logger.warning("Run %s was closed meanwhile.", kept[0])
        return run

    def _forget(self) -> None:
        self._end = None
        if self.witness is not None:
            self.witness.forget_end()


# This process's writer.
writer = Writer()


def record(job: Job, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run a job's function with its record; return its result as JSON, or re-raise.

    A run that must not start (again) is settled without calling the function and returns None.
    One that can't start yet, because it has to wait for another one or for the database,
    returns RQ's Retry, with which it comes again.
    """
    deadline = Deadline.current()
    if deadline is not None:
        deadline.hold()
    try:
        row = _claim_patiently(job)
    except _NotNow:
        return Retry(max=WAIT_TIMES, interval=WAIT_INTERVAL)
    except (OperationalError, InterfaceError) as error:
        logger.warning("Run %s waits for the database: %s", job.id, error)
        writer.catch_up(job.connection, patience=0)
        return Retry(max=WAIT_TIMES, interval=WAIT_INTERVAL)
    if row is None:
        return None
    if writer.witness is not None:
        writer.witness.start()
    return Recorder(row, job).run(func, args, kwargs, deadline)


def record_uncallable(job: Job, error: BaseException) -> None:
    """Record a run whose function isn't registered, or whose payload can't be read, as failed."""
    try:
        row = _claim_patiently(job)
    except _NotNow:
        return  # The ledger brings it back.
    if row is not None:
        reason = outcome.failure_reason(error)
        if outcome.close(row, "failed", job.connection, reason=reason, log=f"{reason}\n"):
            job.recorded_error = error
            logger.warning("“%s” failed: it can't be called. %s", row.name, reason)


def _claim_patiently(job: Job) -> RunRecord | None:
    """Claim a job's row, on a new connection if this one can't be used as it is.

    A function before may have changed its settings, or a migration the tables under what is
    prepared.
    """
    try:
        return outcome.patiently(lambda: claim(job))
    except (InternalError, NotSupportedError, ProgrammingError):
        if connection.in_atomic_block:
            raise
        logger.warning("Run %s is claimed on a new connection.", job.id, exc_info=True)
    connection.close()
    return outcome.patiently(lambda: claim(job))


def claim(job: Job) -> RunRecord | None:
    """Make the row of a job's attempt say `running`; None if it isn't to run.

    Of two jobs for the same attempt one gets the row: the database decides, by its unique
    constraints and conditional updates.
    """
    run_id = RunId.parse(job.id)
    if run_id is not None and run_id.attempt == 1 and not run_id.is_asked_for:
        worker_name = (job.worker_name or "")[:NAME_LENGTH]
        run = writer.start(rows.Start(run_id, worker_name, timezone.now()))
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
    """Tell whether this very job has claimed the row, and the database's answer was lost."""
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
    by_hand = {} if run_id.requested is None else {"requested": run_id.requested}
    known = parent.runs.filter(due=run_id.due, **by_hand).first()
    if known is not None and known.attempt == run_id.attempt and _is_claimed_by(job, known):
        return known
    request = run_requests.take(parent, run_id) if run_id.is_asked_for else None
    if run_id.is_backfill and run_id.attempt == 1:
        is_open = request is not None and _has_not_run(known)
    else:
        is_open = _is_next_attempt(run_id, known) and not _is_settled(run_id, parent, known)
    if not is_open:
        logger.info("Run %s has been recorded already.", job.id)
        return None
    if not _is_owed(run_id, parent):
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
    """Tell whether backfill can run an occurrence: it has no row, or one that says it never ran."""
    status = ScheduledTaskInstance.Status
    return known is None or known.status in (status.MISSED, status.SKIPPED)


def _is_settled(run_id: RunId, parent: ScheduledTask, known: ScheduledTaskInstance | None) -> bool:
    """Tell whether the books are closed over an occurrence without a row: it isn't owed."""
    return known is None and run_id.due is not None and run_id.due <= parent.accounted_until


def _is_owed(run_id: RunId, parent: ScheduledTask) -> bool:
    """Tell whether an occurrence is due by the schedule as it is now.

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
        raise _NotNow  # Perhaps that of the run that seems to be going on.
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

    def __init__(self, row: RunRecord, job: Job) -> None:
        self.row = row
        self._job = job
        self._redis = job.connection
        self._text = capture.BoundedText()
        if row.log:
            for line in [*row.log.splitlines(), f"— attempt {row.attempt} —"]:
                self._text.add(line)
        self._percent, self._message = 0, ""
        self._shown: tuple[Any, ...] = (0, "")
        self._shown_log = str(self._text)

    def on_progress(self, percent: int, message: str) -> None:
        """Note the progress; it is brought to the row from another thread."""
        self._percent, self._message = percent, capture.escape(message)[:200]

    def run(
        self, func: Callable[..., Any], args: Any, kwargs: Any, deadline: Deadline | None
    ) -> Any:
        """Call the function, record how it ends; return its JSON result or re-raise."""
        error: BaseException | None = None
        result = None
        before = transactions.state()
        with live_writer().watching(self):
            try:
                with capture.capturing(self._text), current.listening(self):
                    result = _call(func, args, kwargs, deadline)
            except BaseException as raised:
                error = raised
        left_open = transactions.roll_back_since(before)
        if left_open:
            self._text.add(LEFT_OPEN)
        if error is not None:
            self._end_failed(error)
            raise error
        return self._end_finished(result, LEFT_OPEN if left_open else "")

    def _end_finished(self, result: Any, reason: str) -> Any:
        value, not_json = outcome.as_json(result)
        if not_json is not None:
            reason = f"The result is not JSON and was not kept: {not_json[:NAME_LENGTH]}."
            self._text.add(reason)
        seconds = self._end("finished", result=value, reason=reason, progress=100)
        if seconds is not None:
            logger.info("“%s” finished after %.1f s. %s", self.row.name, seconds, reason)
        return value

    def _end_failed(self, error: BaseException) -> None:
        reason = outcome.failure_reason(error)
        self._text.add(reason)
        seconds = self._end(
            "failed",
            reason=reason,
            exception_class=outcome.type_name(error)[:NAME_LENGTH],
            traceback=outcome.clean_text("".join(traceback.format_exception(error))[-16_384:]),
            progress=self._percent,
        )
        if seconds is not None:
            self._job.recorded_error = error
            logger.warning(
                "“%s” failed after %.1f s. %s (The traceback is on its row: %s %s.)",
                *(self.row.name, seconds, reason),
                *(self.row._meta.verbose_name, self.row.pk),
            )

    def _end(self, status: str, **values: Any) -> float | None:
        """Write the end; return after how many seconds it was, None if it was closed meanwhile."""
        values |= {
            "ended": timezone.now(),
            "log": str(self._text),
            "progress_message": self._message,
        }
        try:
            written = outcome.patiently(lambda: self._write_end(status, values))
        except Error:
            logger.exception("The end of run %s is kept in Redis.", self._job.id)
            spool.push(self._redis, self._job.id, status, **values)
            written = True
        if not written:
            logger.warning("Run %s was closed meanwhile.", self._job.id)
            return None
        assert self.row.started is not None
        return float((values["ended"] - self.row.started).total_seconds())

    def _write_end(self, status: str, values: dict[str, Any]) -> bool:
        row = self.row
        if (
            status == "finished"
            and isinstance(row, ScheduledTaskInstance)
            and row.requested is None
        ):
            return writer.end(self._job.id, rows.End(row, values))
        return outcome.close(row, status, self._redis, **values)

    def write_live(self, with_log: bool) -> None:
        """Bring what is new of progress, and of the log, to the row."""
        values: dict[str, Any] = {}
        if self._shown != (self._percent, self._message):
            self._shown = (self._percent, self._message)
            values |= {"progress": self._shown[0], "progress_message": self._shown[1]}
        if with_log and self._shown_log != (text := str(self._text)):
            self._shown_log = text
            values |= {"log": text}
        if values:
            self.row.update_attempt(**values)


class LiveWriter:
    """Brings progress and log of the run that is going on to its row, from a thread.

    The thread and its database connection are there for as long as the process: a run of less
    than half a second costs it nothing.
    """

    def __init__(self) -> None:
        self._recorder: Recorder | None = None
        threading.Thread(target=self._run, daemon=True, name="live writer").start()

    def watching(self, recorder: Recorder) -> "_Watching":
        """Bring what `recorder` has to its row, inside a `with` block."""
        return _Watching(self, recorder)

    def watch(self, recorder: Recorder | None) -> Recorder | None:
        """Turn to this run, or to none; return the one that was watched."""
        before, self._recorder = self._recorder, recorder
        return before

    def _run(self) -> None:
        pause, looks, last = threading.Event(), 0, None
        while not pause.wait(PROGRESS_EVERY):
            recorder = self._recorder
            looks = looks + 1 if recorder is last else 1
            if recorder is not None:
                self._write(recorder, with_log=looks % (LOG_EVERY // PROGRESS_EVERY) == 0)
            elif last is not None:
                connections.close_all()
            last = recorder

    def _write(self, recorder: Recorder, with_log: bool) -> None:
        try:
            recorder.write_live(with_log)
        except Error:
            logger.warning("The progress of a run can't be written now.", exc_info=True)
            connections.close_all()


class _Watching:
    def __init__(self, live: LiveWriter, recorder: Recorder) -> None:
        self._live, self._recorder = live, recorder

    def __enter__(self) -> None:
        self._before = self._live.watch(self._recorder)

    def __exit__(self, *exc_info: object) -> None:
        self._live.watch(self._before)


_live_writers: dict[int, LiveWriter] = {}


def live_writer() -> LiveWriter:
    """Return this process's live writer: a fork has no threads, and makes its own."""
    pid = os.getpid()
    if pid not in _live_writers:
        _live_writers.clear()
        _live_writers[pid] = LiveWriter()
    return _live_writers[pid]


def _call(func: Callable[..., Any], args: Any, kwargs: Any, deadline: Deadline | None) -> Any:
    """Call the function under its deadline; one that swallowed its timeout has failed."""
    try:
        if deadline is not None:
            deadline.setup_death_penalty()
        result = func(*args, **kwargs)
        if inspect.iscoroutine(result):
            result = asyncio.run(_await(result))
    finally:
        if deadline is not None:
            deadline.hold()
    if deadline is not None and deadline.fired:
        raise deadline.error()
    return result


async def _await(coroutine: Any) -> Any:
    return await coroutine
