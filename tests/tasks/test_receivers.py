"""What follows what is done without the services: deletions, tags, fixtures."""

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.db.models.signals import m2m_changed, pre_delete, pre_save
from django.test.utils import CaptureQueriesContext
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.broker.reconcile import reconcile
from tasks.job import Job
from tasks.models import Calendar, ScheduledTask, Tag
from tests.tasks.schedules import MakeSchedule, ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def is_in_redis(job_id: str, redis: Redis) -> bool:
    known = redis.zscore(SCHEDULES_KEY, job_id) is not None
    return known or bool(redis.exists(Job.key_for(job_id)))


@pytest.mark.parametrize(
    "change",
    [
        lambda tag, schedules: tag.schedules.add(*schedules),
        lambda tag, schedules: (tag.schedules.add(*schedules), tag.schedules.clear()),
        lambda tag, schedules: (tag.schedules.add(*schedules), tag.delete()),
    ],
    ids=["given", "cleared", "deleted"],
)
def test_a_tag_of_any_number_of_schedules_takes_the_same_queries(change: Callable[..., object]):
    costs = []
    for number in (2, 20):
        tag = Tag.objects.create(name=f"of-{number}")
        schedules = [make_row() for _ in range(number)]
        with CaptureQueriesContext(connection) as queries:
            change(tag, schedules)
        costs.append(len(queries))
        assert all(one.changes.exists() for one in schedules)
    assert costs[0] == costs[1]


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


# What is done in another database of the site is none of ours


@pytest.mark.parametrize(("using", "lines"), [("default", 2), ("copy", 0)])
def test_only_tags_of_our_database_leave_lines_in_the_history(using: str, lines: int):
    schedule, tag = make_row(), Tag.objects.create(name="shop")
    ScheduledTask.tags.through.objects.create(scheduledtask=schedule, tag=tag)
    values = {"reverse": False, "model": Tag, "pk_set": {tag.pk}, "using": using}
    through = ScheduledTask.tags.through
    m2m_changed.send(through, instance=schedule, action="post_add", **values)
    pre_delete.send(Tag, instance=tag, using=using)
    assert schedule.changes.count() == lines


@pytest.mark.parametrize(("using", "is_settled"), [("default", True), ("copy", False)])
def test_only_a_calendar_of_our_database_has_its_users_settled(using: str, is_settled: bool):
    calendar = Calendar.objects.create(name="Holidays")
    make_row(first=ago(7_200), settled_through=ago(7_200), calendar=calendar)
    before = ScheduledTask.objects.values().get()
    calendar.dates = "2000-01-01"
    pre_save.send(Calendar, instance=calendar, raw=True, using=using)
    assert (ScheduledTask.objects.values().get() != before) is is_settled
