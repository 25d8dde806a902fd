"""A few threads, with database connections, that the runs of an event loop share.

They are for functions that are known to leave nothing behind: a thread and a connection of its own
for each run cost more than the few queries of a short one.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.db import Error, connections

from tasks.runs.connections import roll_back_since
from tasks.runs.threads import note

logger = logging.getLogger(__name__)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
# How many there are: more wouldn't make one process of Python faster.
NUMBER = 4
# A connection that wasn't used for so long is asked whether it still works, in seconds.
IDLE_SECONDS = 1.0
NAME = "shared by runs"


class SharedThreads(Executor):
    """Threads whose connections stay open.

    Nonetheless none of them is left in a transaction, and one that has failed, or doesn't work any
    more, is made anew.
    """

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Have a function called in one of the threads."""
        future: Future[Any] = Future()
        note(future)
        self._calls.put(partial(_settle, future, partial(fn, *args, **kwargs)))
        if not self._threads:
            self._begin()
        return future

    def close(self) -> None:
        """End the threads and their connections, after what is to be called in them."""
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def _begin(self) -> None:
        for _ in range(NUMBER):
            thread = threading.Thread(target=self._run, daemon=True, name=NAME)
            thread.start()
            self._threads.append(thread)

    def _run(self) -> None:
        used = time.monotonic()
        while (call := self._calls.get()) is not None:
            if time.monotonic() - used > IDLE_SECONDS:
                with suppress(Error):
                    close_broken()
            call()
            used = time.monotonic()
        connections.close_all()


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, SharedThreads] = WeakKeyDictionary()
# What a check has that was declared to leave nothing behind.
MARK = "leaves_nothing"


def share(threads: SharedThreads) -> None:
    """Have the runs of this event loop share these threads."""
    _of_loop[asyncio.get_running_loop()] = threads


async def in_shared_thread(func: Callable[..., T], *args: Any) -> T:
    """Call a function that waits for nothing but the database, and leaves nothing behind.

    That is: nothing on its connections or in its thread. Where the runs of this event loop
    share no threads, it is called as `sync_to_async` calls it.
    """
    loop = asyncio.get_running_loop()
    threads = _of_loop.get(loop)
    if threads is None:
        return await sync_to_async(func)(*args)
    return await loop.run_in_executor(threads, copy_context().run, partial(func, *args))


def leaves_nothing(check: F) -> F:
    """Declare that a check is one for `in_shared_thread`, and doesn't change its arguments.

    Its function gets the same ones, they aren't loaded from the database again.
    """
    setattr(check, MARK, True)
    return check


def is_to_share(check: Callable[..., Any]) -> bool:
    """Return whether a check is to be called by `in_shared_thread`."""
    return getattr(check, MARK, False) is True


def _settle(future: "Future[Any]", call: Callable[[], Any]) -> None:
    """Call a function, unless its run has been cancelled meanwhile."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        leave_nothing_open()
        future.set_exception(error)
    else:
        leave_nothing_open()
        future.set_result(result)


def leave_nothing_open() -> None:
    """Roll back what is left open on the connections of this thread, and close broken ones."""
    try:
        if roll_back_since({}):
            logger.warning("A transaction was left open, which was rolled back.")
        for connection in connections.all(initialized_only=True):
            if connection.errors_occurred:
                connection.close()
    except Exception:
        logger.exception("A database connection can't be closed.")


def close_broken() -> None:
    """Close the connections of this thread that don't work any more."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.is_usable():
            connection.close()
