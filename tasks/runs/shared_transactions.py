"""Transactions that the runs of an event loop share: what comes together is written together.

Runs that write at the same time wait for each other's transactions, on SQLite each of them asleep.
Here one thread writes for all; what has come meanwhile it writes next, in one transaction. Nobody
waits for company.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import Error, connections

from tasks.database import OUTAGE_ERRORS, atomic
from tasks.runs.shared_threads import IDLE_SECONDS, NAME, close_broken, leave_nothing_open
from tasks.runs.threads import note

logger = logging.getLogger(__name__)

T = TypeVar("T")
# How many calls are made in one transaction at most: others wait for its end.
MOST = 10


@dataclass(slots=True)
class _Call:
    """A function to be called, and what has come of it."""

    future: "Future[Any]"
    func: Callable[[], Any]
    result: Any = None
    error: BaseException | None = None

    def make(self) -> None:
        """Call the function; what it raises undoes what it has written, and nothing else."""
        self.result = self.error = None
        try:
            with atomic():
                self.result = self.func()
        except OUTAGE_ERRORS:
            raise
        except BaseException as error:
            self.error = error

    def settle(self) -> None:
        """Settle the future, once the transaction has ended."""
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class SharedTransactions(Executor):
    """A thread that calls what waits for it, each time in one transaction.

    If that can't be written, each function is called again, in a transaction of its own.
    """

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Have a function called in a transaction."""
        future: Future[Any] = Future()
        note(future)
        self._calls.put(_Call(future, partial(fn, *args, **kwargs)))
        if self._thread is None:
            self._thread = Thread(target=self._run, daemon=True, name=NAME)
            self._thread.start()
        return future

    def close(self) -> None:
        """End the thread and its connection, after what is to be written."""
        if self._thread is not None:
            self._calls.put(None)
            self._thread.join()

    def _run(self) -> None:
        used = time.monotonic()
        calls: list[_Call | None] = []
        while None not in calls:
            calls = [self._calls.get()]
            with suppress(Empty):
                while len(calls) < MOST:
                    calls.append(self._calls.get_nowait())
            if time.monotonic() - used > IDLE_SECONDS:
                with suppress(Error):
                    close_broken()
            _make([call for call in calls if call is not None])
            used = time.monotonic()
        connections.close_all()


def _make(calls: Sequence[_Call]) -> None:
    """Make calls in one transaction, or each in its own if that fails."""
    calls = [call for call in calls if call.future.set_running_or_notify_cancel()]
    try:
        with atomic():
            for call in calls:
                call.make()
    except BaseException:
        leave_nothing_open()
        if len(calls) > 1:
            logger.warning("What runs write is written one by one.", exc_info=True)
        for call in calls:
            _make_alone(call)
    leave_nothing_open()
    for call in calls:
        call.settle()


def _make_alone(call: _Call) -> None:
    try:
        call.make()
    except BaseException as error:
        call.error = error
        leave_nothing_open()


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, SharedTransactions] = WeakKeyDictionary()


def share(transactions: SharedTransactions) -> None:
    """Have the runs of this event loop share these transactions."""
    _of_loop[asyncio.get_running_loop()] = transactions


async def in_shared_transaction(func: Callable[..., T], *args: Any) -> T:
    """Call a function in a transaction that may be shared with other runs, and wait for its end.

    The function waits for nothing but the database, leaves nothing on its connections, in its
    thread or to `on_commit`, and may be called a second time after what it wrote was undone. What
    it raises undoes only its own. Where the runs of this event loop share no transactions, it has
    its own.
    """
    loop = asyncio.get_running_loop()
    transactions = _of_loop.get(loop)
    if transactions is None:
        return await sync_to_async(_in_transaction)(func, *args)
    return await loop.run_in_executor(transactions, copy_context().run, partial(func, *args))


def _in_transaction(func: Callable[..., T], *args: Any) -> T:
    with atomic():
        return func(*args)
