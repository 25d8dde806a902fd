"""However a schedule is deleted, it is removed from Redis."""

from collections.abc import Callable

import pytest
from django.db import transaction
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.broker.reconcile import reconcile
from tasks.job import Job
from tasks.models import ScheduledTask
from tests.tasks.schedules import MakeSchedule

pytestmark = pytest.mark.django_db(transaction=True)


def is_in_redis(job_id: str, redis: Redis) -> bool:
    known = redis.zscore(SCHEDULES_KEY, job_id) is not None
    return known or bool(redis.exists(Job.key_for(job_id)))


@pytest.mark.parametrize(
    "delete",
    [
        lambda schedule: schedule.delete(),
        lambda schedule: ScheduledTask.objects.filter(pk=schedule.pk).delete(),
        lambda schedule: ScheduledTask.objects.all().delete(),
    ],
    ids=["instance", "queryset", "all"],
)
def test_a_deleted_schedule_is_removed_from_redis(
    put: MakeSchedule, redis_connection: Redis, delete: Callable[[ScheduledTask], None]
):
    schedule = put()
    delete(schedule)
    assert not is_in_redis(schedule.job_id, redis_connection)


def test_a_schedule_whose_delete_is_rolled_back_stays_in_redis(
    put: MakeSchedule, redis_connection: Redis
):
    schedule = put()
    with transaction.atomic():
        ScheduledTask.objects.filter(pk=schedule.pk).delete()
        transaction.set_rollback(True)
    assert is_in_redis(schedule.job_id, redis_connection)


def test_a_schedule_deleted_while_redis_is_unavailable_is_removed_later(
    put: MakeSchedule, redis_connection: Redis, redis_unavailable: Callable[[bool], None]
):
    schedule = put()
    redis_unavailable(True)
    schedule.delete()
    redis_unavailable(False)
    reconcile(redis_connection)
    assert not is_in_redis(schedule.job_id, redis_connection)
