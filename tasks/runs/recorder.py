"""Runs a job's function with its record: what it logs, how far it is, and how it ends."""

import inspect
import logging
import math
import os
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import Error, connections
from redis.exceptions import RedisError
from rq.job import Retry

from tasks import clock, registry
from tasks.database import OUTAGE_ERRORS, database_answers, patiently
from tasks.exceptions import ProcessLost
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.masking import hiding, mask_text
from tasks.models import NAME_LENGTH, RunRecord, ScheduledTaskInstance
from tasks.outages import database_outage
from tasks.reasons import NO_REASON, Reason
from tasks.registry import Answer, Check, NotAtAll, NotNow, TaskFunction
from tasks.runs import completion, coroutines, spool, sql
from tasks.runs.claim import WAIT_INTERVAL, WAIT_TIMES, MustWait, claim_patiently, may_start
from tasks.runs.connections import roll_back_since, state
from tasks.runs.ended import Ended, ended_with, max_result
from tasks.runs.isolation import Channel, apart, is_isolated
from tasks.runs.log_capture import BoundedText, Lines, capturing
from tasks.runs.processes import ending_copies
from tasks.runs.progress import ProgressListener, listening
from tasks.runs.reporting import forget_earlier_runs, report_failure
from tasks.runs.timeout import Deadline
from tasks.runs.writer import writer
from tasks.storable import clean_text, escape, failure_reason, type_name

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status

# How often progress and log are written if they have changed, in seconds.
PROGRESS_EVERY = 0.5
LOG_EVERY = 2.0
TRACEBACK_LENGTH = 16_384


