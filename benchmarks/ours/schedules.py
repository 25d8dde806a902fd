"""Schedules for the processes that the other questions start, made by our own services."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from benchmarks.figures import percentile
from benchmarks.keys import SCHEDULES_KEY
from benchmarks.ours import fill
from benchmarks.tasks import coroutine_noop, noop, pause
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.services import SchedulerService

DAY = 86_400


def every_second(number: int, first: float, spread: float, coroutines: bool = False) -> None:
    """Make `number` schedules that are due every second, `spread` seconds apart."""
    start, function = datetime.fromtimestamp(first, UTC), coroutine_noop if coroutines else noop
    for index in range(number):
        due = start + index * timedelta(seconds=spread)
        SchedulerService.schedule(due, function, [index], name=f"benchmark {index}", interval=1)


def all_due_now(number: int, **options: Any) -> None:
    """Make `number` schedules and put one occurrence of each on the queue."""
    import django_rq

    first = timezone.now().replace(microsecond=0) - timedelta(seconds=1)
    fill.schedules(number, first=first, interval=DAY, next_due=first, **options)
    django_rq.get_scheduler("default").enqueue_jobs()


def all_due_now_isolated(number: int) -> None:
    """Do what `all_due_now` does; each run gets a process of its own."""
    all_due_now(number, isolated=True)


def all_due_now_coroutines(number: int) -> None:
    """Do what `all_due_now` does; the function is a coroutine."""
    all_due_now(number, function=coroutine_noop)


def pauses(number: int, seconds: float, due: float) -> None:
    """Make `number` schedules of a coroutine that waits, which are due at once, then."""
    first = datetime.fromtimestamp(due, UTC)
    fill.schedules(
        number, first=first, interval=DAY, next_due=first, function=pause, args=[seconds]
    )


def none_due(number: int) -> None:
    """Make `number` schedules that aren't due for a day; Redis has lost the last one.

    Once it is back, a scheduler has compared Redis with all rows.
    """
    tomorrow = timezone.now().replace(microsecond=0) + timedelta(days=1)
    fill.schedules(number, first=tomorrow, interval=DAY, next_due=tomorrow)
    fill.redis().zrem(SCHEDULES_KEY, fill.job_id(number - 1))


def start_lateness(after: float) -> dict[str, float]:
    """Return how long after their due the runs since `after` started, in ms."""
    runs = ScheduledTaskInstance.objects.filter(
        due__gte=datetime.fromtimestamp(after, UTC), started__isnull=False
    )
    late = [1000 * run.lateness.total_seconds() for run in runs if run.lateness is not None]
    return {
        "promptest": percentile(late, 10),
        "p50": percentile(late, 50),
        "p99": percentile(late, 99),
    }


def one_by_one(number: int) -> dict[str, float]:
    """Request runs one after the other; return the time until the row is finished, in ms."""
    later = timezone.now() + timedelta(days=1)
    schedule = SchedulerService.schedule(later, noop, name="benchmark")
    times = []
    for _ in range(number):
        started = time.perf_counter()
        run_id = SchedulerService.run_now(schedule)
        _wait_until_finished(schedule, run_id.requested)
        times.append(1000 * (time.perf_counter() - started))
    # The worker is still starting during the first ones.
    return {"latency": percentile(times[number // 5 :], 50)}


def _wait_until_finished(schedule: ScheduledTask, requested: datetime | None) -> None:
    deadline = time.monotonic() + 30
    while not schedule.runs.filter(requested=requested, status="finished").exists():
        if time.monotonic() > deadline:
            raise RuntimeError("a manual run has not finished within 30 seconds")
        time.sleep(0.000_5)
