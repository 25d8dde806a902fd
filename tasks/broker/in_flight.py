"""What is in flight: which jobs wait on a queue, run, or are scheduled for later."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from redis import Redis
from rq.utils import current_timestamp

from tasks.broker.keys import lease_key, parked_key, queue_key, scheduled_key, started_key
from tasks.database import chunks
from tasks.job import Job
from tasks.job_ids import RunId

# A job's id and its queue.
Waiting = tuple[str, str]

# How long a job counts as started in RQ's registries without a heartbeat, in seconds.
STARTED_TTL_SECONDS = 90


@dataclass(frozen=True, slots=True)
class _Seen:
    """What Redis says about a job without a search of its queue."""

    enqueued_at: bytes | None
    is_scheduled: bool
    is_leased: bool
    # When the first job of its queue was enqueued; b"" if that isn't known, None if it is empty.
    head_enqueued_at: bytes | None
    # Where it says that it waits for a place.
    parked: bytes | None

    @property
    def is_in_flight(self) -> bool:
        """Whether this proves that the job is in flight.

        A queue is processed from its head: what was enqueued later than its head still waits.
        """
        if self.is_scheduled or self.is_leased:
            return True
        if not self.enqueued_at or not self.head_enqueued_at:
            return False
        return self.enqueued_at >= self.head_enqueued_at

    @property
    def may_wait(self) -> bool:
        """Whether the job may still be on its queue, or wait for a place: a search can tell."""
        may_be_listed = self.head_enqueued_at is not None or self.parked is not None
        return not self.is_in_flight and may_be_listed


def are_known(schedule_job_id: str, dues: list[datetime], redis: Redis) -> set[datetime]:
    """Return the dues for which Redis has a job, waiting or ended."""
    known = exist([RunId(schedule_job_id, due).job_id for due in dues], redis)
    return {due for due, exists in zip(dues, known, strict=True) if exists}


def exist(job_ids: list[str], redis: Redis) -> list[bool]:
    """Return, for each id, whether Redis has its job."""
    with redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.exists(Job.key_for(job_id))
        return [bool(answer) for answer in pipe.execute()]


def keep_started(job_ids: Collection[str], redis: Redis) -> None:
    """Keep these jobs among those that RQ counts as started, if they still are.

    Of a job whose worker sends no heartbeat, RQ's maintenance would say that it was abandoned, and
    fail it or run it again. Whether a run is lost is for its row to say.
    """
    now = current_timestamp()
    for queue in settings.RQ_QUEUES:
        key = started_key(queue)
        ending = cast(list[bytes], redis.zrangebyscore(key, "-inf", now + STARTED_TTL_SECONDS / 2))
        kept = {
            member: now + STARTED_TTL_SECONDS
            for member in ending
            if member.decode(errors="replace").partition(":")[0] in job_ids
        }
        if kept:
            redis.zadd(key, cast(Any, kept), xx=True)


def in_flight(jobs: Sequence[Waiting], redis: Redis) -> list[bool]:
    """Return, for each job with its queue, whether it waits, is scheduled, or is leased.

    A queue is searched only for jobs that nothing else tells about: the longer the queue, the
    longer the search.
    """
    seen = _look(jobs, redis)
    found = _search({job: seen[job].parked for job in jobs if seen[job].may_wait}, redis)
    return [seen[job].is_in_flight or job in found for job in jobs]


def _look(jobs: Sequence[Waiting], redis: Redis) -> dict[Waiting, _Seen]:
    heads = _heads({queue for _, queue in jobs}, redis)
    with redis.pipeline(transaction=False) as pipe:
        for job_id, queue in jobs:
            pipe.hmget(Job.key_for(job_id), "enqueued_at", "parked")
            pipe.zscore(scheduled_key(queue), job_id)
            pipe.get(lease_key(job_id))
        answers = chunks(pipe.execute(), 3)
    return {
        job: _Seen(enqueued_at, score is not None, lease is not None, heads[job[1]], parked)
        for job, ((enqueued_at, parked), score, lease) in zip(jobs, answers, strict=True)
    }


def _heads(queues: Iterable[str], redis: Redis) -> dict[str, bytes | None]:
    """Return when the first job of each queue was enqueued.

    It is None if the queue is empty, b"" if the time isn't known.
    """
    names = list(queues)
    with redis.pipeline(transaction=False) as pipe:
        for queue in names:
            pipe.lindex(queue_key(queue), 0)
        first = pipe.execute()
        for job_id in first:
            pipe.hget(Job.key_for((job_id or b"").decode(errors="replace")), "enqueued_at")
        enqueued = pipe.execute()
    return {
        queue: None if job_id is None else (enqueued_at or b"")
        for queue, job_id, enqueued_at in zip(names, first, enqueued, strict=True)
    }


def _search(parked: Mapping[Waiting, bytes | None], redis: Redis) -> set[Waiting]:
    """Return the jobs that are on their queues, or in the list in which they say they wait."""
    with redis.pipeline(transaction=False) as pipe:
        for (job_id, queue), name in parked.items():
            pipe.lpos(queue_key(queue) if name is None else parked_key(name.decode()), job_id)
        positions = pipe.execute()
    return {job for job, position in zip(parked, positions, strict=True) if position is not None}
