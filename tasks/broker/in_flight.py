"""What is in flight: which jobs wait on a queue, run, or are to be run later."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from redis import Redis

from tasks.broker.keys import lease_key, scheduled_key
from tasks.job import Job
from tasks.job_ids import RunId

# A job's id and its queue.
Waiting = tuple[str, str]


def are_known(schedule_job_id: str, dues: list[datetime], redis: Redis) -> set[datetime]:
    """Return those dues of which Redis has a job, waiting or ended."""
    known = exist([RunId(schedule_job_id, due).job_id for due in dues], redis)
    return {due for due, exists in zip(dues, known, strict=True) if exists}


def exist(job_ids: list[str], redis: Redis) -> list[bool]:
    """Return for each id whether Redis has its job."""
    with redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.exists(Job.key_for(job_id))
        return [bool(answer) for answer in pipe.execute()]


def in_flight(jobs: Sequence[Waiting], redis: Redis) -> list[bool]:
    """Tell for each job, given with its queue, whether it is there, kept for later, or leased.

    A queue is worked off from its head: what was enqueued later than its head waits still. Only
    what is older is searched for, because that takes as long as the queue is.
    """
    heads = _heads({queue for _, queue in jobs}, redis)
    with redis.pipeline(transaction=False) as pipe:
        for job_id, queue in jobs:
            pipe.hget(Job.key_for(job_id), "enqueued_at")
            pipe.zscore(scheduled_key(queue), job_id)
            pipe.get(lease_key(job_id))
        answers = iter(pipe.execute())
    found: list[bool | None] = []
    for (_, queue), (enqueued, later, lease) in zip(
        jobs, zip(*[answers] * 3, strict=True), strict=True
    ):
        head = heads[queue]
        if later is not None or lease is not None:
            found.append(True)
        elif head is None:
            found.append(False)
        else:
            found.append(True if enqueued and head and enqueued >= head else None)
    unsure = [job for job, there in zip(jobs, found, strict=True) if there is None]
    with redis.pipeline(transaction=False) as pipe:
        for job_id, queue in unsure:
            pipe.lpos(f"rq:queue:{queue}", job_id)
        searched = iter(pipe.execute())
    return [next(searched) is not None if there is None else there for there in found]


def _heads(queues: Iterable[str], redis: Redis) -> dict[str, bytes | None]:
    """Return since when the first job of each queue is on it: None if the queue is empty.

    If that can't be told it is an empty text.
    """
    names = list(queues)
    with redis.pipeline(transaction=False) as pipe:
        for queue in names:
            pipe.lindex(f"rq:queue:{queue}", 0)
        first = pipe.execute()
        for job_id in first:
            pipe.hget(Job.key_for((job_id or b"").decode(errors="replace")), "enqueued_at")
        since = pipe.execute()
    return {
        queue: None if job_id is None else (moment or b"")
        for queue, job_id, moment in zip(names, first, since, strict=True)
    }
