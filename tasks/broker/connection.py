"""The connection to Redis, and whether Redis and the workers are available."""

from functools import cache

import django_rq
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError
from rq import Worker as RqWorker


@cache
def connect() -> Redis:
    """Return this process's connection to the Redis of the queues.

    There is only one: RQ keeps every connection that a job was enqueued with.
    """
    return django_rq.get_connection()


def reachable_redis() -> Redis | None:
    """Return a connection to Redis, None if it is unavailable."""
    redis = connect()
    try:
        redis.ping()
    except RedisError:
        return None
    return redis


def queues_without_worker() -> set[str]:
    """Return the queues that no worker serves now; all of them if Redis is unavailable."""
    names = set(settings.RQ_QUEUES)
    try:
        workers = RqWorker.all(connection=connect())
    except RedisError:
        return names
    return names - {name for worker in workers for name in worker.queue_names()}
