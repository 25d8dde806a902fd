"""The same schedule is taken up again, whichever version of the code has stored it."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from redis import Redis

from tasks.exceptions import InvalidArguments, InvalidSchedule
from tasks.job import Job
from tasks.models import Calendar, ScheduledTask
from tasks.services import SchedulerService
from tests.tasks import functions
from tests.tasks.functions import REPORT, in_threads
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = ago(-86_400)
DAY = date(2026, 1, 31)


def schedule(*args: Any, **values: Any) -> ScheduledTask:
    return SchedulerService.schedule(FIRST, functions.report, list(args), **values)


def stored() -> list[ScheduledTask]:
    return list(ScheduledTask.objects.order_by("pk"))


def test_values_and_their_json_are_the_same_schedule():
    calendar = Calendar.objects.create(name="holidays")
    first = schedule(DAY, calendar, kwargs={"factor": 2})
    second = schedule("20260131", str(calendar.pk), kwargs={"factor": 2.0})
    assert first.pk == second.pk
    [row] = stored()
    assert (row.args, row.kwargs) == (["2026-01-31", calendar.pk], {"factor": 2.0})


def test_an_argument_of_another_type_is_refused_by_its_name():
    with pytest.raises(InvalidArguments, match="“day” must be a date such as 2026-01-31, not 'x'"):
        schedule("x")
    assert stored() == []


def test_an_update_stores_arguments_as_schedule_does():
    row = SchedulerService.update(schedule(DAY), args=[date(2026, 2, 1)])
    assert row.args == ["2026-02-01"]
    assert schedule("2026-02-01").pk == row.pk
    later = datetime(2026, 2, 1, tzinfo=UTC)
    with pytest.raises(InvalidSchedule, match="“day” must be a date") as caught:
        SchedulerService.update(row, args=[later], queue="unknown")
    assert caught.value.errors.keys() == {"args", "queue"}


@pytest.mark.parametrize("factor", [2, 2.0])
def test_arguments_that_were_stored_before_their_types_counted_are_the_same_schedule(factor: Any):
    old = make_row(name=REPORT, function=REPORT, args=["2026-01-31"], kwargs={"factor": factor})
    assert schedule("2026-01-31", kwargs={"factor": factor}).pk == old.pk
    [row] = stored()
    assert row.kwargs == {"factor": 2.0}
    assert schedule("2026-01-31", kwargs={"factor": 2.0}).pk == old.pk


@pytest.mark.parametrize("alias", ["tests.report", "tests.daily_report"])
@pytest.mark.parametrize("name", [None, "my own"])
def test_a_renamed_function_takes_up_the_schedules_of_its_old_name(
    redis_connection: Redis, alias: str, name: str | None
):
    old = make_row(name=name or alias, function=alias, args=["2026-01-31"], status="death")
    assert schedule(DAY, name=name).pk == old.pk
    [row] = stored()
    assert (row.name, row.function, row.status) == (name or REPORT, REPORT, "running")
    assert Job.fetch(old.job_id, connection=redis_connection).func_name == REPORT
    assert schedule(DAY, name=name).pk == old.pk
    assert len(stored()) == 1


def test_a_schedule_of_an_old_name_that_was_edited_meanwhile_is_taken_up_too():
    old = make_row(name="tests.report", function="tests.report", args=["2026-01-31"])
    SchedulerService.update(old, interval=60)
    assert (old.name, old.function) == ("tests.report", REPORT)
    assert schedule(DAY).pk == old.pk


def test_a_schedule_is_synced_under_the_new_name_of_its_function():
    item = {"scheduled_time": FIRST, "task_func": REPORT, "args": [DAY], "interval": 60}
    [old] = SchedulerService.sync([item])
    as_before = {"name": "tests.report", "function": "tests.report"}
    ScheduledTask.objects.update(**as_before)
    row = ScheduledTask.objects.get()
    row.set_fingerprint()
    row.save()
    [new] = SchedulerService.sync([item])
    assert new.pk == old.pk
    assert [row.status for row in stored()] == ["running"]


def test_if_both_are_stored_the_schedule_of_the_present_name_counts():
    old = make_row(name="tests.report", function="tests.report", args=["2026-01-31"])
    new = make_row(name=REPORT, function=REPORT, args=["2026-01-31"])
    assert schedule(DAY, description="changed").pk == new.pk
    assert [row.description for row in stored()] == ["", "changed"]
    assert old.pk < new.pk


def test_another_name_or_other_arguments_are_another_schedule():
    make_row(name="tests.report", function="tests.report", args=["2026-01-31"])
    schedule(DAY, name="my own")
    schedule(date(2026, 2, 1))
    assert len(stored()) == 3


def test_concurrent_requests_take_up_the_old_schedule_once():
    make_row(name="tests.report", function="tests.report", args=["2026-01-31"])
    results = in_threads(*[lambda: schedule(DAY)] * 4)
    assert {row.pk for row in results} == {row.pk for row in stored()}
    assert len(stored()) == 1


def test_a_time_is_the_same_in_every_time_zone():
    in_seoul = datetime(2026, 1, 31, 6, tzinfo=timezone(timedelta(hours=9)))
    one, other = (
        SchedulerService.schedule(FIRST, functions.at, [time])
        for time in (in_seoul, in_seoul.astimezone(UTC))
    )
    assert one.pk == other.pk
    with pytest.raises(InvalidArguments, match="a time with its time zone"):
        SchedulerService.schedule(FIRST, functions.at, [datetime(2026, 1, 31, 6)])
