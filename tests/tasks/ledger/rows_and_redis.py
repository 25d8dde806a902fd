"""What Redis holds, for the tests of the ledger and the broker."""

from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY


def in_redis(redis: Redis) -> set[str]:
    """Return the job ids of the schedules that Redis holds."""
    return {member.decode() for member in redis.zrange(SCHEDULES_KEY, 0, -1)}
