"""Which workers there are, by RQ's registries.

RQ's own `Worker.all` isn't used: each worker that it returns raises the timeout of the connection
it was found with, for all that use that connection later.
"""

from collections.abc import Iterable
from typing import cast

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError
from rq.worker import BaseWorker

from tasks.broker.connection import connect
from tasks.broker.keys import workers_key


def live_workers(queues: Iterable[str], redis: Redis) -> dict[str, set[str]]:
    """Return the names of the workers that take jobs from each of these queues."""
    names = list(queues)
    with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.smembers(workers_key(name))
        registered = [{key.decode() for key in cast(set[bytes], keys)} for keys in pipe.execute()]
    keys = sorted({key for keys in registered for key in keys})
    with redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.exists(key)
        present = {key for key, is_there in zip(keys, pipe.execute(), strict=True) if is_there}
    prefix = BaseWorker.redis_worker_namespace_prefix
    return {
        name: {key.removeprefix(prefix) for key in keys & present}
        for name, keys in zip(names, registered, strict=True)
    }


def queues_without_worker() -> set[str]:
    """Return the queues that no worker serves now; all of them if Redis is unavailable."""
    names = set(settings.RQ_QUEUES)
    try:
        serving = live_workers(names, connect())
    except RedisError:
        return names
    return {name for name in names if not serving[name]}


def is_served(queue: str) -> bool:
    """Return whether a worker serves a queue now."""
    return queue not in queues_without_worker()
