"""Writes what runs that go on side by side have to write: those that come together, together.

One thread has the connection. While it writes, others come and wait; what has come meanwhile it
writes next, starts and ends in one transaction. Nobody waits for company.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from django.db import Error, connections

from tasks.database import OUTAGE_ERRORS, atomic, chunks, connection, patiently
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import RunRecord
from tasks.registry import Answer
from tasks.runs import group_sql, sql
from tasks.runs.claim import MustWait, claim, claim_patiently, may_start, plain_start
from tasks.runs.connections import roll_back_since
from tasks.runs.ended import Ended
from tasks.runs.recorder import Closing, Recorder

logger = logging.getLogger(__name__)

T = TypeVar("T")
# How many starts and ends are written in one transaction at most.
MOST = 200
# The same of runs that don't start because of their checks: each takes several queries.
MOST_REFUSED = 20


class _Item:
    """Something to be written, in the context of whoever asked for it: it knows what is secret."""

    def __init__(self, future: "Future[Any]") -> None:
        self.future = future
        self._context = copy_context()

    def settle(self, func: Callable[[], Any]) -> None:
        """Call a function, and settle the future with what it returns or raises."""
        try:
            result = self._context.run(func)
        except BaseException as error:
            if connection.errors_occurred:
                connection.close()
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class _Call(_Item):
    """What is written by itself."""

    def __init__(self, future: "Future[Any]", func: Callable[[], Any]) -> None:
        super().__init__(future)
        self.alone = func


class _Start(_Item):
    """The start of a run that one statement can write."""

    def __init__(self, future: "Future[Any]", job: Job, start: sql.Start) -> None:
        super().__init__(future)
        self.start = start
        self._job = job

    def alone(self) -> RunRecord | None:
        return claim_patiently(self._job)

    def by_policy(self) -> RunRecord | None:
        return claim_patiently(self._job, by_policy=True)


class _Question(_Item):
    """Whether a run that one statement can start would start now."""

    def __init__(self, future: "Future[bool]", job: Job, start: sql.Start) -> None:
        super().__init__(future)
        self.start = start
        self._job = job

    def alone(self) -> bool:
        return patiently(partial(may_start, self.start.run_id, self._job))


class _Refusal(_Item):
    """The answer of a run's check, because of which it doesn't start."""

    def __init__(self, future: "Future[Any]", job: Job, answer: Answer) -> None:
        super().__init__(future)
        self._job = job
        self._answer = answer

    def alone(self) -> RunRecord | None:
        return claim_patiently(self._job, self._answer)

    def with_others(self) -> MustWait | None:
        """Record it in a transaction with others; return what it is to raise after that."""
        try:
            self._context.run(claim, self._job, self._answer)
        except MustWait as wait:
            return wait
        return None


class _End(_Item):
    """The end of a run."""

    def __init__(
        self, future: "Future[Any]", recorder: Recorder, ended: Callable[[], Ended]
    ) -> None:
        super().__init__(future)
        self._recorder = recorder
        self._ended = ended

    def put_into_words(self) -> sql.End | None:
        """Return the end as one statement writes it, None if it has to be written alone."""
        self._closing = self._context.run(lambda: self._recorder.closing(self._ended()))
        return self._recorder.plain_end(self._closing)

    def alone(self) -> Closing:
        return self.written(self._recorder.write(self._closing))

    def written(self, is_written: bool) -> Closing:
        self._recorder.report(self._closing, is_written=is_written)
        return self._closing

    def spooled(self, error: Error) -> Closing:
        self._recorder.spool(self._closing, error)
        return self.written(True)


_Work = _Call | _Start | _Question | _Refusal | _End


class GroupWriter:
    """Writes starts and ends of runs from one thread, in groups.

    Each of its methods returns at once; the future has what came of it.
    """

    def __init__(self) -> None:
        self._items: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True, name="group writer")
        self._thread.start()

    def claim(self, job: Job) -> "Future[RunRecord | None]":
        """Claim a job's row, as `claim_patiently` does."""
        start = plain_start(job)
        if start is None:
            return self.call(lambda: claim_patiently(job))
        future: Future[RunRecord | None] = Future()
        self._items.put(_Start(future, job, start))
        return future

    def may_start(self, run_id: RunId, job: Job) -> "Future[bool]":
        """Return whether a run would start now, as `claim.may_start` does."""
        start = plain_start(job)
        if start is None:
            return self.call(partial(patiently, partial(may_start, run_id, job)))
        future: Future[bool] = Future()
        self._items.put(_Question(future, job, start))
        return future

    def refuse(self, job: Job, answer: Answer) -> "Future[RunRecord | None]":
        """Record what a run's check has against it, as `claim_patiently` does."""
        future: Future[RunRecord | None] = Future()
        self._items.put(_Refusal(future, job, answer))
        return future

    def end(self, recorder: Recorder, ended: Callable[[], Ended]) -> "Future[Closing]":
        """Write and report how a run ended, which `ended` says when it is called in the thread."""
        future: Future[Closing] = Future()
        self._items.put(_End(future, recorder, ended))
        return future

    def call(self, func: Callable[[], T]) -> "Future[T]":
        """Call anything else that needs the database, in its turn."""
        future: Future[T] = Future()
        self._items.put(_Call(future, func))
        return future

    def close(self) -> None:
        """Write what has come, and end the thread."""
        self._items.put(None)
        self._thread.join()

    def _run(self) -> None:
        items: list[_Work | None] = []
        while None not in items:
            items = [self._items.get()]
            with suppress(Empty):
                while len(items) < MOST:
                    items.append(self._items.get_nowait())
            self._write([item for item in items if item is not None])
        connections.close_all()

    def _write(self, items: Sequence[_Work]) -> None:
        """Write what a group can hold as a group, then all else."""
        starts = [item for item in items if isinstance(item, _Start)]
        ends: list[tuple[_End, sql.End]] = []
        questions: list[_Question] = []
        refusals: list[_Refusal] = []
        others: list[_Call | _End] = []
        for item in items:
            if isinstance(item, _Call):
                others.append(item)
            elif isinstance(item, _End):
                self._sort(item, ends, others)
            elif isinstance(item, _Question):
                questions.append(item)
            elif isinstance(item, _Refusal):
                refusals.append(item)
        if starts or ends:
            self._write_group(ends, starts)
        if questions:
            self._answer(questions)
        for some in chunks(refusals, MOST_REFUSED):
            self._refuse(some)
        for item in others:
            item.settle(item.alone)

    def _sort(
        self, item: _End, ends: list[tuple[_End, sql.End]], others: list[_Call | _End]
    ) -> None:
        try:
            end = item.put_into_words()
        except BaseException as error:
            item.future.set_exception(error)
            return
        if end is None:
            others.append(item)
        else:
            ends.append((item, end))

    def _write_group(self, ends: list[tuple[_End, sql.End]], starts: list[_Start]) -> None:
        """Write a group; one by one if it can't be written although the database answers.

        Then one of them must be at fault.
        """
        try:
            ended, started = patiently(
                lambda: group_sql.write_many(
                    [end for _, end in ends], [one.start for one in starts]
                )
            )
        except OUTAGE_ERRORS as error:
            self._put_off([item for item, _ in ends], starts, error)
            return
        except Exception:
            logger.warning("Starts and ends of runs are written one by one.", exc_info=True)
            roll_back_since({})
            items: list[_End | _Start] = [*(item for item, _ in ends), *starts]
            for one in items:
                one.settle(one.alone)
            return
        for (end, _), is_written in zip(ends, ended, strict=True):
            end.settle(partial(end.written, is_written))
        for start, run in zip(starts, started, strict=True):
            if run is None:
                start.settle(start.by_policy)
            else:
                start.future.set_result(run)

    def _answer(self, questions: list[_Question]) -> None:
        """Answer questions together; what one statement doesn't start, the policy decides on."""
        try:
            answers = patiently(
                lambda: group_sql.would_start([question.start for question in questions])
            )
        except OUTAGE_ERRORS as error:
            for question in questions:
                question.future.set_exception(error)
            return
        except Exception:
            logger.warning("Whether runs may start is asked one by one.", exc_info=True)
            roll_back_since({})
            answers = [False] * len(questions)
        for question, may in zip(questions, answers, strict=True):
            if may:
                question.future.set_result(True)
            else:
                question.settle(question.alone)

    def _refuse(self, refusals: list[_Refusal]) -> None:
        """Record refusals in one transaction; one by one if that can't be written."""
        try:
            waits = patiently(lambda: _refused_together(refusals))
        except OUTAGE_ERRORS as error:
            for refusal in refusals:
                refusal.future.set_exception(error)
            return
        except Exception:
            logger.warning("Runs that don't start are recorded one by one.", exc_info=True)
            roll_back_since({})
            for refusal in refusals:
                refusal.settle(refusal.alone)
            return
        for refusal, wait in zip(refusals, waits, strict=True):
            if wait is None:
                refusal.future.set_result(None)
            else:
                refusal.future.set_exception(wait)

    def _put_off(self, ends: list[_End], starts: list[_Start], error: Error) -> None:
        """Have no run start while the database is unavailable, and put the ends on the spool."""
        for start in starts:
            start.future.set_exception(error)
        for end in ends:
            end.settle(partial(end.spooled, error))


def _refused_together(refusals: Sequence[_Refusal]) -> list[MustWait | None]:
    with atomic():
        return [refusal.with_others() for refusal in refusals]
