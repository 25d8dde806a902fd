"""External jobs: scheduled with rq-scheduler's own interface, without a row of ours.

They exist only in Redis. They are dispatched as rq-scheduler does it, under their own id, but in
one step with moving forward. What can't be dispatched is kept in quarantine, with the reason.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, cast

from django.utils import timezone
from django.utils.translation import gettext
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError, WatchError
from rq.queue import Queue

from tasks import clock
from tasks.broker.enqueue import wake
from tasks.broker.keys import QUARANTINE_KEY, SCHEDULES_KEY, is_wrong_type
from tasks.exceptions import NotPossible, SpecError
from tasks.job import Job
from tasks.job_ids import is_template
from tasks.timing import spec
from tasks.timing.instants import from_score, to_score

# Our own field in an external job: how often it still runs, which the meta loses whenever the job's
# own run saves an older copy. With the creation time of the job, because an id can be reused.
REPEATS_FIELD = "repeats"
# How often dispatch of one job is tried while others change the sorted set.
TRIES = 20
# A cron expression with a year, as rq-scheduler reads it.
CRON_OF_SIX = "30 6 * * MON-FRI *"
# How many members of the sorted set are searched for external jobs to show.
SEARCHED = 10_000
# KEYS: the sorted set, the dispatch records, the quarantine. ARGV: the member, its score and record
# as seen, the note to keep ("" for none). Returns whether it was as seen, and has been removed.
SET_ASIDE = """
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or (score ~= ARGV[2] and tonumber(score) ~= tonumber(ARGV[2])) then return 0 end
if (redis.call('HGET', KEYS[2], ARGV[1]) or '') ~= ARGV[3] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[3], ARGV[1], ARGV[4]) end
return 1
"""
# KEYS: the sorted set, the quarantine. ARGV: the member, its score from now on.
RESCHEDULE = """
if redis.call('HDEL', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('ZADD', KEYS[1], 'NX', ARGV[2], ARGV[1])
return 1
"""


class Scheduler(Protocol):
    """What dispatch needs of rq-scheduler's class."""

    connection: Redis

    def get_queue_for_job(self, job: Job) -> Queue: ...


@dataclass(frozen=True, slots=True)
class ExternalJob:
    """An external job as people see it: `due` is None if its score is not a valid time."""

    member: bytes
    function: str
    due: datetime | None
    reason: str = ""

    @property
    def name(self) -> str:
        return _name(self.member)


def dispatch(job_id: str, score: float, scheduler: Scheduler) -> bool:
    """Put a job on its queue and move it forward, if `score` is still its score.

    Returns whether it did; otherwise others have changed it, or kept changing the set. Raises an
    exception if the job can't be read or has invalid values.
    """
    for _ in range(TRIES):
        with suppress(WatchError), scheduler.connection.pipeline() as pipe:
            pipe.watch(SCHEDULES_KEY, Job.key_for(job_id))
            if pipe.zscore(SCHEDULES_KEY, job_id) != score:
                return False
            _dispatch(_read(job_id, scheduler.connection), score, pipe, scheduler)
            return True
    return False


def enqueue(job: Job, scheduler: Scheduler) -> None:
    """Put a job on its queue as the caller has it and move it forward, in one step."""
    while True:
        with suppress(WatchError), scheduler.connection.pipeline() as pipe:
            pipe.watch(SCHEDULES_KEY, job.key)
            score = pipe.zscore(SCHEDULES_KEY, job.id)
            _dispatch(job, score, pipe, scheduler)
            return


def _dispatch(job: Job, score: float | None, pipe: Pipeline, scheduler: Scheduler) -> None:
    """Do both in the transaction of a pipeline that watches them; raises WatchError."""
    created = str(pipe.hget(job.key, "created_at"))
    known = cast(bytes | None, pipe.hget(job.key, REPEATS_FIELD))
    left = _repeats_left(job.meta, created, known)
    next_score = _next_score(job.meta, left, score)
    if left is not None:
        job.meta["repeat"] = left
    queue = scheduler.get_queue_for_job(job)
    if not job._dependency_ids:  # Otherwise RQ begins the transaction.
        pipe.multi()
    queue.enqueue_job(job, pipeline=pipe, at_front=bool(job.enqueue_at_front))
    if left is not None:
        pipe.hset(job.key, REPEATS_FIELD, json.dumps([created, left]))
    if next_score is None:
        pipe.zrem(SCHEDULES_KEY, job.id)
    else:
        pipe.zadd(SCHEDULES_KEY, {job.id: next_score})
    pipe.execute()


def _read(job_id: str, connection: Redis) -> Job:
    """Return a job, fully decoded; raises an exception if it can't be."""
    try:
        job = cast(Job, Job.fetch(job_id, connection=connection))
    except ResponseError as error:
        if is_wrong_type(error):
            raise ValueError("its job is of another type") from error
        raise
    job.func_name  # noqa: B018  (decodes the payload)
    if "unserialized" in job.meta:
        raise ValueError("its meta can't be decoded")
    return job


def _repeats_left(meta: dict[str, Any], created: str, known: bytes | None) -> int | None:
    """Return how often a job still runs after this run; None if there is no limit."""
    repeat = meta.get("repeat")
    if repeat is None:
        return None
    counted = json.loads(known) if known else None
    before = counted[1] if counted and counted[0] == created else int(repeat)
    return max(before - 1, 0)


def _next_score(meta: dict[str, Any], left: int | None, score: float | None) -> float | None:
    if left == 0:
        return None
    now = clock.now()
    if meta.get("cron_string"):
        return next_cron_due(meta, now)
    interval = int(meta.get("interval") or 0)
    if interval <= 0:
        return None
    if score is None:
        return to_score(now) + interval
    return score + interval * max(int((now.timestamp() - score) // interval) + 1, 1)


def next_cron_due(meta: dict[str, Any], now: datetime) -> float:
    """Return the next due of a job with a cron expression; raises SpecError if it is never due."""
    zone = timezone.get_default_timezone_name() if meta.get("use_local_timezone") else "UTC"
    written = meta["cron_string"]
    cron = _converted(written)
    try:
        one = spec.Spec(cron=cron, timezone=zone, both_days=True)
    except SpecError as error:
        values = error.values | ({"cron": written} if "cron" in error.values else {})
        raise SpecError(error.field, error.text, **values) from error
    due = spec.next_due(one, now)
    if due is None:
        raise SpecError(
            "cron",
            "“%(cron)s” is never due: the clocks skip it. Choose another.",
            cron=written,
        )
    return to_score(due)


def _converted(cron: Any) -> Any:
    """Return rq-scheduler's cron expression as one of ours, to be used with `both_days`.

    In rq-scheduler's, a sixth field is a year, seconds in front make it seven fields, and a day may
    be “?”. Raises SpecError for any year but “*”.
    """
    fields = cron.split() if isinstance(cron, str) else []
    if len(fields) in (6, 7) and fields.pop() != "*":
        raise SpecError(
            "cron",
            "“%(cron)s” ends with a year, which must be *, as in %(example)s.",
            cron=cron,
            example=CRON_OF_SIX,
        )
    if len(fields) not in (5, 6):
        return cron
    *time, day, month, weekday = fields
    day, weekday = ("*" if field == "?" else field for field in (day, weekday))
    return " ".join([*time, day, month, weekday])


# For people


def note(score: float, reason: str) -> str:
    """Return what the quarantine keeps about a job: when it was due, and why it is there."""
    return json.dumps({"score": repr(score), "reason": reason})


def scheduled(redis: Redis) -> Iterator[ExternalJob]:
    """Yield the external jobs among those due next; changes nothing."""
    entries = cast(
        list[tuple[bytes, float]],
        redis.zrange(SCHEDULES_KEY, 0, SEARCHED - 1, withscores=True),
    )
    for member, score in entries:
        if not is_template(member.decode(errors="replace")):
            yield ExternalJob(member, _function_of(member, redis), _datetime(score))


def quarantined(redis: Redis) -> Iterator[ExternalJob]:
    """Yield what could not be dispatched, with the reason; changes nothing."""
    for member, kept_note in cast(dict[bytes, bytes], redis.hgetall(QUARANTINE_KEY)).items():
        kept = json.loads(kept_note)
        function = _function_of(member, redis)
        yield ExternalJob(member, function, _datetime(float(kept["score"])), kept["reason"])


def put_back(member: bytes, redis: Redis) -> None:
    """Make a job in quarantine due now; raises NotPossible if it isn't there."""
    now = repr(to_score(clock.now()))
    if not redis.eval(RESCHEDULE, 2, SCHEDULES_KEY, QUARANTINE_KEY, member, now):
        raise NotPossible(gettext("“%(job)s” is not set aside any more.") % {"job": _name(member)})
    wake(redis)


def discard(member: bytes, redis: Redis) -> None:
    """Remove a job from quarantine; the job itself, if there is one, stays."""
    redis.hdel(QUARANTINE_KEY, member)


def _name(member: bytes) -> str:
    return member.decode(errors="backslashreplace")


def _function_of(member: bytes, redis: Redis) -> str:
    try:
        return str(Job.fetch(member.decode(), connection=redis).func_name)
    except Exception:  # It can hold anything, and is only shown.
        return ""


def _datetime(score: float) -> datetime | None:
    try:
        return from_score(score)
    except (OverflowError, ValueError):
        return None
