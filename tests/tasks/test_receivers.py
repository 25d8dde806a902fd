"""However a schedule is deleted, it leaves Redis."""

from collections.abc import Callable

import pytest
from django.db import transaction
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.broker.reconcile import reconcile
from tasks.job import Job
from tasks.models import ScheduledTask
from tests.tasks.conftest import MakeSchedule

pytestmark = pytest.mark.django_db(transaction=True)


def is_in_redis(task_job_id: str, redis: Redis) -> bool:
    known = redis.zscore(SCHEDULES_KEY, task_job_id) is not None
    return known or bool(redis.exists(Job.key_for(task_job_id)))


@pytest.mark.parametrize(
    "delete",
    [
        lambda task: task.delete(),
        lambda task: ScheduledTask.objects.filter(pk=task.pk).delete(),
        lambda task: ScheduledTask.objects.all().delete(),
    ],
    ids=["instance", "queryset", "all"],
)
def test_a_deleted_schedule_leaves_redis(
    put: MakeSchedule, redis_connection: Redis, delete: Callable[[ScheduledTask], None]
):
    task = put()
    delete(task)
    assert not is_in_redis(task.job_id, redis_connection)


def test_a_delete_that_is_rolled_back_changes_nothing(put: MakeSchedule, redis_connection: Redis):
    task = put()
    with transaction.atomic():
        ScheduledTask.objects.filter(pk=task.pk).delete()
        transaction.set_rollback(True)
    assert is_in_redis(task.job_id, redis_connection)


def test_deleted_without_redis_it_leaves_later(
    put: MakeSchedule, redis_connection: Redis, redis_away: Callable[[bool], None]
):
    task = put()
    redis_away(True)
    task.delete()
    redis_away(False)
    reconcile(redis_connection)
    assert not is_in_redis(task.job_id, redis_connection)
