"""What a task function of the proof does between its first and its last line."""

import contextlib
import itertools
import time

from tests.acceptance.proof import evidence, kill_points


def witness(path: str, schedule: str, seconds: float, way: str) -> None:
    """Note the start and the end in a file, and spend a number of seconds in between."""
    evidence.write(path, "start", schedule)
    kill_points.reach("function", "start")
    WAYS[way](seconds)
    evidence.write(path, "end", schedule)
    kill_points.reach("function", "end")


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
