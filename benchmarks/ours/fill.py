"""Many schedules at once: one is made by the service, the others are copies of it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import django_rq
from django.db import connection
from redis import Redis

from benchmarks.keys import SCHEDULES_KEY
from benchmarks.tasks import noop
from tasks.models import ScheduledTask
from tasks.services import SchedulerService

CHUNK = 10_000

# KEYS: the model's job, the sorted set, hashes that have a field for each schedule. ARGV: the
# model's job id, the first number, the last one, the score.
COPY_IMAGES = """
local model = ARGV[1]
for number = ARGV[2], ARGV[3] do
  local id = string.format('schedule-%032d', number)
  redis.call('COPY', KEYS[1], 'rq:job:' .. id)
  redis.call('ZADD', KEYS[2], ARGV[4], id)
  for k = 3, #KEYS do
    redis.call('HSET', KEYS[k], id, redis.call('HGET', KEYS[k], model))
  end
end
"""


def redis() -> Redis:
    """Return the connection to the Redis of the queues."""
    return django_rq.get_connection()


def schedules(
    number: int,
    *,
    first: datetime | None = None,
    interval: int | None = None,
    cron: str | None = None,
    next_due: datetime,
    rows: bool = True,
    function: Callable[..., Any] = noop,
    **options: Any,
) -> None:
    """Make `number` schedules, the same but for their ids, that are next due at `next_due`.

    Without `rows` only the first one is in the database. `options` are other arguments of the
    service.
    """
    options["name"] = "benchmark"
    if cron is not None:
        model = SchedulerService.cron(cron, function, **options)
    else:
        assert first is not None
        model = SchedulerService.schedule(first, function, interval=interval, **options)
    if rows:
        _copy_rows(model, number - 1)
    _copy_images(model.job_id, number, next_due.timestamp())


def job_id(number: int) -> str:
    """Return the job id of the schedule with this number, from 1."""
    return f"schedule-{number:032}"


def _copy_images(model: str, number: int, score: float) -> None:
    """Copy everything that Redis holds of the model, whatever it is."""
    client = redis()
    hashes = [key for key in client.scan_iter(_type="HASH") if client.hexists(key, model)]
    keys = [f"rq:job:{model}", SCHEDULES_KEY, *hashes]
    copy = client.register_script(COPY_IMAGES)
    for start in range(1, number, CHUNK):
        copy(keys=keys, args=[model, start, min(start + CHUNK, number) - 1, score])
    client.zadd(SCHEDULES_KEY, {model: score})
    assert client.zcard(SCHEDULES_KEY) == number


def _copy_rows(model: ScheduledTask, number: int) -> None:
    if connection.vendor == "postgresql":
        digits = "lpad(number::text, {0}, '0')"
    else:
        digits = "printf('%%0{0}d', number)"
    columns = [str(field.column) for field in ScheduledTask._meta.concrete_fields]
    columns.remove("id")
    new = {"job_id": "'schedule-' || " + digits.format(32), "fingerprint": digits.format(64)}
    quoted = [connection.ops.quote_name(column) for column in columns]
    values = [new.get(column, name) for column, name in zip(columns, quoted, strict=True)]
    table = ScheduledTask._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(quoted)})"
            " WITH RECURSIVE numbers(number) AS"
            " (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < %s)"
            f" SELECT {', '.join(values)} FROM numbers, {table} WHERE {table}.id = %s",
            [number, model.pk],
        )
