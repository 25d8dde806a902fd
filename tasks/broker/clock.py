"""Reads Redis's clock, by which everything is judged (R12)."""

from redis import Redis

from tasks import clock


def read(redis: Redis) -> bool:
    """Read Redis's clock; return whether it was set since this process last read it.

    Raises RedisError if Redis is unavailable: `tasks.clock` then goes on by the last reading.
    """
    sent = clock.elapsed_clock()
    seconds, microseconds = redis.time()
    return clock.observe(seconds + microseconds / 1e6, sent, clock.elapsed_clock())
