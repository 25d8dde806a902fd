"""What Redis must hold for each schedule, made from its row."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import Error
from redis import Redis
from redis.exceptions import RedisError
from rq.job import JobStatus
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from tasks import clock
from tasks.broker.enqueue import marks_of, meta_of, timeout_of, wake
from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY, with_key_names
from tasks.exceptions import TasksError
from tasks.job import FAILURE_TTL, RESULT_TTL, Job
from tasks.masking import mask_text
from tasks.models import ScheduledTask
from tasks.storable import canonical_json, clean_text
from tasks.timing import spec
from tasks.timing.catch_up import CatchUp
from tasks.timing.instants import to_milliseconds
from tasks.timing.spec import spec_from_json

logger = logging.getLogger(__name__)

VERSION_LENGTH = 32
# A problem is cut off after this many characters.
PROBLEM_LENGTH = 1000
# The fields of a dispatch record that aren't the spec's.
POLICIES = {"queue", "catch_up", "start_deadline"}
SPEC_DEFAULTS = {one.name: one.default for one in fields(spec.Spec)}
# KEYS: the sorted set, the dispatch records. ARGV: as JSON a list of images, each a list: job id,
# dispatch record, next due in ms (-1: none), and the template's fields and values. A schedule that
# Redis already has keeps its score unless what determines it has changed: dispatch is ahead of the
# rows.
PUT = with_key_names("""
for _, image in ipairs(cjson.decode(ARGV[1])) do
  local id, record, due, template = image[1], image[2], image[3], image[4]
  local known = redis.call('HGET', KEYS[2], id)
  local key = JOB .. id
  redis.call('DEL', key)
  redis.call('HSET', key, unpack(template))
  redis.call('HSET', KEYS[2], id, record)
  if due < 0 then
    redis.call('ZREM', KEYS[1], id)
  elseif not known or string.sub(known, AFTER_VERSION) ~= string.sub(record, AFTER_VERSION)
         or not redis.call('ZSCORE', KEYS[1], id) then
    redis.call('ZADD', KEYS[1], string.format('%.3f', due / 1000), id)
  end
