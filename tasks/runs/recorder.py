"""Runs a job's function with its record: what it logs, how far it is, and how it ends."""

import asyncio
import inspect
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connections
from django.utils import timezone
from rq.job import Retry

from tasks import registry
from tasks.database import database_answers, patiently
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import NAME_LENGTH, RunRecord, ScheduledTaskInstance
from tasks.reasons import NO_REASON, Code, Reason, reason
from tasks.registry import Answer, Check, NotAtAll, NotNow
from tasks.runs import completion, spool, sql
from tasks.runs.claim import WAIT_INTERVAL, WAIT_TIMES, MustWait, claim_patiently, may_start
from tasks.runs.connections import roll_back_since, state
from tasks.runs.log_capture import BoundedText, capturing
from tasks.runs.progress import listening
from tasks.runs.timeout import Deadline
from tasks.runs.writer import writer
from tasks.storable import as_json, clean_text, escape, failure_reason, type_name

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status

# How often progress and log are written if they have changed, in seconds.
PROGRESS_EVERY = 0.5
LOG_EVERY = 2.0


def record(job: Job, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run a job's function with its record; return its result as JSON, or re-raise.

    A run that must not start (again) is settled without calling the function and returns None.
    One that can't start yet, because it has to wait for another one or for the database,
    returns RQ's Retry, with which RQ enqueues it again.
    """
    deadline = Deadline.current()
    if deadline is not None:
        deadline.hold()
    try:
        row, raised = _claim_checked(job, args, kwargs, deadline)
    except MustWait:
        return Retry(max=WAIT_TIMES, interval=WAIT_INTERVAL)
    except (OperationalError, InterfaceError) as error:
        logger.warning("Run %s waits for the database: %s", job.id, error)
        writer.catch_up(job.connection, patience=0)
        return Retry(max=WAIT_TIMES, interval=WAIT_INTERVAL)
    if row is None:
        return None
    if raised is not None:
        func = partial(_raise, raised)  # Recorded as if the function had raised it.
    if writer.witness is not None:
        writer.witness.start()
    return Recorder(row, job).run(func, args, kwargs, deadline)


def _claim_checked(
    job: Job, args: Any, kwargs: Any, deadline: Deadline | None
) -> tuple[RunRecord | None, BaseException | None]:
    """Claim a job's row, after its function's own check if it has one; return what that raised.

    The check is called only if nothing else keeps the run from starting.
    """
    check, run_id = registry.get(str(job.func_name)).check, RunId.parse(job.id)
    if check is None or run_id is None:
        return claim_patiently(job), None
    writer.catch_up(job.connection)  # Or the run before would look unfinished meanwhile.
    if not patiently(lambda: may_start(run_id, job)):
        return claim_patiently(job, by_policy=True), None
    answer: Answer | None = None
    error: BaseException | None = None
    try:
        answer = _call_check(check, args, kwargs, deadline)
    except (OperationalError, InterfaceError) as raised:
        if not database_answers():
            raise
        error = raised
    except BaseException as raised:
        error = raised
    return claim_patiently(job, answer), error


def _call_check(check: Check, args: Any, kwargs: Any, deadline: Deadline | None) -> Answer | None:
    """Call a check, within the timeout that it shares with its function.

    Raises what it raises, also that it took too long, and TypeError if it returns anything else
    than an answer or None.
    """
    before, started = state(), time.monotonic()
    try:
        answer = _call(check, args, kwargs, deadline)
    finally:
        roll_back_since(before)
        if deadline is not None:
            deadline.spend(time.monotonic() - started)
    if answer is not None and not isinstance(answer, NotNow | NotAtAll):
        raise TypeError(
            f"The check returned {answer!r}: return None, NotNow(reason) or NotAtAll(reason)."
        )
    return None if answer is None else type(answer)(str(answer.reason))


def _raise(error: BaseException, *args: Any, **kwargs: Any) -> None:
    raise error


def record_uncallable(job: Job, error: BaseException) -> None:
    """Record a run whose function isn't registered, or whose payload can't be read, as failed."""
    try:
        row = claim_patiently(job)
    except MustWait:
        return  # The ledger brings it back.
    if row is not None:
        text = failure_reason(error)
        if completion.close(row, Status.FAILED, job.connection, reason=text, log=f"{text}\n"):
            job.recorded_error = error
            logger.warning("“%s” failed: it can't be called. %s", row.name, text)


class Recorder:
    """Runs one attempt and writes its row: live while it runs, and when it ends."""

    def __init__(self, row: RunRecord, job: Job) -> None:
        self.row = row
        self._job = job
        self._redis = job.connection
        self._text = BoundedText()
        if row.log:
            for line in [*row.log.splitlines(), f"— attempt {row.attempt} —"]:
                self._text.add(line)
        self._percent, self._message = 0, ""
        self._shown: tuple[Any, ...] = (0, "")
        self._shown_log = str(self._text)

    def on_progress(self, percent: int, message: str) -> None:
        """Note the progress; another thread writes it to the row."""
        self._percent, self._message = percent, escape(message)[:200]

    def run(
        self, func: Callable[..., Any], args: Any, kwargs: Any, deadline: Deadline | None
    ) -> Any:
        """Call the function and record how it ends; return its JSON result or re-raise."""
        error: BaseException | None = None
        result = None
        before = state()
        with live_writer().watching(self):
            try:
                with capturing(self._text), listening(self):
                    result = _call(func, args, kwargs, deadline)
            except BaseException as raised:
                error = raised
        left_open = roll_back_since(before)
        note = reason(Code.LEFT_TRANSACTION_OPEN) if left_open else None
        if note is not None:
            self._text.add(str(note))
        if error is not None:
            self._end_failed(error)
            raise error
        return self._end_finished(result, note)

    def _end_finished(self, result: Any, note: Reason | None) -> Any:
        value, not_json = as_json(result)
        if not_json is not None:
            note = reason(Code.RESULT_NOT_JSON, type=not_json[:NAME_LENGTH])
            self._text.add(str(note))
        fields = note.fields if note is not None else NO_REASON
        seconds = self._end(Status.FINISHED, result=value, progress=100, **fields)
        if seconds is not None:
            logger.info("“%s” finished after %.1f s. %s", self.row.name, seconds, note or "")
        return value

    def _end_failed(self, error: BaseException) -> None:
        text = failure_reason(error)
        self._text.add(text)
        seconds = self._end(
            Status.FAILED,
            reason=text,
            exception_class=type_name(error)[:NAME_LENGTH],
            traceback=clean_text("".join(traceback.format_exception(error))[-16_384:]),
            progress=self._percent,
        )
        if seconds is not None:
            self._job.recorded_error = error
            logger.warning(
                "“%s” failed after %.1f s. %s (The traceback is on its row: %s %s.)",
                *(self.row.name, seconds, text),
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
            written = patiently(lambda: self._write_end(status, values))
        except Error:
            logger.exception("The end of run %s is kept in Redis.", self._job.id)
            self._spool_end(status, values)
            written = True
        if writer.witness is not None and not writer.keeps_end:
            writer.witness.finish()
        if not written:
            logger.warning("Run %s was closed meanwhile.", self._job.id)
            return None
        assert self.row.started is not None
        return float((values["ended"] - self.row.started).total_seconds())

    def _spool_end(self, status: str, values: dict[str, Any]) -> None:
        """Put the end on the spool. If Redis is unavailable too, the shared state keeps it."""
        if writer.witness is not None:
            writer.witness.keep_end(self._job.id, status, values)
        spool.push(self._redis, self._job.id, status, **values)
        if writer.witness is not None:
            writer.witness.forget_end()

    def _write_end(self, status: str, values: dict[str, Any]) -> bool:
        row = self.row
        if (
            status == Status.FINISHED
            and isinstance(row, ScheduledTaskInstance)
            and row.requested is None
        ):
            return writer.end(self._job.id, sql.End(row, values))
        return completion.close(row, status, self._redis, **values)

    def write_live(self, with_log: bool) -> None:
        """Write the progress, and the log, to the row if they have changed."""
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
    """Writes the progress and the log of the current run to its row, from a thread.

    The thread and its database connection live as long as the process: a run of less than half a
    second costs nothing.
    """

    def __init__(self) -> None:
        self._recorder: Recorder | None = None
        threading.Thread(target=self._run, daemon=True, name="live writer").start()

    def watching(self, recorder: Recorder) -> "_Watching":
        """Write what `recorder` has to its row, inside a `with` block."""
        return _Watching(self, recorder)

    def watch(self, recorder: Recorder | None) -> Recorder | None:
        """Watch this run, or none; return the one that was watched before."""
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
    """Return this process's live writer: a fork has no threads, so it makes its own."""
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
