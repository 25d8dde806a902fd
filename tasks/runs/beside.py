"""Runs a coroutine function with its record, beside others on one event loop.

What `recorder` does for one run at a time, this does for many: nothing here waits but in the event
loop, and what needs the database is done by a `GroupWriter`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import ExitStack
from contextvars import ContextVar, copy_context
from enum import StrEnum
from functools import partial
from typing import Any, cast

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from rq.job import _current_job
from rq.timeouts import JobTimeoutException

from tasks import clock, registry
from tasks.database import OUTAGE_ERRORS
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.masking import hiding, mask_text
from tasks.models import RunRecord, ScheduledTaskInstance
from tasks.outages import database_outage
from tasks.registry import Answer, Check, TaskFunction
from tasks.runs.claim import MustWait, claim_patiently
from tasks.runs.ended import Ended, ended_with, max_result
from tasks.runs.group_writer import GroupWriter
from tasks.runs.live_writer import live_writer
from tasks.runs.log_capture import lines_of_context
from tasks.runs.progress import listening
from tasks.runs.recorder import Closing, Recorder, checked_answer
from tasks.runs.reporting import own_scope
from tasks.runs.shared_threads import in_shared_thread, is_to_share
from tasks.runs.threads import OwnThread, all_ended, note_calls

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status

# A run that goes on for so long after it was cancelled can't be ended alone, in seconds.
GRACE_SECONDS = 5.0
# What a function or a check has returned, or what it has raised.
Returned = tuple[Any, BaseException | None]
# The tasks of asyncio that have been made in this context, by a run's function and for it.
_made: ContextVar["set[asyncio.Task[Any]] | None"] = ContextVar("tasks_made", default=None)


class Outcome(StrEnum):
    """What became of a job."""

    DONE = "done"  # Its function has returned, or isn't to be called (again).
    FAILED = "failed"
    STOPPED = "stopped"
    WAITS = "waits"  # It can't start yet.


class RunBeside:
    """One run among others: `run` carries it out, `stop` ends it early.

    `timeout` is in seconds, -1 for none. `on_start` and `on_end` are called when its row says
    `running`, and when it says how the run has ended; `on_stuck` when it goes on although it was
    cancelled. `prepare` is called in the context of its function, or of its check, and `clear_away`
    when that has returned, before anything else is written.
    """

    def __init__(
        self,
        job: Job,
        timeout: int,
        writer: GroupWriter,
        *,
        prepare: Callable[[], object],
        clear_away: Callable[[], object],
        on_start: Callable[[], object],
        on_end: Callable[[], object],
        on_stuck: Callable[[], object],
    ) -> None:
        self.job = job
        self.timeout = timeout
        # What it raised, if it has failed.
        self.error: BaseException | None = None
        self._writer = writer
        self._prepare, self._clear_away = prepare, clear_away
        self._on_start, self._on_end, self._on_stuck = on_start, on_end, on_stuck
        self._task: asyncio.Task[Any] | None = None
        self._made: set[asyncio.Task[Any]] = set()
        self._recorder: Recorder | None = None
        self._thread = OwnThread()
        # The arguments as the function takes them, once they are known.
        self._loaded: tuple[list[Any], dict[str, Any]] | None = None
        self._context = copy_context()
        self._left = float(timeout)
        self._is_stopped = self._has_timed_out = self._is_stuck = False

    def has(self, task: "asyncio.Task[Any] | None") -> bool:
        """Return whether a task of asyncio is its own."""
        return task is not None and (task is self._task or task in self._made)

    def note(self, text: str) -> None:
        """Add a text to its log, if its function has been called."""
        if self._recorder is not None:
            self._recorder.lines.add(mask_text(text))

    @property
    def is_stuck(self) -> bool:
        """Whether it goes on although it was cancelled."""
        return self._is_stuck

    @property
    def has_row(self) -> bool:
        """Whether its row says `running`."""
        return self._recorder is not None

    def stop(self) -> None:
        """Have it end as stopped on request."""
        self._is_stopped = True
        self._cancel()

    async def run(self) -> Outcome:
        """Carry it out: claim, check, function, end. Raises what keeps it from being recorded."""
        try:
            return await self._run()
        finally:
            self._thread.close()  # If no function was called after the check.

    async def _run(self) -> Outcome:
        secrets = registry.secret_values(
            str(self.job.func_name), list(self.job.args), dict(self.job.kwargs)
        )
        with hiding(secrets), own_scope():
            self._context = copy_context()
            try:
                row, raised = await self._claim()
            except MustWait:
                return Outcome.WAITS
            except OUTAGE_ERRORS as error:
                database_outage.report(error)
                logger.debug("Run %s waits for the database.", self.job.id)
                return Outcome.WAITS
            if row is None:
                return Outcome.DONE
            self._on_start()
            recorder = self._recorder = Recorder(row, self.job)
            with live_writer().watching(recorder):
                ended = await self._ended(recorder, raised)
                self._recorder = None
            closing = await asyncio.wrap_future(self._writer.end(recorder, ended))
            return self._concluded(closing)

    def give_up(self) -> Outcome:
        """Write its end although it goes on: this process exits now, and the loop stands still."""
        assert self._recorder is not None
        ended = self._stuck_end()
        # In its own context: its end is masked, and reported, as its own.
        end = self._context.run(self._writer.end, self._recorder, lambda: ended)
        return self._concluded(end.result())

    def _concluded(self, closing: Closing) -> Outcome:
        self._on_end()
        self.error = closing.error
        if closing.status == Status.CANCELED:
            return Outcome.STOPPED
        return Outcome.DONE if closing.error is None else Outcome.FAILED

    async def _claim(self) -> tuple[RunRecord | None, BaseException | None]:
        """Claim the row, after the function's own check if it has one; return what that raised."""
        function, run_id = registry.get(str(self.job.func_name)), RunId.parse(self.job.id)
        if function.check is None or run_id is None:
            return await asyncio.wrap_future(self._writer.claim(self.job)), None
        if not await asyncio.wrap_future(self._writer.may_start(run_id, self.job)):
            by_policy = partial(claim_patiently, self.job, by_policy=True)
            return await self._in_writer(by_policy), None
        answer: Answer | None = None
        started = time.monotonic()
        ask = partial(self._ask, function, function.check)
        result, error = await self._called(partial(self._observed_check, ask))
        if self._left > 0:
            self._left = max(self._left - (time.monotonic() - started), 1)
        if error is None:
            try:
                answer = checked_answer(result)
            except TypeError as raised:
                error = raised
        if answer is None:
            return await asyncio.wrap_future(self._writer.claim(self.job)), error
        return await asyncio.wrap_future(self._writer.refuse(self.job, answer)), error

    async def _in_writer(self, func: Callable[[], Any]) -> Any:
        return await asyncio.wrap_future(self._writer.call(func))

    async def _ask(self, function: TaskFunction, check: Check) -> Any:
        """Ask a check; one that isn't a coroutine function has a thread, as it may wait."""
        _current_job.set(self.job)
        if is_to_share(check):
            return await in_shared_thread(self._load_and_ask, function, check)
        args, kwargs = await self._arguments(function)
        if asyncio.iscoroutinefunction(check):
            return await check(*args, **kwargs)
        answer: Any = await sync_to_async(check)(*args, **kwargs)
        return await answer if asyncio.iscoroutine(answer) else answer

    def _load_and_ask(self, function: TaskFunction, check: Check) -> Any:
        args, kwargs = function.load_arguments(list(self.job.args), dict(self.job.kwargs))
        answer = check(*args, **kwargs)
        self._loaded = args, kwargs
        return answer

    async def _ended(self, recorder: Recorder, raised: BaseException | None) -> Callable[[], Ended]:
        """Call the function, unless the run has ended already; return what says how it ended."""
        result, error = None, raised
        has_returned = False
        if raised is None and not self._is_stopped:
            call = partial(self._call, recorder)
            result, error = await self._called(partial(self._observed_function, call))
            has_returned = error is None
        recorder.ended_at = clock.now()
        if self._is_stopped and not has_returned:
            return lambda: Ended(is_stopped=True)
        if self._has_timed_out:
            error = self._timed_out(error)
        return partial(ended_with, result, error, left_open=False, limit=max_result())

    async def _call(self, recorder: Recorder) -> Any:
        """Call the function, in a context of its own: what it logs is its own, and so on."""
        function = registry.get(str(self.job.func_name))
        _current_job.set(self.job)
        lines_of_context.set(recorder.lines)
        with ExitStack() as stack:
            stack.enter_context(listening(recorder))
            args, kwargs = await self._arguments(function)
            func = cast(Callable[..., Awaitable[Any]], inner(function))
            return await func(*args, **kwargs)

    async def _arguments(self, function: TaskFunction) -> tuple[list[Any], dict[str, Any]]:
        """Return the stored arguments as the function takes them: objects from the database."""
        if self._loaded is not None:
            return self._loaded
        args, kwargs = list(self.job.args), dict(self.job.kwargs)
        if function.instances(args, kwargs):
            return await sync_to_async(function.load_arguments)(args, kwargs)
        return function.load_arguments(args, kwargs)

    async def _called(self, observed: Callable[[], Coroutine[Any, Any, Returned]]) -> Returned:
        """Have a coroutine function called in a task of its own; return what `observed` does.

        It is cancelled when the run's time is over. What it has left running is cancelled, too.
        """
        self._made = set()
        loop = asyncio.get_running_loop()
        context = copy_context()
        context.run(self._prepare)
        self._task = task = loop.create_task(observed(), context=context)
        timer = loop.call_later(self._left, self._time_out) if self._left > 0 else None
        if self._is_stopped:
            self._cancel()
        try:
            await asyncio.wait([task])
        finally:
            if timer is not None:
                timer.cancel()
        result, error = None, cast(BaseException | None, asyncio.CancelledError())
        if not task.cancelled():  # before it had begun
            result, error = task.result()
        self._clear_away()
        return result, error

    async def _observed_check(self, ask: Callable[[], Coroutine[Any, Any, Any]]) -> Returned:
        """Ask a check; if it has nothing against the run, the function has its thread next."""
        calls = note_calls()
        result, error = await self._observed(ask, calls)
        if error is None and result is None:
            self._thread.tidy()
        else:
            self._thread.close()
        await all_ended(calls)
        return result, error

    async def _observed_function(self, call: Callable[[], Coroutine[Any, Any, Any]]) -> Returned:
        """Call the function; its thread ends with it."""
        calls = note_calls()
        result, error = await self._observed(call, calls)
        self._thread.close()
        await all_ended(calls)
        return result, error

    async def _observed(
        self, call: Callable[[], Coroutine[Any, Any, Any]], calls: "set[Future[Any]]"
    ) -> Returned:
        """Call a coroutine function, and end what it has left running, but for its threads.

        These can't be ended: it isn't over before `calls`, which are theirs, are. Returns its
        result, or what it raised.
        """
        _made.set(self._made)
        result, error = None, None
        try:
            async with ThreadSensitiveContext(executor=self._thread):
                result = await call()
        except BaseException as raised:  # SystemExit, too: it would end the loop.
            error = raised
        for left in list(self._made):
            left.cancel()
        await all_ended(calls)
        return result, error

    def _time_out(self) -> None:
        self._has_timed_out = self._cancel()

    def _cancel(self) -> bool:
        """Cancel what is called now; return whether anything is."""
        task = self._task
        if task is None or task.done():
            return False
        task.cancel()
        task.get_loop().call_later(GRACE_SECONDS, self._look_whether_stuck, task)
        return True

    def _look_whether_stuck(self, task: "asyncio.Task[Any]") -> None:
        if not task.done() and not self._is_stuck:
            self._is_stuck = True
            self._on_stuck()

    def _timed_out(self, raised: BaseException | None) -> BaseException:
        text = f"Task exceeded maximum timeout value ({self.timeout} seconds)"
        error = JobTimeoutException(text)
        error.__cause__ = raised
        return error

    def _stuck_end(self) -> Ended:
        if self._is_stopped:
            return Ended(is_stopped=True)
        return Ended(error=self._timed_out(None))


def inner(function: TaskFunction) -> Callable[..., Any]:
    """Return a task function as it was written, without what records its runs."""
    return cast(Callable[..., Any], getattr(function.func, "__wrapped__", function.func))


def task_factory(
    loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
) -> "asyncio.Task[Any]":
    """Make a task of asyncio, and note whose it is: what a run leaves running ends with it."""
    made = _made.get()
    if made is not None:
        coroutine = _contained(coroutine)
    task = asyncio.Task(coroutine, loop=loop, **options)
    if made is not None:
        made.add(task)
        task.add_done_callback(made.discard)
    return task


async def _contained(coroutine: Any) -> Any:
    """Await what a run has made a task of; if that exits, the run fails, not the loop."""
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"A task of this run has raised {error!r}.") from error
