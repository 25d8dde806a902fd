"""How many schedules are due in the minute of a time, and which minute near it is emptier."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.models import ScheduledTask
from tasks.reports.crowd import Crowd, crowd_at
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db

NINE = datetime(2030, 6, 3, 9, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def crowd(time: datetime = NINE) -> Crowd:
    return crowd_at(time, ScheduledTask.objects.all())


def test_all_kinds_of_schedules_are_counted_at_their_minute():
    make_row(cron="0 9 * * *")
    make_row(cron="0 11 * * *", timezone="Europe/Berlin")  # 9:00 UTC in summer
    make_row(first=NINE - 50 * HOUR, interval=3600)
    make_row(first=NINE + 20 * timedelta(seconds=1), interval=None)
    for others in ({"cron": "1 9 * * *"}, {"first": NINE + MINUTE, "interval": 86_400}):
        make_row(**others)
    assert crowd().others == 4
    assert crowd(NINE + 30 * timedelta(seconds=1)).others == 4
    assert crowd(NINE + MINUTE).others == 2


def test_what_is_not_due_then_is_not_counted():
    make_row(cron="0 9 * * *", status="paused", paused_at=NINE)
    make_row(cron="0 9 * * *", end=NINE - HOUR)
    make_row(cron="0 9 * * *", start=NINE + HOUR)
    make_row(first=NINE + HOUR, interval=3600)
    make_row(cron="0 9 4 6 *")
    assert crowd().others == 0


def test_what_is_due_all_the_time_is_not_counted_also_if_it_has_just_begun():
    make_row(first=NINE - MINUTE, interval=10)
    make_row(first=NINE - HOUR * 50, interval=10)
    assert crowd().others == 0


def test_the_nearest_of_the_emptiest_minutes_is_told_of():
    for minute in (*[0] * 6, 1, 2, 59):
        make_row(cron=f"{minute} * * * *")
    found = crowd()
    assert (found.others, found.emptiest, found.others_then) == (6, NINE - 2 * MINUTE, 0)
    assert found.is_busy


def test_a_few_others_are_no_crowd():
    for _ in range(4):
        make_row(cron="0 9 * * *")
    assert not crowd().is_busy


def test_it_takes_two_queries_for_any_number_of_schedules(django_assert_num_queries):
    for minute in range(20):
        make_row(cron=f"{minute} 9 * * *")
        make_row(first=NINE + minute * MINUTE, interval=3600)
    with django_assert_num_queries(2):
        crowd()
