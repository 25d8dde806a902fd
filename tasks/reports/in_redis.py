"""What Redis has to say about schedulers, workers and queues, read in two round trips."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis import Redis
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import utcparse
from rq.worker_registration import REDIS_WORKER_KEYS

from tasks import clock
from tasks.broker.clock import offsets_among, step_in
from tasks.broker.connection import once_a_page
from tasks.broker.keys import (
    CLOCK_STEP_KEY,
    CLOCKS_KEY,
    CONCURRENCY_FIELD,
    COROUTINES_FIELDS,
    HEARTBEAT_TTL_FIELD,
    LEADER_KEY,
    PARKED_KEY,
    SCHEDULERS_KEY,
    SCHEDULES_KEY,
    WORKER_PREFIX,
    parked_key,
    places_key,
    queue_key,
    scheduled_key,
    taken_key,
)
from tasks.job import COROUTINE, Job
from tasks.ledger.summaries import LATE
from tasks.queue import usable_queues
from tasks.timing.instants import from_score, to_score

# How many jobs of a queue are read, how many that were put off, and how many late schedules.
JOBS_READ = 500
# For how many places it is read which jobs wait for one.
PLACES_READ = 100
# For how long a scheduler, or a worker of ours, that says nothing is still shown.
SILENT_FOR = timedelta(seconds=30)
WORKER_FIELDS = (
    *("queues", "last_heartbeat", "state", "death"),
    *(HEARTBEAT_TTL_FIELD, CONCURRENCY_FIELD, *COROUTINES_FIELDS),
)


@dataclass(frozen=True, slots=True)
class SchedulerSeen:
    """A scheduler: whether it leads, and how long ago it last said that it is alive."""

    name: str
    leads: bool
    age: timedelta


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker: the queues that it serves, and how long ago it last said that it is alive.

    `runs_one` says whether the child that runs one at a time does so now, and `job_id` what, if
    that is known. With a `concurrency` above 0 a second child runs so many coroutines side by side
    at most, and now as many as `coroutines` says; of which some may be in children that are
    `draining`: each is being replaced.
    """

    name: str
    queues: tuple[str, ...]
    age: timedelta
    runs_one: bool
    job_id: str
    concurrency: int = 0
    coroutines: int = 0
    draining: int = 0

    @property
    def is_busy(self) -> bool:
        """Whether it runs anything."""
        return self.runs_one or self.coroutines > 0

    @property
    def is_full(self) -> bool:
        """Whether as many coroutines as it may run side by side are under way."""
        return 0 < self.concurrency <= self.coroutines

    def has_room(self, kind: str) -> bool:
        """Return whether it can start a job of this kind (`tasks.job.COROUTINE`, or "") at once."""
        if kind == COROUTINE and self.concurrency:
            return not self.is_full
        return not self.runs_one


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """A queue: how many jobs wait on it, the ids of the first of these, and since when they do.

    `kind` is that of the first one. `put_off` are the ids of jobs that are to be put on it later,
    with the times.
    """

    name: str
    depth: int
    job_ids: tuple[str, ...]
    oldest: datetime | None
    put_off: tuple[tuple[str, datetime], ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class ParkedSeen:
    """What only so many run of at a time: how many do, and the ids of jobs that wait for it."""

    place: str
    job_ids: tuple[str, ...]
    taken: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What Redis says now.

    `undispatched` are the job ids of schedules, with their dues, that no scheduler has put on their
    queues although they are late. `parked` is what jobs wait for a place of. `offsets` are the
    processes whose system's clocks are off, and `step` is when Redis's own was last set, and by how
    many seconds.
    """

    now: datetime
    round_trip: timedelta
    schedulers: tuple[SchedulerSeen, ...]
    workers: tuple[WorkerSeen, ...]
    queues: tuple[QueueSeen, ...]
    undispatched: tuple[tuple[str, datetime], ...]
    next_due: datetime | None
    are_suspended: bool
    offsets: Mapping[str, float]
    step: tuple[datetime, float] | None
    parked: tuple[ParkedSeen, ...] = ()


def read_snapshot(redis: Redis) -> Snapshot:
    """Return what Redis says now, read once for a page; raises RedisError if it is unavailable."""
    return once_a_page("snapshot", lambda: _read_snapshot(redis))


def _read_snapshot(redis: Redis) -> Snapshot:
    now, names = clock.now(), usable_queues()
    sent = time.monotonic()
    with redis.pipeline(transaction=False) as pipe:
        pipe.get(LEADER_KEY)
        pipe.zrange(SCHEDULERS_KEY, 0, -1, withscores=True)
        pipe.smembers(REDIS_WORKER_KEYS)
        pipe.zrangebyscore(
            SCHEDULES_KEY, "-inf", to_score(now - LATE), 0, JOBS_READ, withscores=True
        )
        pipe.zrangebyscore(SCHEDULES_KEY, to_score(now), "+inf", 0, 1, withscores=True)
        pipe.exists(WORKERS_SUSPENDED)
        pipe.hgetall(CLOCKS_KEY)
        pipe.get(CLOCK_STEP_KEY)
        pipe.smembers(PARKED_KEY)
        for name in names:
            pipe.llen(queue_key(name))
            pipe.lrange(queue_key(name), 0, JOBS_READ - 1)
            pipe.zrange(scheduled_key(name), 0, JOBS_READ - 1, withscores=True)
        answers = iter(pipe.execute())
    round_trip = timedelta(seconds=time.monotonic() - sent)
    leader, alive, worker_keys, late, upcoming, suspended, offsets, step = _next(answers, 8)
    places = sorted(name.decode() for name in next(answers))[:PLACES_READ]
    queues = [(name, *_next(answers, 3)) for name in names]
    worker_names = sorted(key.decode().removeprefix(WORKER_PREFIX) for key in worker_keys)
    workers, heads, parked = _read_details(redis, now, worker_names, queues, places)
    return Snapshot(
        now=now,
        round_trip=round_trip,
        schedulers=_schedulers(leader, alive, now),
        workers=tuple(_workers(worker_names, workers, now)),
        queues=tuple(
            QueueSeen(name, depth, _texts(ids), _time(since), _timed(put_off), _text(kind))
            for (name, depth, ids, put_off), (since, kind) in zip(queues, heads, strict=True)
        ),
        undispatched=_timed(late),
        next_due=from_score(upcoming[0][1]) if upcoming else None,
        are_suspended=bool(suspended),
        offsets=offsets_among(offsets),
        step=step_in(step),
        parked=tuple(
            ParkedSeen(place, _texts(ids), taken)
            for place, (ids, taken) in zip(places, parked, strict=True)
        ),
    )


def _next(answers: Iterator[Any], number: int) -> list[Any]:
    return [next(answers) for _ in range(number)]


def _read_details(
    redis: Redis,
    now: datetime,
    worker_names: Sequence[str],
    queues: Sequence[Any],
    places: Sequence[str],
) -> tuple[list[Any], list[Any], list[Any]]:
    """Read the workers, since when the first job of each queue waits, and what has no place.

    Of the first job its kind is read, too.
    """
    with redis.pipeline(transaction=False) as pipe:
        for name in worker_names:
            pipe.hmget(WORKER_PREFIX + name, *WORKER_FIELDS)
            pipe.ttl(WORKER_PREFIX + name)
            pipe.hget(taken_key(name), "job")
        for _name, _depth, ids, _put_off in queues:
            key = Job.key_for((ids or [b""])[0].decode(errors="replace"))
            pipe.hmget(key, "enqueued_at", "kind")
        for name in places:
            pipe.lrange(parked_key(name), 0, JOBS_READ - 1)
            pipe.zcount(places_key(name), f"({now.timestamp()}", "+inf")
        answers = pipe.execute()
    split, last = 3 * len(worker_names), len(answers) - 2 * len(places)
    details = [(*answers[at], *answers[at + 1 : at + 3]) for at in range(0, split, 3)]
    parked = zip(answers[last::2], answers[last + 1 :: 2], strict=True)
    return details, answers[split:last], list(parked)


def _schedulers(leader: bytes | None, alive: Any, now: datetime) -> tuple[SchedulerSeen, ...]:
    ages = {name.decode(): now - from_score(score) for name, score in alive}
    leading = (leader or b"").decode(errors="replace")
    if leading:
        ages.setdefault(leading, timedelta())  # One of an older version gives no sign of life.
    seen = [
        SchedulerSeen(name, name == leading, max(age, timedelta()))
        for name, age in ages.items()
        if age <= SILENT_FOR
    ]
    return tuple(sorted(seen, key=lambda one: (not one.leads, one.name)))


def _workers(names: Sequence[str], details: Sequence[Any], now: datetime) -> Iterator[WorkerSeen]:
    for name, detail in zip(names, details, strict=True):
        queues, heartbeat, state, death, kept_for, concurrency, *coroutines, left, job_id = detail
        if queues is None or death is not None or _is_silent(kept_for, left):
            continue  # It is gone, and Redis only hasn't been told.
        # It takes no job when it looks for one and there is none. It isn't known what it took more
        # than an hour ago, or what one of RQ's own took.
        runs_one = state == b"busy" if job_id is None else job_id != b""
        running = [int(number) for number in coroutines if number is not None]
        yield WorkerSeen(
            name=name,
            queues=tuple(filter(None, queues.decode().split(","))),
            age=max(now - (_time(heartbeat) or now), timedelta()),
            runs_one=runs_one,
            job_id=_text(job_id),
            concurrency=int(concurrency or 0),
            coroutines=sum(running) if int(concurrency or 0) else 0,
            draining=max(len(running) - 1, 0),
        )


def _is_silent(kept_for: bytes | None, left: int) -> bool:
    """Return whether a worker's last heartbeat is long ago, by Redis's clock.

    RQ's own workers send none for minutes while they wait, and don't say how long one keeps them.
    """
    return kept_for is not None and timedelta(seconds=int(kept_for) - left) > SILENT_FOR


def _texts(ids: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(job_id.decode(errors="replace") for job_id in ids)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _timed(entries: Sequence[tuple[bytes, float]]) -> tuple[tuple[str, datetime], ...]:
    return tuple((member.decode(errors="replace"), from_score(score)) for member, score in entries)


def _time(text: bytes | None) -> datetime | None:
    with suppress(ValueError):  # What isn't a time was written by others.
        return utcparse(text.decode()) if text else None
    return None
