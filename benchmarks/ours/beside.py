"""Plain functions that compute, and coroutines that wait in the same worker meanwhile."""

import statistics
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks.tasks import compute, tick
from tasks.models import Task
from tasks.services import TaskService

TIMEOUT_SECONDS = 60
# How often each coroutine goes on, in seconds.
EVERY = 0.2


def batch(number: int, rounds: int) -> dict[str, float]:
    """Have calls run that compute; return when the first started and the last ended.

    `each` is how long the middle one of them took.
    """
    calls = [TaskService.enqueue_task(compute, rounds).pk for _ in range(number)]
    done = _ended(calls)
    return {
        "begin": min(one.started for one in done),
        "end": max(one.ended for one in done),
        "each": statistics.median(one.ended - one.started for one in done),
    }


class _Ended(NamedTuple):
    """When a call started and ended, and what it returned."""

    started: float
    ended: float
    result: Any


def _ended(calls: list[int]) -> list[_Ended]:
    """Wait until these calls have ended."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    rows = Task.objects.filter(pk__in=calls, status=Task.Status.FINISHED)
    while (done := rows.count()) < len(calls):
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {done} of {len(calls)} had ended after {TIMEOUT_SECONDS} s")
        time.sleep(0.05)
    found: Iterable[Any] = rows.values_list("started", "ended", "result")
    return [_Ended(begun.timestamp(), end.timestamp(), result) for begun, end, result in found]


def wait(number: int, seconds: float) -> None:
    """Have coroutines start that wait, and go on now and then, for so many seconds."""
    for _ in range(number):
        TaskService.enqueue_task(tick, seconds, EVERY)


def stand_still(begin: float, end: float) -> dict[str, float]:
    """Wait until the coroutines have ended; return for how long they stood still at most, in ms.

    What counts is when they went on from `begin` to `end`.
    """
    calls = list(Task.objects.filter(function="benchmarks.tick").values_list("pk", flat=True))
    done = _ended(calls)
    if min(one.ended for one in done) < end:
        raise RuntimeError("coroutines had ended before the batch did")
    late = [late for one in done for at, late in one.result if begin <= at <= end]
    return {"still": 1000 * max(late, default=0.0)}
