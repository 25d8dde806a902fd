"""The threads in which a run that goes on beside others has something called.

Each run has a thread of its own for what has to stay in one thread, such as the async ORM with its
connection; `asyncio.to_thread` takes one of the pool that all share, and there are
`shared_threads`. Which calls go on is noted: a thread can't be cancelled, and a run isn't over
before its threads are.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.db import connections

from tasks.runs.connections import roll_back_since

logger = logging.getLogger(__name__)

# What the event loop has called in threads by itself; nobody minds if it goes on.
OF_THE_LOOP = (socket.getaddrinfo, socket.getnameinfo)
# The calls that go on in threads for the run of this context.
_calls: ContextVar["set[Future[Any]] | None"] = ContextVar("tasks_calls", default=None)


class Threads(ThreadPoolExecutor):
    """A pool of threads that notes which calls of each run go on."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Have a function called in a thread."""
        future = super().submit(fn, *args, **kwargs)
        if fn not in OF_THE_LOOP:
            note(future)
        return future


class OwnThread(Executor):
    """One thread, which begins when it is first needed."""

    def __init__(self) -> None:
        self._threads: Threads | None = None
        self._is_closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Have a function called in the thread, after those before it."""
        if self._threads is None:
            self._threads = Threads(1)
        return self._threads.submit(fn, *args, **kwargs)

    def tidy(self) -> None:
        """Have a transaction that was left open rolled back, if the thread has begun."""
        if self._threads is not None:
            self._threads.submit(_roll_back)

    def close(self, *, wait: bool = False) -> None:
        """Have the thread close its database connections, and end; `wait` until it has."""
        if self._threads is not None and not self._is_closed:
            self._is_closed = True
            self._threads.submit(_close_connections)
            self._threads.shutdown(wait=wait)


def note_calls() -> "set[Future[Any]]":
    """Return the set in which the calls of this context's run are noted from now on."""
    calls: set[Future[Any]] = set()
    _calls.set(calls)
    return calls


def note(call: "Future[Any]") -> None:
    """Note a call of this context's run until it ends."""
    calls = _calls.get()
    if calls is not None:
        calls.add(call)
        call.add_done_callback(calls.discard)


async def all_ended(calls: "set[Future[Any]]") -> None:
    """Wait until none of these calls goes on, whoever cancels that."""
    loop = asyncio.get_running_loop()
    while going_on := list(calls):
        has_ended = asyncio.Event()
        going_on[0].add_done_callback(partial(_tell, loop, has_ended))
        with suppress(asyncio.CancelledError):
            await has_ended.wait()


def _tell(loop: asyncio.AbstractEventLoop, has_ended: asyncio.Event, call: "Future[Any]") -> None:
    loop.call_soon_threadsafe(has_ended.set)


def _roll_back() -> None:
    if roll_back_since({}):
        logger.warning("The function left a transaction open, which was rolled back.")


def _close_connections() -> None:
    try:
        _roll_back()
        connections.close_all()
    except Exception:
        logger.exception("The function's database connections can't be closed.")
