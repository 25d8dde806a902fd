"""Running a coroutine in a process that goes on to other runs."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, as `asyncio.run` does, and leave nothing behind in its thread.

    `asyncio.run` leaves a note in a thread-local that an event loop was set there once, which would
    have to be cleared away before the next run (R14).
    """
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(coroutine)
