"""A due schedule's image in Redis, and its step."""

import json
from datetime import timedelta
from typing import Any

from django.utils import timezone
from redis import Redis
from rq.utils import utcformat

from tasks.broker import projection
from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.scheduler.scripts import DISPATCH
from tasks.timing.instants import to_milliseconds, to_score

NOW = utcformat(timezone.now())


def dispatch(redis: Redis, schedule: ScheduledTask, **values: Any) -> list[str]:
    """Run the script for the schedule's first occurrence, with changes by `values`."""
    return run_script(redis, step(schedule, **values))[0]


def step(schedule: ScheduledTask, **values: Any) -> list[Any]:
    text = projection.dispatch_record(schedule)
    made: dict[str, Any] = {
        "job_id": schedule.job_id,
        "score": to_score(schedule.first),
        "version": text.partition(" ")[0],
        "queue": schedule.queue,
        "next": to_milliseconds(schedule.first + timedelta(seconds=schedule.interval)),
        "ids": [RunId(schedule.job_id, schedule.first).job_id],
    } | values
    return [*list(made.values())[:5], *made["ids"]]


def run_script(redis: Redis, *steps: list[Any]) -> list[list[str]]:
    answer = redis.eval(DISPATCH, 2, SCHEDULES_KEY, DISPATCH_RECORDS_KEY, NOW, json.dumps(steps))
    return [text.decode().split() for text in answer]


def score(redis: Redis, schedule: ScheduledTask) -> float | None:
    return redis.zscore(SCHEDULES_KEY, schedule.job_id)
