"""What Redis has about schedules, for the tests."""

from datetime import datetime

from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.models import ScheduledTask
from tasks.timing.instants import from_score


def due_in_redis(redis: Redis, schedule: ScheduledTask) -> datetime | None:
    """Return when Redis has the schedule as due next, None if it doesn't have it."""
    score = redis.zscore(SCHEDULES_KEY, schedule.job_id)
    return None if score is None else from_score(score)


def schedules_in_redis(redis: Redis) -> set[str]:
    """Return the job ids of the schedules, and external jobs, that Redis has."""
    return {member.decode() for member in redis.zrange(SCHEDULES_KEY, 0, -1)}
