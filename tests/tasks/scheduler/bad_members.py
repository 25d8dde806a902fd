"""Members of the sorted set that can't be dispatched: each may hurt only itself."""

import json
from collections.abc import Callable
from typing import Any

from django.utils import timezone
from redis import Redis

from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY


def make_due(redis: Redis, member: bytes | str, seconds_ago: float = 5) -> None:
    redis.zadd(SCHEDULES_KEY, {member: timezone.now().timestamp() - seconds_ago})


def schedule_with_record(redis: Redis, record: bytes) -> None:
    redis.hset("rq:job:schedule-bad", mapping={"origin": "default"})
    redis.hset(DISPATCH_RECORDS_KEY, "schedule-bad", b"v" * 32 + b" " + record)
    make_due(redis, "schedule-bad")


def job_of_wrong_type(redis: Redis) -> None:
    redis.set("rq:job:bad", "x")
    make_due(redis, "bad")


def pickled_job(redis: Redis) -> None:
    redis.hset("rq:job:crafted", mapping={"data": b"\x80\x04.", "created_at": ""})
    make_due(redis, "crafted")


def record(**values: Any) -> bytes:
    defaults = {"first": None, "start": None, "end": None, "catch_up": "all", "start_deadline": 5}
    return json.dumps(defaults | values).encode()


BAD_MEMBERS: dict[str, Callable[[Redis], None]] = {
    "undecodable record": lambda redis: schedule_with_record(redis, b"\xff{"),
    "record that is not an object": lambda redis: schedule_with_record(redis, b"[1]"),
    "invalid spec": lambda redis: schedule_with_record(redis, record(cron="x")),
    "unknown field": lambda redis: schedule_with_record(redis, record(**{"\ud800": 1})),
    "job of the wrong type": lambda redis: job_of_wrong_type(redis),
    "no job": lambda redis: make_due(redis, "missing"),
    "undecodable member": lambda redis: make_due(redis, b"\xff\xfe"),
    "undecodable member like ours": lambda redis: make_due(redis, b"schedule-\xff", -1_000_000),
    "member that is not a valid id": lambda redis: make_due(redis, "with space\n"),
    "score of minus infinity": lambda redis: make_due(redis, "minus", float("inf")),
    "undecodable job": lambda redis: pickled_job(redis),
}