end
""").replace("AFTER_VERSION", str(VERSION_LENGTH + 2))


class Image(NamedTuple):
    """A live schedule as Redis must hold it, in the order in which the script reads it."""

    job_id: str
    dispatch_record: str
    # In milliseconds, -1 if it is never due again.
    next_due: int
    # The fields and values of its own job, alternately.
    template: list[str]


class DispatchRecord(NamedTuple):
    """A schedule as dispatch sees it: read from Redis, without the database."""

    version: str
    queue: str
    catch_up: CatchUp
    start_deadline: int | None
    # If it is a plain interval, as most are.
    grid: spec.Grid | None
    # All of it as JSON, from which any other spec is read.
    text: str

    def spec(self) -> spec.Spec:
        """Return its spec; raises SpecError or TypeError if it is invalid."""
        if self.grid is not None:
            return self.grid.spec()
        return _read_spec(self.text)


def dispatch_record(schedule: ScheduledTask) -> str:
    """Return what dispatch needs to know about a row, as text: the same row gives the same text.

    Its version covers more than its JSON: everything that the schedule's jobs are made from.
    """
    given = {
        name: value
        for name, value in schedule.spec_values().items()
        if value != SPEC_DEFAULTS[name]
    }
    grid = spec.grid(given)
    values: dict[str, Any] = {"grid": list(grid)} if grid is not None else {}
    if grid is None:
        values = {name: value for name, value in schedule.spec_json().items() if name in given}
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
        *meta_of(schedule).items(),
        *marks_of(schedule).items(),
    ]
    version = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    return f"{version[:VERSION_LENGTH]} {text}"


def read_dispatch_record(record: bytes) -> DispatchRecord:
    """Decode a record; raises ValueError, KeyError, TypeError or SpecError if it is invalid."""
    decoded = record.decode()
    version, text = decoded[:VERSION_LENGTH], decoded[VERSION_LENGTH:]
    values = json.loads(text)
    queue, catch_up = values["queue"], values["catch_up"]
    start_deadline, grid = values.get("start_deadline"), None
    if "grid" in values:
        grid = spec.Grid(*values["grid"])
        grid.check()
    return DispatchRecord(version, queue, catch_up, start_deadline, grid, text)


@lru_cache(maxsize=2_000)
def _read_spec(text: str) -> spec.Spec:
    """Decode the spec in a record without its version: many schedules share one."""
    return spec_from_json({k: v for k, v in json.loads(text).items() if k not in POLICIES})


def image(schedule: ScheduledTask) -> Image:
    """Return what Redis must hold for a live schedule.

    Raises SpecError or UnknownTaskFunction if the row can't be scheduled.
    """
    next_due = spec.next_due(schedule.spec(), schedule.settled_through)
    due = -1 if next_due is None else to_milliseconds(next_due)
    return Image(schedule.job_id, dispatch_record(schedule), due, _template(schedule))


def _template(schedule: ScheduledTask) -> list[str]:
    """Return the fields and values of a schedule's own job, as RQ writes them.

    It has what the pages of rq-scheduler and django-rq show, and nothing that is empty: the less
    it holds, the faster it is copied.
    """
    meta = {"cron_string": schedule.cron, "interval": schedule.interval, "repeat": schedule.repeat}
    shown = {key: value for key, value in meta.items() if value}
    call = (schedule.function, None, schedule.args, schedule.kwargs)
    values = {
        "created_at": utcformat(clock.now()),
        "data": JSONSerializer.dumps(call).decode(),
        "origin": schedule.queue,
        "description": schedule.name,
        "timeout": str(timeout_of(schedule)),
        "result_ttl": str(RESULT_TTL),
        "failure_ttl": str(FAILURE_TTL),
        "status": JobStatus.SCHEDULED.value,
        "meta": json.dumps(shown | meta_of(schedule)),
    }
    values |= marks_of(schedule)
    return [text for pair in values.items() for text in pair]


def put(schedules: Iterable[ScheduledTask], connection: Redis) -> None:
    """Write live schedules to Redis as their rows say: template, dispatch record and next due.

    A schedule that Redis already has, unchanged, keeps its next due, because dispatch is ahead of
    the rows. Otherwise its next due is the first one that isn't settled yet. Raises SpecError or
    UnknownTaskFunction if a row can't be scheduled.
    """
    put_images([image(schedule) for schedule in schedules], connection)


def put_images(images: Sequence[Image], connection: Redis) -> None:
    """Write the images of many schedules in one atomic step."""
    if images:
        connection.eval(PUT, 2, SCHEDULES_KEY, DISPATCH_RECORDS_KEY, json.dumps(images))
        wake(connection)


def remove(job_ids: Iterable[str], connection: Redis) -> None:
    """Remove schedules from Redis: none of them is dispatched after this returns."""
    ids = list(job_ids)
    if ids:
        with connection.pipeline() as pipe:
            pipe.zrem(SCHEDULES_KEY, *ids)
            pipe.hdel(DISPATCH_RECORDS_KEY, *ids)
            pipe.delete(*(Job.key_for(job_id) for job_id in ids))
            pipe.execute()


def project(schedule: ScheduledTask, redis: Redis) -> str:
    """Write a schedule to Redis as its row says; return its problem, and note it on the row.

    `schedule` is the row as just read. Raises RedisError if Redis is unavailable.
    """
    return project_all([schedule], redis)[schedule.pk]


def project_all(schedules: Iterable[ScheduledTask], redis: Redis) -> dict[int, str]:
    """Write schedules to Redis as their rows say; return their problems by primary key.

    Whoever changes a row projects it after the commit, and every projection reads the rows again
    afterwards. So whatever order projections begin in, the last one to write to Redis writes what
    the row says. Raises RedisError if Redis is unavailable.
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
    wanted = _wanted(schedules)
    put_images(wanted.images, redis)
    remove(wanted.removed, redis)
    problems = {schedule.pk: wanted.problems.get(schedule.pk, "") for schedule in schedules}
    _note_problems(schedules, problems)
    return problems


@dataclass
class _Wanted:
    """What Redis should hold for some schedules."""

    images: list[Image] = field(default_factory=list)
    # Job ids.
    removed: list[str] = field(default_factory=list)
    # Why live schedules can't be scheduled, by primary key.
    problems: dict[int, str] = field(default_factory=dict)


def _wanted(schedules: Iterable[ScheduledTask]) -> _Wanted:
    wanted = _Wanted()
    for schedule in schedules:
        if not schedule.is_live:
            wanted.removed.append(schedule.job_id)
            continue
        try:
            wanted.images.append(image(schedule))
        except (RedisError, Error):
            raise
        except Exception as error:
            wanted.removed.append(schedule.job_id)
            wanted.problems[schedule.pk] = _problem(schedule, error)
    return wanted


def _problem(schedule: ScheduledTask, error: Exception) -> str:
    """Return, as text, why a schedule can't be scheduled; log it unless its row already says so."""
    is_ours = isinstance(error, TasksError)
    text = str(error) if is_ours else f"{type(error).__name__}: {error}"
    problem = clean_text(mask_text(text))[:PROBLEM_LENGTH]
    if problem != schedule.problem:
        trace = None if is_ours else error
        logger.error("Schedule “%s” can't be scheduled: %s", schedule, problem, exc_info=trace)
    return problem


def _note_problems(schedules: Iterable[ScheduledTask], problems: Mapping[int, str]) -> None:
    for schedule in schedules:
        if schedule.problem != problems[schedule.pk]:
            schedule.problem = problems[schedule.pk]
            ScheduledTask.objects.filter(pk=schedule.pk).update(problem=schedule.problem)
