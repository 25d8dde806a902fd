"""When occurrences arrive on a queue, and how late that is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis

from benchmarks.figures import Values, percentile

# An arrival this close before a whole second is early for it, not late for the previous one.
EARLY_SECONDS = 0.02


@dataclass(frozen=True)
class Arrival:
    """What was taken off the queue, and when."""

    time: float
    payload: bytes


def collect(redis: Redis, key: str, until: Callable[[list[Arrival]], bool]) -> list[Arrival]:
    """Take everything off a queue as soon as it arrives, until the condition holds."""
    arrivals: list[Arrival] = []
    while not until(arrivals):
        popped = cast(Any, redis.blmpop(0.1, 1, key, direction="LEFT", count=1000))
        now = time.time()
        if popped:
            arrivals += [Arrival(now, payload) for payload in popped[1]]
    return arrivals


def every_second(
    arrivals: list[Arrival], first: float, seconds: int, number: int, anchored: bool
) -> Values:
    """Return how late occurrences are that are due every second from `first` on.

    A scheduler that isn't `anchored` chooses the phase itself: its first arrival counts as on time.
    Lateness is counted from the last whole second, so it never shows as more than one.
    """
    times = [one.time for one in arrivals if first - EARLY_SECONDS <= one.time < first + seconds]
    begin = first if anchored or not times else min(times)
    late = [_after_whole_second(at - begin) for at in times]
    return {
        "p50": 1000 * percentile(late, 50),
        "p99": 1000 * percentile(late, 99),
        "drift": 1000 * _drift(times, late, begin, seconds),
        "arrived": 100 * len(times) / (number * seconds),
    }


def _after_whole_second(passed: float) -> float:
    return max(0.0, (passed + EARLY_SECONDS) % 1.0 - EARLY_SECONDS)


def _drift(times: list[float], late: list[float], begin: float, seconds: int) -> float:
    """Return by how much the lateness of the last third exceeds that of the first.

    The promptest tenth is compared: what delays the others is not drift.
    """
    third = seconds / 3
    pairs = list(zip(times, late, strict=True))
    start = percentile([value for at, value in pairs if at < begin + third], 10)
    end = percentile([value for at, value in pairs if at >= begin + 2 * third], 10)
    return (end - start + 0.5) % 1.0 - 0.5
