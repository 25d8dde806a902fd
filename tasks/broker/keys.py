"""The names of all keys in Redis, and what is in each.

Redis says WRONGTYPE when a key holds something else than it should, and not of which key. They
are looked for only when it has said so.
"""

from collections.abc import Iterable, Mapping

from redis import Redis
from redis.exceptions import RedisError

# What could not be dispatched: a hash of notes by member of the sorted set.
QUARANTINE_KEY = "tasks:quarantine"
# rq-scheduler's own lock: while one of ours leads, a stock scheduler keeps its hands off.
LEADER_KEY = "rq:scheduler_lock"
SCHEDULES_KEY = "rq:scheduler:scheduled_jobs"
# What dispatch needs to know of each schedule: a hash of texts by job id, read for many at once.
# A text is its version, which changes with anything that the row says, a space, and JSON.
DISPATCH_RECORDS_KEY = "tasks:dispatch"
MARKER_KEY = "tasks:projected"
WAKE_KEY = "tasks:wake"
SPOOL_KEY = "tasks:spool"
UNREADABLE_KEY = "tasks:spool:unreadable"

# What each key is, if it is there.
OURS = {
    SCHEDULES_KEY: "zset",
    DISPATCH_RECORDS_KEY: "hash",
    MARKER_KEY: "string",
    WAKE_KEY: "list",
    SPOOL_KEY: "list",
    UNREADABLE_KEY: "list",
    QUARANTINE_KEY: "hash",
    LEADER_KEY: "string",
    "rq:queues": "set",
    "rq:workers": "set",
}
REGISTRIES = ("wip", "finished", "failed", "deferred", "scheduled", "canceled")


def of_queue(name: str) -> dict[str, str]:
    """Return the keys of a queue, and what each is."""
    return {f"rq:queue:{name}": "list"} | {f"rq:{kind}:{name}": "zset" for kind in REGISTRIES}


def is_wrong_type(error: BaseException) -> bool:
    """Return whether Redis refused a command because a key holds something else."""
    return "WRONGTYPE" in str(error)


def wrong(redis: Redis, expected: Mapping[str, str]) -> list[str]:
    """Say of each key that isn't what it should be what it is, and what to do.

    Raises RedisError if Redis is away.
    """
    with redis.pipeline(transaction=False) as pipe:
        for key in expected:
            pipe.type(key)
        types = [answer.decode() for answer in pipe.execute()]
    return [
        f"The key {key} in Redis is a {found}, not a {kind}: delete or rename it."
        for (key, kind), found in zip(expected.items(), types, strict=True)
        if found not in (kind, "none")
    ]


def explain(error: RedisError, redis: Redis, queue_names: Iterable[str]) -> str:
    """Say what is wrong with Redis, with the keys of the wrong type if there are any."""
    if not is_wrong_type(error):
        return str(error)
    expected = dict(OURS)
    for name in queue_names:
        expected |= of_queue(name)
    try:
        return " ".join(wrong(redis, expected)) or str(error)
    except RedisError as now:
        return str(now)


def scheduled_key(queue: str) -> str:
    """Return the key of RQ's own scheduled jobs of a queue."""
    return f"rq:scheduled:{queue}"


def lease_key(job_id: str) -> str:
    """Return the key that exists as long as a worker vouches for this job's run."""
    return f"tasks:lease:{job_id}"
