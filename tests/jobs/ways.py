"""What a task function of the proof does between its first and its last line."""

import asyncio
import contextlib
import itertools
import time

from tests.acceptance.proof import evidence, kill_points


def witness(path: str, schedule: str, seconds: float, way: str) -> None:
    """Note the start and the end in a file, and spend a number of seconds in between."""
    evidence.write(path, "start", schedule)
    kill_points.reach("function", "start")
    if way == "beat":
        _beat(path, schedule, seconds)
    else:
        WAYS[way](seconds)
    evidence.write(path, "end", schedule)
    kill_points.reach("function", "end")


async def witness_beside(path: str, schedule: str, seconds: float, way: str) -> None:
    """Do what `witness` does, in a coroutine."""
    evidence.write(path, "start", schedule)
    kill_points.reach("function", "start")
    if way == "beat":
        for _ in range(round(seconds * 10)):
            await asyncio.sleep(0.1)
            evidence.write(path, "beat", schedule)
    elif way == "swallow":
        await _swallow_cancellations(seconds)
    elif way == "in C":
        _compute_in_c(seconds)
    else:
        await asyncio.sleep(seconds)
    if way == "raise":
        _raise(0)
    evidence.write(path, "end", schedule)
    kill_points.reach("function", "end")


async def _swallow_cancellations(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(end - time.monotonic())


def _beat(path: str, schedule: str, seconds: float) -> None:
    """Note ten times a second that it goes on, for so many seconds in which it could."""
    for _ in range(round(seconds * 10)):
        time.sleep(0.1)
        evidence.write(path, "beat", schedule)


def _swallow_timeouts(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(BaseException):
            time.sleep(end - time.monotonic())


def _compute_in_c(seconds: float) -> None:
    """Never return to Python, nor let another thread or a signal handler run."""
    sum(itertools.repeat(0))


def _raise(seconds: float) -> None:
    time.sleep(seconds)
    raise ValueError("as asked")


WAYS = {
    "sleep": time.sleep,
    "swallow": _swallow_timeouts,
    "in C": _compute_in_c,
    "raise": _raise,
}
