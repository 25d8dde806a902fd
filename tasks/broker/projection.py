"""What Redis has to hold of the schedules, made from their rows."""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import Error
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from tasks.broker.enqueue import timeout_of, wake
from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY
from tasks.exceptions import TasksError
from tasks.job import FAILURE_TTL, RESULT_TTL, Job
from tasks.models import ScheduledTask
from tasks.storable import canonical_json, clean_text
from tasks.timing import spec
from tasks.timing.catch_up import CatchUp
from tasks.timing.instants import to_milliseconds
from tasks.timing.spec import spec_from_json

logger = logging.getLogger(__name__)

VERSION_LENGTH = 32
# What a text says besides the spec.
POLICIES = {"queue", "catch_up", "start_deadline"}
SPEC_DEFAULTS = {field.name: field.default for field in fields(spec.Spec)}
# KEYS: the sorted set, the texts. ARGV: as JSON a list of images, each a list: job id, text,
# next due in ms (-1: none), and the template's fields and values. What Redis knows already keeps
# its moment, unless what the moment follows from has changed: dispatch is ahead of the rows.
PUT = """
for _, image in ipairs(cjson.decode(ARGV[1])) do
  local id, text, due, template = image[1], image[2], image[3], image[4]
  local known = redis.call('HGET', KEYS[2], id)
  local key = 'rq:job:' .. id
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(template))
  redis.call('HSET', KEYS[2], id, text)
  if due < 0 then
    redis.call('ZREM', KEYS[1], id)
  elseif not known or string.sub(known, AFTER_VERSION) ~= string.sub(text, AFTER_VERSION)
         or not redis.call('ZSCORE', KEYS[1], id) then
    redis.call('ZADD', KEYS[1], string.format('%.3f', due / 1000), id)
  end
end
""".replace("AFTER_VERSION", str(VERSION_LENGTH + 2))
# A schedule in Redis: job id, text, next due in ms or -1, the template's fields and values.
Image = tuple[str, str, int, list[str]]


class Template(NamedTuple):
    """A schedule as dispatch sees it: read from Redis, without the database."""

    version: str
    queue: str
    catch_up: CatchUp
    start_deadline: int | None
    # In milliseconds, if it is a plain interval, as most are.
    grid: spec.Grid | None
    text: str

    def spec(self) -> spec.Spec:
        """Return when it is due; raises SpecError or TypeError if the text is bad."""
        if self.grid is not None:
            return self.grid.spec()
        return _read_spec(self.text)


def dispatch_record(schedule: ScheduledTask) -> str:
    """Return what dispatch needs to know of a row: the same row gives the same text.

    Its version tells more apart than its JSON: all that the schedule's jobs are made from.
    """
    said = {
        field: value
        for field, value in schedule.spec_values().items()
        if value != SPEC_DEFAULTS[field]
    }
    grid = spec.grid(said)
    values: dict[str, Any] = {"grid": list(grid)} if grid is not None else {}
    if grid is None:
        values = {field: value for field, value in schedule.spec_json().items() if field in said}
    values |= {"catch_up": schedule.catch_up, "queue": schedule.queue}
    if schedule.start_deadline is not None:
        values["start_deadline"] = schedule.start_deadline
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    content = [
        text,
        schedule.name,
        schedule.function,
        schedule.args,
        schedule.kwargs,
        schedule.timeout,
    ]
    version = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return f"{version[:VERSION_LENGTH]} {text}"


def read_dispatch_record(text: bytes) -> Template:
    """Decode a schedule's text; raises ValueError, KeyError, TypeError or SpecError if bad."""
    decoded = text.decode()
    values = json.loads(decoded[VERSION_LENGTH:])
    queue, catch_up = values["queue"], values["catch_up"]
    start_deadline, grid = values.get("start_deadline"), None
    if "grid" in values:
        grid = spec.Grid(*values["grid"])
        grid.check()
    version, rest = decoded[:VERSION_LENGTH], decoded[VERSION_LENGTH:]
    return Template(version, queue, catch_up, start_deadline, grid, rest)


@lru_cache(maxsize=2_000)
def _read_spec(text: str) -> spec.Spec:
    """Decode what a text without its version says of the spec: many schedules say the same."""
    return spec_from_json({k: v for k, v in json.loads(text).items() if k not in POLICIES})


def image(schedule: ScheduledTask) -> Image:
    """Return what Redis has to hold of a live schedule.

    Raises SpecError or UnknownTaskFunction if the row can't be scheduled.
    """
    next_due = spec.next_due(schedule.spec(), schedule.settled_through)
    due = -1 if next_due is None else to_milliseconds(next_due)
    return schedule.job_id, dispatch_record(schedule), due, _template(schedule)


