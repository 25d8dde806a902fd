"""What is due and what was dispatched."""

import json
from collections.abc import Callable
from typing import Any

from django.utils import timezone
from redis import Redis

from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY
from tasks.models import ScheduledTask


def moment(redis: Redis, schedule: ScheduledTask) -> float | None:
    return redis.zscore(SCHEDULES_KEY, schedule.job_id)


# Bad schedules hurt only themselves


def zadd(redis: Redis, member: bytes | str, seconds_ago: float = 5) -> None:
    redis.zadd(SCHEDULES_KEY, {member: timezone.now().timestamp() - seconds_ago})


def template_with(redis: Redis, name: str, field: bytes) -> None:
    redis.hset(f"rq:job:{name}", mapping={"origin": "default"})
    redis.hset(DISPATCH_RECORDS_KEY, name, b"v" * 32 + b" " + field)
    zadd(redis, name)


def key_of_wrong_type(redis: Redis) -> None:
    redis.set("rq:job:bad", "x")
    zadd(redis, "bad")


def pickled_job(redis: Redis) -> None:
    redis.hset("rq:job:crafted", mapping={"data": b"\x80\x04.", "created_at": ""})
    zadd(redis, "crafted")


def policies(**values: Any) -> bytes:
    defaults = {"first": None, "start": None, "end": None, "catch_up": "all", "start_deadline": 5}
    return json.dumps(defaults | values).encode()


POISONS: dict[str, Callable[[Redis], None]] = {
    "undecodable field": lambda redis: template_with(redis, "schedule-bad", b"\xff{"),
    "field that is no object": lambda redis: template_with(redis, "schedule-bad", b"[1]"),
    "impossible spec": lambda redis: template_with(redis, "schedule-bad", policies(cron="x")),
    "unknown key": lambda redis: template_with(redis, "schedule-bad", policies(**{"\ud800": 1})),
    "wrong type": lambda redis: key_of_wrong_type(redis),
    "no job": lambda redis: zadd(redis, "gone"),
    "undecodable member": lambda redis: zadd(redis, b"\xff\xfe"),
    "undecodable member like ours": lambda redis: zadd(redis, b"schedule-\xff", -1_000_000),
    "member that is no id": lambda redis: zadd(redis, "with space\n"),
    "endless past": lambda redis: zadd(redis, "minus", float("inf")),
    "undecodable job": lambda redis: pickled_job(redis),
}
