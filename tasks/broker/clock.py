"""Reads Redis's clock, by which everything is judged (R12)."""

from contextlib import suppress

from redis import Redis
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker.connection import connect


def read(redis: Redis) -> float:
    """Read Redis's clock; return by how many seconds it was set since this process last read it.

    Raises RedisError if Redis is unavailable: `tasks.clock` then goes on by the last reading.
    """
    sent = clock.elapsed_clock()
    seconds, microseconds = redis.time()
    return clock.observe(seconds + microseconds / 1e6, sent, clock.elapsed_clock())


def refresh() -> None:
    """Read Redis's clock if Redis is available."""
    with suppress(RedisError):
        read(connect())
