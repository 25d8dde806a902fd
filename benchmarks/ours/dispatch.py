"""Our dispatch, and the floor below it."""

import time
import uuid
from datetime import timedelta
from typing import Any, cast

import django_rq
from django.utils import timezone

from benchmarks.keys import QUEUE_KEY, SCHEDULES_KEY
from benchmarks.ours import fill

CHUNK = 500

# What no dispatch with fresh job ids can do without. KEYS: the queue, the sorted set. ARGV: now,
# then for each schedule: its job id, the occurrence's, the next score.
BARE_COPY = """
for i = 2, #ARGV, 3 do
  local key = 'rq:job:' .. ARGV[i+1]
  redis.call('COPY', 'rq:job:' .. ARGV[i], key)
  redis.call('HSET', key, 'status', 'queued', 'created_at', ARGV[1], 'enqueued_at', ARGV[1])
  redis.call('RPUSH', KEYS[1], ARGV[i+1])
  redis.call('ZADD', KEYS[2], ARGV[i+2], ARGV[i])
end
"""


def dispatch(number: int, spec: str) -> dict[str, float]:
    """Time one call that puts the occurrences of `number` due schedules on their queue."""
    _fill(number, spec)
    scheduler = django_rq.get_scheduler("default")
    started = time.perf_counter()
    scheduler.enqueue_jobs()
    seconds = time.perf_counter() - started
    _check(number)
    return {"rate": number / seconds}


def floor(number: int) -> dict[str, float]:
    """Time the bare script over the same schedules: it decides and reads nothing."""
    _fill(number, "interval")
    redis = fill.redis()
    copy = redis.register_script(BARE_COPY)
    copy(keys=[QUEUE_KEY, SCHEDULES_KEY], args=["now"])
    members = cast(list[bytes], redis.zrange(SCHEDULES_KEY, 0, -1))
    now = timezone.now()
    text, score = now.isoformat(), (now + timedelta(hours=1)).timestamp()
    started = time.perf_counter()
    for start in range(0, number, CHUNK):
        args: list[Any] = [text]
        for member in members[start : start + CHUNK]:
            args += [member, uuid.uuid4().hex, score]
        copy(keys=[QUEUE_KEY, SCHEDULES_KEY], args=args)
    seconds = time.perf_counter() - started
    _check(number)
    return {"rate": number / seconds}


def _fill(number: int, spec: str) -> None:
    due = timezone.now().replace(microsecond=0) - timedelta(seconds=1)
    if spec == "cron":
        # On time, as the intervals are: late occurrences are dispatched another way.
        cron = f"{due.second} {due.minute} {due.hour} * * *"
        fill.schedules(number, cron=cron, next_due=due)
    else:
        fill.schedules(number, first=due, interval=3600, next_due=due)


def _check(number: int) -> None:
    arrived = fill.redis().llen(QUEUE_KEY)
    if arrived != number:
        raise RuntimeError(f"only {arrived} of {number} were dispatched")