def _template(schedule: ScheduledTask) -> list[str]:
    """Return the fields and values of a schedule's own job, as RQ writes them.

    With what rq-scheduler's and django-rq's pages show of it, and without what is empty: the
    less it holds, the faster it is copied.
    """
    meta = {"cron_string": schedule.cron, "interval": schedule.interval, "repeat": schedule.repeat}
    call = (schedule.function, None, schedule.args, schedule.kwargs)
    values = {
        "created_at": utcformat(timezone.now()),
        "data": JSONSerializer.dumps(call).decode(),
        "origin": schedule.queue,
        "description": schedule.name,
        "timeout": str(timeout_of(schedule)),
        "result_ttl": str(RESULT_TTL),
        "failure_ttl": str(FAILURE_TTL),
        "status": JobStatus.SCHEDULED.value,
        "meta": json.dumps({key: value for key, value in meta.items() if value}),
    }
    return [text for pair in values.items() for text in pair]


def put(schedules: Iterable[ScheduledTask], connection: Redis) -> None:
    """Make Redis say what live schedules' rows say: template, and when it is next due.

    What Redis knows already keeps its moment: dispatch is ahead of the rows. Otherwise the next
    due is the first one not yet accounted for. Raises SpecError or UnknownTaskFunction if a row
    can't be scheduled.
    """
    put_images([image(schedule) for schedule in schedules], connection)


def put_images(images: Sequence[Image], connection: Redis) -> None:
    """Write many schedules' images, each as a whole."""
    if images:
        connection.eval(PUT, 2, SCHEDULES_KEY, DISPATCH_RECORDS_KEY, json.dumps(images))
        wake(connection)


def remove(job_ids: Iterable[str], connection: Redis) -> None:
    """Take schedules out of Redis: nothing of them is dispatched after this returns."""
    ids = list(job_ids)
    if ids:
        with connection.pipeline() as pipe:
            pipe.zrem(SCHEDULES_KEY, *ids)
            pipe.hdel(DISPATCH_RECORDS_KEY, *ids)
            pipe.delete(*(Job.key_for(job_id) for job_id in ids))
            pipe.execute()


def project(schedule: ScheduledTask, redis: Redis) -> str:
    """Put a schedule in Redis as its row says; return (and note on the row) why that can't be.

    `schedule` is the row as just read. Raises RedisError if Redis is away.
    """
    return project_all([schedule], redis)[schedule.pk]


def project_all(schedules: Iterable[ScheduledTask], redis: Redis) -> dict[int, str]:
    """Put schedules in Redis as their rows say; return their problems by primary key.

    Whoever changes a row projects it after the commit, and every projection looks at the rows
    again afterwards: so the last one to write Redis has written what the row says, whichever came
    first. Raises RedisError if Redis is away.
    """
    problems: dict[int, str] = {}
    pending = {schedule.pk: schedule for schedule in schedules}
    while pending:
        problems |= _project_as_read(list(pending.values()), redis)
        states = ScheduledTask.objects.filter(pk__in=pending).values_list("pk", "updated", "status")
        now = {pk: (updated, status in ScheduledTask.LIVE) for pk, updated, status in states}
        deleted = [schedule for pk, schedule in pending.items() if pk not in now]
        remove([schedule.job_id for schedule in deleted], redis)
        problems |= {schedule.pk: "" for schedule in deleted}
        changed = [
            pk for pk, state in now.items() if state != (pending[pk].updated, pending[pk].is_live)
        ]
        pending = ScheduledTask.objects.select_related("calendar").in_bulk(changed)
    return problems


def _project_as_read(schedules: Sequence[ScheduledTask], redis: Redis) -> dict[int, str]:
    problems = {schedule.pk: "" for schedule in schedules}
    images: list[Image] = []
    gone = [schedule.job_id for schedule in schedules if not schedule.is_live]
    for schedule in schedules:
        if not schedule.is_live:
            continue
        try:
            images.append(image(schedule))
        except (RedisError, Error):
            raise
        except Exception as error:
            known_kind = isinstance(error, TasksError)
            problem = str(error) if known_kind else f"{type(error).__name__}: {error}"
            problems[schedule.pk] = clean_text(problem)[:1000]
            gone.append(schedule.job_id)
            if problems[schedule.pk] != schedule.problem:
                trace = None if known_kind else error
                logger.error(
                    "Schedule “%s” can't be scheduled: %s", schedule, problem, exc_info=trace
                )
    put_images(images, redis)
    remove(gone, redis)
    for schedule in schedules:
        if schedule.problem != problems[schedule.pk]:
            schedule.problem = problems[schedule.pk]
            ScheduledTask.objects.filter(pk=schedule.pk).update(problem=schedule.problem)
    return problems
