"""Rows and Redis as the tests of the ledger and the broker look at them."""

from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY


def in_redis(redis: Redis) -> set[str]:
    return {member.decode() for member in redis.zrange(SCHEDULES_KEY, 0, -1)}
