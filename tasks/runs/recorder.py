"""Runs a job's function with its record: what it logs, how far it is, and how it ends."""

import inspect
import logging
import math
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.db import Error
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
from tasks.reasons import NO_REASON, Code, Reason, reason
from tasks.registry import Answer, Check, NotAtAll, NotNow, TaskFunction
from tasks.runs import completion, coroutines, spool, sql
from tasks.runs.claim import WAIT_INTERVAL, WAIT_TIMES, MustWait, claim_patiently, may_start
from tasks.runs.connections import roll_back_since, state
from tasks.runs.ended import Ended, ended_with, max_result
from tasks.runs.isolation import Channel, apart, is_isolated
from tasks.runs.live_writer import live_writer
from tasks.runs.log_capture import BoundedText, Lines, capturing
from tasks.runs.processes import ending_copies
from tasks.runs.progress import ProgressListener, listening
from tasks.runs.reporting import own_scope, report_failure
from tasks.runs.timeout import Deadline
from tasks.runs.writer import writer
from tasks.storable import clean_text, escape, failure_reason, type_name

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status

TRACEBACK_LENGTH = 16_384


def record(job: Job, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Run a job's function with its record; return its result as JSON, or re-raise.

    A run that must not start (again) is settled without calling the function and returns None.
    One that can't start yet, because it has to wait for another one or for the database,
    returns RQ's Retry, with which RQ enqueues it again. What it logs and why it fails is recorded
    without the secrets among its arguments.
    """
    secrets = registry.secret_values(str(job.func_name), list(args), dict(kwargs))
    with hiding(secrets), own_scope():
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
    return checked_answer(answer)


def checked_answer(answer: Any) -> Answer | None:
    """Return what a check answered; raises TypeError if that is no answer."""
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


@dataclass(frozen=True, slots=True)
class Closing:
    """How a run ends: the status and the fields of its row, and what is said about it.

    `error` is what its function raised, if it has failed.
    """

    status: str
    text: str
    error: BaseException | None
    values: dict[str, Any]


class Recorder:
    """Runs one attempt and writes its row: live while it runs, and when it ends."""

    def __init__(self, row: RunRecord, job: Job) -> None:
        self.row = row
        self._job = job
        self._redis = job.connection
        self.lines = BoundedText()
        if row.log:
            for line in [*row.log.splitlines(), f"— attempt {row.attempt} —"]:
                self.lines.add(line)
        # When its function has ended, if that isn't just now.
        self.ended_at: datetime | None = None
        self._percent, self._message = 0, ""
        self._shown: tuple[Any, ...] = (0, "")
        self._shown_log = str(self.lines)

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
                ended = apart(there, self.lines, self, deadline, live.fork)
            else:
                ended = _observe(call, self.lines, self, self._job.restore_process)
        closing = self.closing(ended)
        try:
            written = self.write(closing)
        except RedisError:  # The shared state has the end: it will be written, but not reported.
            if closing.error is not None:
                report_failure(self.row, closing.error, closing.text)
            raise
        self.report(closing, is_written=written)
        if closing.error is not None:
            raise closing.error
        return ended.result

    def closing(self, ended: Ended) -> Closing:
        """Return how the function ended, as its row is to say it."""
        if ended.note is not None:
            self.lines.add(str(ended.note))
        if ended.is_stopped:
            why = reason(Code.STOPPED)
            values = {**why.fields, "progress": self._percent}
            return self._closing(Status.CANCELED, str(why), None, values)
        if ended.error is None:
            fields = ended.note.fields if ended.note is not None else NO_REASON
            values = {**fields, "result": ended.result, "progress": 100}
            return self._closing(Status.FINISHED, str(ended.note or ""), None, values)
        return self._closing_failed(ended.error)

    def _closing_failed(self, error: BaseException) -> Closing:
        text, why = failure_reason(error), {}
        if isinstance(error, ProcessLost):
            text, why = str(error), error.fields
        self.lines.add(text)
        values = {
            **(why or {"reason": text}),
            "exception_class": type_name(error)[:NAME_LENGTH],
            "traceback": _traceback(error),
            "progress": self._percent,
        }
        return self._closing(Status.FAILED, text, error, values)

    def _closing(
        self, status: str, text: str, error: BaseException | None, values: dict[str, Any]
    ) -> Closing:
        shown = {"log": str(self.lines), "progress_message": self._message}
        ended = self.ended_at or clock.now()
        return Closing(status, text, error, values | {"ended": ended, **shown})

    def write(self, closing: Closing) -> bool:
        """Write the end, or put it on the spool; return False if it was closed meanwhile."""
        try:
            written = patiently(lambda: self._write(closing))
        except Error as error:
            self.spool(closing, error)
            written = True
        if writer.witness is not None and not writer.keeps_end:
            writer.witness.finish()
        return written

    def report(self, closing: Closing, *, is_written: bool) -> None:
        """Log how the run has ended, unless that isn't what its row says."""
        if not is_written:
            logger.warning("Run %s was closed meanwhile.", self._job.id)
        elif closing.error is not None:
            self._job.recorded_error = closing.error
            report_failure(self.row, closing.error, closing.text)
        else:
            assert self.row.started is not None
            seconds = (closing.values["ended"] - self.row.started).total_seconds()
            how = "was stopped" if closing.status == Status.CANCELED else "finished"
            more = f" {closing.text}" if closing.text else ""
            logger.info("“%s” %s after %.1f s.%s", self.row.name, how, seconds, more)

    def spool(self, closing: Closing, error: Error) -> None:
        """Put the end on the spool. If Redis is unavailable too, the shared state keeps it."""
        if writer.witness is not None:
            writer.witness.keep_end(self._job.id, closing.status, closing.values)
        spool.keep(self._redis, self._job.id, closing.status, closing.values, error)
        if writer.witness is not None:
            writer.witness.forget_end()

    def plain_end(self, closing: Closing) -> sql.End | None:
        """Return the end as one statement writes it, None if there is more to do than that."""
        row = self.row
        is_occurrence = isinstance(row, ScheduledTaskInstance) and row.requested is None
        if closing.status != Status.FINISHED or not is_occurrence:
            return None
        return sql.End(cast(ScheduledTaskInstance, row), closing.values)

    def _write(self, closing: Closing) -> bool:
        end = self.plain_end(closing)
        if end is not None:
            return writer.end(self._job.id, end)
        return completion.close(self.row, closing.status, self._redis, **closing.values)

    def write_live(self, with_log: bool) -> None:
        """Write the progress, and the log, to the row if they have changed."""
        values: dict[str, Any] = {}
        if self._shown != (self._percent, self._message):
            self._shown = (self._percent, self._message)
            values |= {"progress": self._shown[0], "progress_message": self._shown[1]}
        if with_log and self._shown_log != (text := str(self.lines)):
            self._shown_log = text
            values |= {"log": text}
        if values:
            self.row.update_attempt(**values)


def _traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    return clean_text(mask_text(text)[-TRACEBACK_LENGTH:])


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
