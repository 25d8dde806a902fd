"""Plain functions that compute, and coroutines that wait in the same worker meanwhile."""

import statistics
import time

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
    times = [(one.started.timestamp(), one.ended.timestamp()) for one in done]
    return {
        "begin": min(started for started, _ in times),
        "end": max(ended for _, ended in times),
        "each": statistics.median(ended - started for started, ended in times),
    }


def _ended(calls: list[int]) -> list[Task]:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    rows = Task.objects.filter(pk__in=calls, status=Task.Status.FINISHED)
    while (done := rows.count()) < len(calls):
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {done} of {len(calls)} had ended after {TIMEOUT_SECONDS} s")
        time.sleep(0.05)
    return list(rows)


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
    if min(one.ended.timestamp() for one in done) < end:
        raise RuntimeError("coroutines had ended before the batch did")
    late = [late for one in done for at, late in one.result if begin <= at <= end]
    return {"still": 1000 * max(late, default=0.0)}
