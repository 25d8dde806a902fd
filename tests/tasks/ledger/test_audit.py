"""What was due is compared with the rows."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from tasks.ledger.audit import tallies
from tasks.models import ScheduledTask, SchedulePeriod
from tasks.services import SchedulerService
from tasks.timing import spec
from tests.tasks import functions
from tests.tasks.ledger.lives import lived, tally
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("due", "in_flight", "overdue", "missing"), [(500, 1, 0, 0), (700, 0, 1, 0), (2_000, 0, 0, 1)]
)
def test_an_occurrence_without_a_row_is_in_flight_then_overdue_and_missing_once_settled(
    due: int, in_flight: int, overdue: int, missing: int
):
    schedule = make_row(first=ago(due), period_start=ago(3_000), settled_through=ago(1_000))
    found = tally(schedule)
    assert found.due == 1
    assert (found.in_flight, found.overdue.number, found.missing.number) == (
        in_flight,
        overdue,
        missing,
    )
    assert found.closes == bool(in_flight)


@pytest.mark.parametrize(("overlap", "in_flight"), [("wait", 1), ("skip", 0), ("allow", 0)])
def test_an_occurrence_that_waits_for_a_long_run_is_in_flight_however_long_that_takes(
    overlap: str, in_flight: int
):
    schedule = make_row(
        first=ago(700), period_start=ago(701), settled_through=ago(701), overlap=overlap
    )
    schedule.runs.create(name="x", requested=ago(800), started=ago(800))
    assert (tally(schedule).in_flight, tally(schedule).overdue.number) == (in_flight, 1 - in_flight)


def test_an_occurrence_of_an_ended_period_is_missing_and_never_in_flight():
    schedule = SchedulerService.schedule(ago(-60), functions.ECHO, interval=60)
    lived(schedule, 100)
    schedule.first = ago(10)
    SchedulerService.save(schedule)
    ScheduledTask.objects.update(period_start=timezone.now())
    SchedulePeriod.objects.update(spec=schedule.spec_json(), end=timezone.now())
    assert tally(schedule).missing.first == [schedule.first]


@pytest.mark.parametrize(("retries", "in_flight"), [(1, 1), (0, 0)])
def test_a_failed_run_that_is_to_be_retried_is_in_flight(retries: int, in_flight: int):
    schedule = make_row(first=ago(100), period_start=ago(101), retries=retries)
    schedule.runs.create(
        name="x", due=schedule.first, status="failed", started=ago(99), ended=ago(98)
    )
    assert (tally(schedule).in_flight, tally(schedule).outcomes["failed"]) == (
        in_flight,
        1 - in_flight,
    )


def test_runs_that_retention_has_deleted_are_not_missing():
    schedule = make_row(
        first=ago(3600), interval=600, period_start=ago(3601), pruned_until=ago(601)
    )
    first = schedule.first
    assert first is not None
    for seconds in (3600, 3000):
        due = first + timedelta(seconds=seconds)
        schedule.runs.create(name="x", due=due, status="missed", ended=ago(1))
    assert (tally(schedule).due, tally(schedule).closes) == (2, True)


def test_a_manual_run_is_not_counted_as_due():
    schedule = make_row()
    schedule.runs.create(
        name="x", requested=ago(1), started=ago(1), status="finished", ended=ago(1)
    )
    assert tally(schedule).due == 0


def test_a_schedule_that_changes_while_it_is_counted_is_counted_again(
    monkeypatch: pytest.MonkeyPatch,
):
    schedule = lived(SchedulerService.cron("* * * * * *", functions.ECHO), 5)
    original = spec.dues

    def dues(*args: Any) -> Iterator[datetime]:
        monkeypatch.undo()
        SchedulerService.pause(schedule)
        return original(*args)

    monkeypatch.setattr(spec, "dues", dues)
    found = tally(schedule)
    assert (found.outcomes["missed"], found.in_flight) == (found.due, 0)
    assert found.due > 0


def test_many_schedules_are_counted_with_few_queries(django_assert_max_num_queries: Any):
    schedules = [make_row(first=ago(10), period_start=ago(11)) for _ in range(20)]
    with django_assert_max_num_queries(6):
        assert [found.due for found in tallies([schedule.pk for schedule in schedules])] == [1] * 20
