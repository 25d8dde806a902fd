"""Running a coroutine in a process that goes on to other runs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from asgiref.sync import ThreadSensitiveContext

from tasks.runs.threads import OwnThread

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, as `asyncio.run` does, and leave nothing behind in its thread.

    `asyncio.run` leaves a note in a thread-local that an event loop was set there once, which would
    have to be cleared away before the next run (R14). What has to stay in one thread, such as the
    async ORM, has one of its own, which ends here: asgiref's default one would keep its database
    connection for ever, also one that has broken.
    """
    thread = OwnThread()
    try:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(_in_own_thread(coroutine, thread))
    finally:
        thread.close(wait=True)


async def _in_own_thread(coroutine: Coroutine[Any, Any, T], thread: OwnThread) -> T:
    async with ThreadSensitiveContext(executor=thread):
        return await coroutine
