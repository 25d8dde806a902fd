"""When occurrences arrive on a queue, and how late that is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis

from benchmarks.figures import Values, percentile

# An arrival this short before the next whole second is early for that one, not late for the last.
EARLY = 0.02


@dataclass(frozen=True)
class Arrival:
    """What was taken off the queue, and when."""

    moment: float
    payload: bytes


def collect(redis: Redis, key: str, until: Callable[[list[Arrival]], bool]) -> list[Arrival]:
    """Take everything off a queue, as soon as it is there, until the condition holds."""
    arrivals: list[Arrival] = []
    while not until(arrivals):
        popped = cast(Any, redis.blmpop(0.1, 1, key, direction="LEFT", count=1000))
        moment = time.time()
        if popped:
            arrivals += [Arrival(moment, payload) for payload in popped[1]]
    return arrivals


def every_second(
    arrivals: list[Arrival], first: float, seconds: int, number: int, anchored: bool
) -> Values:
    """Return how late occurrences are that are due every second from `first` on.

    Who isn't `anchored` chooses the phase itself: its first arrival counts as on time. Lateness
    is counted from the last whole second: who is later than one appears earlier than that.
    """
    moments = [one.moment for one in arrivals if first - EARLY <= one.moment < first + seconds]
    begin = first if anchored or not moments else min(moments)
    late = [_after_whole_second(moment - begin) for moment in moments]
    return {
        "p50": 1000 * percentile(late, 50),
        "p99": 1000 * percentile(late, 99),
        "drift": 1000 * _drift(moments, late, begin, seconds),
        "arrived": 100 * len(moments) / (number * seconds),
    }


def _after_whole_second(passed: float) -> float:
    return max(0.0, (passed + EARLY) % 1.0 - EARLY)


def _drift(moments: list[float], late: list[float], begin: float, seconds: int) -> float:
    """Return by how much the lateness of the last third is more than that of the first.

    The promptest tenth is compared: what hurries or holds up the others is no drift.
    """
    third = seconds / 3
    pairs = list(zip(moments, late, strict=True))
    start = percentile([value for moment, value in pairs if moment < begin + third], 10)
    end = percentile([value for moment, value in pairs if moment >= begin + 2 * third], 10)
    return (end - start + 0.5) % 1.0 - 0.5
