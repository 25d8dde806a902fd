"""A due schedule's image in Redis, and its step."""

import json
from datetime import timedelta
from typing import Any

from django.utils import timezone
from redis import Redis
from rq.utils import utcformat

from tasks.broker import projection
from tasks.broker.keys import SCHEDULES_KEY, TEXTS_KEY
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.scheduler.scripts import DISPATCH
from tasks.timing.instants import to_milliseconds, to_score

NOW = utcformat(timezone.now())


def dispatch(redis: Redis, task: ScheduledTask, **values: Any) -> list[str]:
    """Run the script for the schedule's first occurrence, with changes by `values`."""
    return run_script(redis, step(task, **values))[0]


def step(task: ScheduledTask, **values: Any) -> list[Any]:
    text = projection.dispatch_text(task)
    made: dict[str, Any] = {
        "job_id": task.job_id,
        "score": to_score(task.first),
        "version": text.partition(" ")[0],
        "queue": task.queue,
        "next": to_milliseconds(task.first + timedelta(seconds=task.interval)),
        "ids": [RunId(task.job_id, task.first).job_id],
    } | values
    return [*list(made.values())[:5], *made["ids"]]


def run_script(redis: Redis, *steps: list[Any]) -> list[list[str]]:
    answer = redis.eval(DISPATCH, 2, SCHEDULES_KEY, TEXTS_KEY, NOW, json.dumps(steps))
    return [text.decode().split() for text in answer]


def score(redis: Redis, task: ScheduledTask) -> float | None:
    return redis.zscore(SCHEDULES_KEY, task.job_id)
