"""Our tick with a few schedules due among very many."""

import statistics
import time
from datetime import timedelta

import django_rq
from django.utils import timezone

from benchmarks.keys import QUEUE_KEY, SCHEDULES_KEY
from benchmarks.ours import fill

DAY = 86_400


def tick(number: int, due: int, repetitions: int) -> dict[str, float]:
    """Time calls that each find `due` schedules due."""
    first = timezone.now().replace(microsecond=0) - timedelta(seconds=1)
    next_due = first + timedelta(seconds=DAY)
    fill.schedules(number, first=first, interval=DAY, next_due=next_due, rows=False)
    redis, scheduler = fill.redis(), django_rq.get_scheduler("default")
    scheduler.enqueue_jobs()
    times = []
    for repetition in range(repetitions):
        # Different ones each time: none of them has been dispatched for this due before.
        ids = [fill.job_id(repetition * due + index + 1) for index in range(due)]
        redis.zadd(SCHEDULES_KEY, dict.fromkeys(ids, first.timestamp()))
        started = time.perf_counter()
        scheduler.enqueue_jobs()
        times.append(time.perf_counter() - started)
    arrived = redis.llen(QUEUE_KEY)
    if arrived != due * repetitions:
        raise RuntimeError(f"only {arrived} of {due * repetitions} were dispatched")
    return {"ms": 1000 * statistics.median(times)}
