"""Keys in Redis that hold something else than they should: which, and what to do.

Redis says WRONGTYPE, and not of which key. They are looked for only when it has said so.
"""

from collections.abc import Iterable, Mapping

from redis import Redis
from redis.exceptions import RedisError

from tasks import foreign, leadership, projection, spool

# What each key is, if it is there.
OURS = {
    projection.SCHEDULES_KEY: "zset",
    projection.TEXTS_KEY: "hash",
    projection.MARKER_KEY: "string",
    projection.WAKE_KEY: "list",
    spool.SPOOL_KEY: "list",
    spool.UNREADABLE_KEY: "list",
    foreign.QUARANTINE_KEY: "hash",
    leadership.LEADER_KEY: "string",
    "rq:queues": "set",
    "rq:workers": "set",
}
REGISTRIES = ("wip", "finished", "failed", "deferred", "scheduled", "canceled")


def of_queue(name: str) -> dict[str, str]:
    """Return the keys of a queue, and what each is."""
    return {f"rq:queue:{name}": "list"} | {f"rq:{kind}:{name}": "zset" for kind in REGISTRIES}


def is_wrong_type(error: BaseException) -> bool:
    """Tell whether Redis refused a command because a key holds something else."""
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