def record(job: Job, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run a job's function with its record; return its result as JSON, or re-raise.

    A run that must not start (again) is settled without calling the function and returns None.
    One that can't start yet, because it has to wait for another one or for the database,
    returns RQ's Retry, with which RQ enqueues it again. What it logs and why it fails is recorded
    without the secrets among its arguments.
    """
    with hiding(registry.secret_values(str(job.func_name), list(args), dict(kwargs))):
        return _record(job, func, args, kwargs)


def _record(job: Job, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    deadline = Deadline.current()
    if deadline is not None:
        deadline.hold()
    try:
        row, raised = _claim_checked(job, args, kwargs, deadline)
    except MustWait:
        return Retry(max=WAIT_TIMES, interval=WAIT_INTERVAL)
    except OUTAGE_ERRORS as error:
        database_outage.report(error)
        logger.debug("Run %s waits for the database.", job.id)
        writer.catch_up(job.connection, patience=0)
        return Retry(max=WAIT_TIMES, interval=WAIT_INTERVAL)
    if row is None:
        return None
    call = _loading(registry.get(str(job.func_name)), func)
    if raised is not None:
        call = partial(_raise, raised)  # Recorded as if the function had raised it.
    if writer.witness is not None:
        writer.witness.start()
    forget_earlier_runs()
    isolated = raised is None and is_isolated(job)
    return Recorder(row, job).run(call, args, kwargs, deadline, isolated=isolated)


def _claim_checked(
    job: Job, args: Any, kwargs: Any, deadline: Deadline | None
) -> tuple[RunRecord | None, BaseException | None]:
    """Claim a job's row, after its function's own check if it has one; return what that raised.

    The check is called only if nothing else keeps the run from starting.
    """
    function, run_id = registry.get(str(job.func_name)), RunId.parse(job.id)
    check = function.check
    if check is None or run_id is None:
        return claim_patiently(job), None
    writer.catch_up(job.connection)  # Or the run before would look unfinished meanwhile.
    if not patiently(lambda: may_start(run_id, job)):
        return claim_patiently(job, by_policy=True), None
    answer: Answer | None = None
    error: BaseException | None = None
    try:
        answer = _call_check(_loading(function, check), args, kwargs, deadline, job.restore_process)
    except OUTAGE_ERRORS as raised:
        if not database_answers():
            raise
        error = raised
    except BaseException as raised:
        error = raised
    return claim_patiently(job, answer), error


def _call_check(
    check: Check,
    args: Any,
    kwargs: Any,
    deadline: Deadline | None,
    restore_process: Callable[[], None] | None,
) -> Answer | None:
    """Call a check, within the timeout that it shares with its function.

    Raises what it raises, also that it took too long, and TypeError if it returns anything else
    than an answer or None.
    """
    before, started = state(), time.monotonic()
    try:
        answer = _call(check, args, kwargs, deadline)
    finally:
        if restore_process is not None:
            restore_process()
        roll_back_since(before)
        if deadline is not None:
            deadline.spend(time.monotonic() - started)
    if answer is not None and not isinstance(answer, NotNow | NotAtAll):
        raise TypeError(
            f"The check returned {answer!r}: return None, NotNow(reason) or NotAtAll(reason)."
        )
    return None if answer is None else type(answer)(str(answer.reason))


def _loading(function: TaskFunction, func: Callable[..., Any]) -> Callable[..., Any]:
    """Return what calls `func` with stored arguments as the task function's hints name them."""

    def call(*args: Any, **kwargs: Any) -> Any:
        positional, named = function.load_arguments(args, kwargs)
        return func(*positional, **named)

    return call


def _raise(error: BaseException, *args: Any, **kwargs: Any) -> None:
    raise error


def record_uncallable(job: Job, error: BaseException, why: Reason | None = None) -> None:
    """Record as failed a run that can't be called: its payload, function or arguments are wrong.

    `why` says more than the error does.
    """
    try:
        row = claim_patiently(job)
    except MustWait:
        return  # The ledger brings it back.
    if row is not None:
        text = failure_reason(error)
        values = {"reason": text, "log": f"{text}\n"} | (why.fields if why else {})
        if completion.close(row, Status.FAILED, job.connection, **values):
            job.recorded_error = error
            report_failure(row, error, f"{text} {why}" if why else text)


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
        self._percent, self._message = percent, mask_text(escape(message))[:200]

    def run(
        self,
        func: Callable[..., Any],
        args: Any,
        kwargs: Any,
        deadline: Deadline | None,
        *,
        isolated: bool = False,
    ) -> Any:
        """Call the function and record how it ends; return its JSON result or re-raise.

        With `isolated` it is called in a process of its own.
        """
        call = partial(_call, func, args, kwargs, deadline)
        with live_writer().watching(self) as live:
            if isolated:
                there = lambda channel: _observe(call, channel, channel)  # noqa: E731
                ended = apart(there, self._text, self, deadline, live.fork)
            else:
                ended = _observe(call, self._text, self, self._job.restore_process)
        if ended.note is not None:
            self._text.add(str(ended.note))
        if ended.error is not None:
            self._end_failed(ended.error)
            raise ended.error
        return self._end_finished(ended.result, ended.note)

    def _end_finished(self, value: Any, note: Reason | None) -> Any:
        fields = note.fields if note is not None else NO_REASON
        seconds = self._end(Status.FINISHED, result=value, progress=100, **fields)
        if seconds is not None:
            more = f" {note}" if note is not None else ""
            logger.info("“%s” finished after %.1f s.%s", self.row.name, seconds, more)
        return value

    def _end_failed(self, error: BaseException) -> None:
        text, why = failure_reason(error), {}
        if isinstance(error, ProcessLost):
            text, why = str(error), error.fields
        self._text.add(text)
        try:
            seconds = self._end(
                Status.FAILED,
                **(why or {"reason": text}),
                exception_class=type_name(error)[:NAME_LENGTH],
                traceback=_traceback(error),
                progress=self._percent,
            )
        except RedisError:  # The shared state has the end: it will be written, but not reported.
            report_failure(self.row, error, text)
            raise
        if seconds is not None:
            self._job.recorded_error = error
            report_failure(self.row, error, text)

    def _end(self, status: str, **values: Any) -> float | None:
        """Write the end; return after how many seconds it was, None if it was closed meanwhile."""
        values |= {
            "ended": clock.now(),
            "log": str(self._text),
            "progress_message": self._message,
        }
        try:
            written = patiently(lambda: self._write_end(status, values))
        except Error as error:
            self._spool_end(status, values, error)
            written = True
        if writer.witness is not None and not writer.keeps_end:
            writer.witness.finish()
        if not written:
            logger.warning("Run %s was closed meanwhile.", self._job.id)
            return None
        assert self.row.started is not None
        return float((values["ended"] - self.row.started).total_seconds())

    def _spool_end(self, status: str, values: dict[str, Any], error: Error) -> None:
        """Put the end on the spool. If Redis is unavailable too, the shared state keeps it."""
        if writer.witness is not None:
            writer.witness.keep_end(self._job.id, status, values)
        spool.keep(self._redis, self._job.id, status, values, error)
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


def _traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    return clean_text(mask_text(text)[-TRACEBACK_LENGTH:])


class LiveWriter:
    """Writes the progress and the log of the current run to its row, from a thread.

    The thread and its database connection live as long as the process: a run of less than half a
    second costs nothing.
    """

    def __init__(self) -> None:
        self._recorder: Recorder | None = None
        self._working = threading.Lock()
        threading.Thread(target=self._run, daemon=True, name="live writer").start()

    def watching(self, recorder: Recorder) -> "_Watching":
        """Write what `recorder` has to its row, inside a `with` block."""
        return _Watching(self, recorder)

    def watch(self, recorder: Recorder | None) -> Recorder | None:
        """Watch this run, or none; return the one that was watched before."""
        before, self._recorder = self._recorder, recorder
        return before

    def fork(self) -> int:
        """Fork this process while the thread holds nothing that the fork would wait for."""
        with self._working:
            return os.fork()

    def _run(self) -> None:
        pause, looks, last = threading.Event(), 0, None
        while not pause.wait(PROGRESS_EVERY):
            with self._working:
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
        except OUTAGE_ERRORS as error:
            database_outage.report(error)
            connections.close_all()
        except Error:
            logger.warning("The progress of a run can't be written now.", exc_info=True)
            connections.close_all()


class _Watching:
    def __init__(self, live: LiveWriter, recorder: Recorder) -> None:
        self._live, self._recorder = live, recorder

    def __enter__(self) -> LiveWriter:
        self._before = self._live.watch(self._recorder)
        return self._live

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


def _observe(
    call: Callable[[], Any],
    lines: Lines,
    listener: ProgressListener,
    restore_process: Callable[[], None] | None = None,
) -> Ended:
    """Call a function, pass on what it logs and how far it is, and return how it ended."""
    error: BaseException | None = None
    result = None
    before = state()
    try:
        with capturing(lines), listening(listener):
            result = call()
    except BaseException as raised:
        error = raised
    if restore_process is not None:
        restore_process()
    left_open = roll_back_since(before)
    return ended_with(result, error, left_open=left_open, limit=max_result())


def perform_apart(job: Job, deadline: Deadline) -> Any:
    """Perform a job that has no row in a process of its own; return its result as JSON.

    Raises what its function raises there.
    """
    deadline.hold()

    def perform(channel: Channel) -> Ended:
        error: BaseException | None = None
        result = None
        try:
            result = _call(job.perform, (), {}, deadline)
        except BaseException as raised:
            error = raised
        left_open = roll_back_since({})
        return ended_with(result, error, left_open=left_open, limit=math.inf)

    ended = apart(perform, BoundedText(), None, deadline, live_writer().fork)
    if ended.note is not None:
        logger.warning("Job %s: %s", job.id, ended.note)
    if ended.error is not None:
        raise ended.error
    job._result = ended.result  # as `perform` does in the process in which it is called
    return ended.result


def _call(func: Callable[..., Any], args: Any, kwargs: Any, deadline: Deadline | None) -> Any:
    """Call the function under its deadline; one that swallowed its timeout has failed."""
    try:
        with ending_copies():
            if deadline is not None:
                deadline.setup_death_penalty()
            result = func(*args, **kwargs)
            if inspect.iscoroutine(result):
                result = coroutines.run(_await(result))
    finally:
        if deadline is not None:
            deadline.hold()
    if deadline is not None and deadline.fired:
        raise deadline.error()
    return result


async def _await(coroutine: Any) -> Any:
    return await coroutine
