"""What a schedule owes, period by period: each due instant is in one period and has one row."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from tasks import books, ledger, rescue
from tasks.models import ScheduledTask, SchedulePeriod, spec_from_json
from tasks.services import SchedulerService
from tests.tasks import functions
from tests.tasks.conftest import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def tally(task: ScheduledTask, begin: datetime | None = None) -> books.Tally:
    [found] = books.tallies([task.pk], begin)
    return found


def lived(task: ScheduledTask, seconds: float) -> ScheduledTask:
    """Move the beginning of a schedule's present period back."""
    past = ago(seconds)
    ScheduledTask.objects.filter(pk=task.pk).update(since=past, accounted_until=past)
    return ScheduledTask.objects.get(pk=task.pk)


def periods(task: ScheduledTask) -> list[str]:
    return list(task.periods.order_by("end", "pk").values_list("kind", flat=True))


# Periods


def test_a_pause_closes_the_active_period_and_a_resume_the_paused_one():
    task = lived(SchedulerService.cron("* * * * *", functions.ECHO), 200)
    SchedulerService.pause(task, "holidays")
    SchedulerService.resume(task)
    active, paused = task.periods.order_by("pk")
    assert (active.kind, paused.kind, paused.note) == ("active", "paused", "holidays")
    assert (active.end, paused.end) == (paused.start, ScheduledTask.objects.get().since)
    assert spec_from_json(active.spec).cron == "* * * * *"
    assert tally(task).closes


def test_paused_time_is_one_period_and_no_row():
    task = make_row(cron="* * * * *", status="paused", paused_at=ago(9_000), since=ago(9_000))
    SchedulerService.resume(task)
    assert (periods(task), task.runs.count()) == (["paused"], 0)
    assert tally(task).due == 0


def test_a_changed_spec_closes_the_period_with_the_old_one():
    task = lived(SchedulerService.cron("* * * * *", functions.ECHO), 200)
    task.cron = "@yearly"
    SchedulerService.save(task)
    assert spec_from_json(task.periods.get().spec).cron == "* * * * *"
    assert (tally(task).outcomes["missed"], tally(task).closes) == (task.runs.count(), True)


def test_a_change_of_something_else_closes_nothing():
    task = SchedulerService.cron("* * * * *", functions.ECHO)
    task.description = "new"
    SchedulerService.save(task)
    assert periods(task) == []


def test_a_cancelled_schedule_that_comes_back_was_dead_meanwhile():
    task = SchedulerService.cron("* * * * *", functions.ECHO)
    SchedulerService.cancel(task)
    SchedulerService.cron("* * * * *", functions.ECHO)
    assert periods(task) == ["active", "death"]


def test_cancelling_twice_is_one_death():
    task = SchedulerService.cron("* * * * *", functions.ECHO)
    SchedulerService.cancel(task)
    SchedulerService.cancel(task)
    assert periods(task) == ["active"]


def test_an_edit_while_paused_leaves_the_pause_one_period():
    task = SchedulerService.cron("* * * * *", functions.ECHO)
    SchedulerService.pause(task)
    task.cron = "@yearly"
    SchedulerService.save(task)
    SchedulerService.resume(task)
    assert periods(task) == ["active", "paused"]


def test_an_exhausted_schedule_closes_its_period(redis_connection: Redis):
    task = make_row(first=ago(60), interval=None, accounted_until=ago(61), since=ago(61))
    task.runs.create(name="x", due=task.first, status="missed", ended=ago(58))
    ledger.balance(redis_connection, rescue.Watch())
    assert (periods(task), tally(task).due, tally(task).closes) == (["active"], 1, True)


def test_periods_go_with_their_schedule():
    task = SchedulerService.cron("* * * * *", functions.ECHO)
    SchedulerService.pause(task)
    task.delete()
    assert not SchedulePeriod.objects.exists()


# The first time that is still owed


@pytest.mark.parametrize("cron", ["* * * * * *", "0 0 1 1 *"])
def test_a_first_time_still_owed_after_a_change_is_due_once(
    cron: str, redis_connection: Redis, scheduler: Any
):
    task = lived(SchedulerService.cron(cron, functions.ECHO, name="x"), 5)
    first = timezone.now().replace(microsecond=0) - timedelta(seconds=2)
    SchedulerService.schedule(first, functions.ECHO, interval=3600, name="x")
    scheduler.enqueue_jobs()
    functions.work_off(redis_connection)
    found = tally(task)
    assert found.closes
    assert task.runs.get(due=first).status == "finished"
    assert found.due == task.runs.count()


# Counting


@pytest.mark.parametrize(
    ("due", "in_flight", "overdue", "holes"), [(500, 1, 0, 0), (700, 0, 1, 0), (2_000, 0, 0, 1)]
)
def test_without_a_row_it_is_in_flight_then_overdue_and_a_hole_where_the_books_are_closed(
    due: int, in_flight: int, overdue: int, holes: int
):
    task = make_row(first=ago(due), since=ago(3_000), accounted_until=ago(1_000))
    found = tally(task)
    assert found.due == 1
    assert (found.in_flight, found.overdue.number, found.holes.number) == (
        in_flight,
        overdue,
        holes,
    )
    assert found.closes == bool(in_flight)


@pytest.mark.parametrize(("overlap", "in_flight"), [("wait", 1), ("skip", 0), ("allow", 0)])
def test_what_waits_for_a_long_run_is_in_flight_however_long(overlap: str, in_flight: int):
    task = make_row(first=ago(700), since=ago(701), accounted_until=ago(701), overlap=overlap)
    task.runs.create(name="x", requested=ago(800), started=ago(800))
    assert (tally(task).in_flight, tally(task).overdue.number) == (in_flight, 1 - in_flight)


def test_of_a_period_that_is_over_nothing_is_in_flight():
    task = SchedulerService.schedule(ago(-60), functions.ECHO, interval=60)
    lived(task, 100)
    task.first = ago(10)
    SchedulerService.save(task)
    ScheduledTask.objects.update(since=timezone.now())
    SchedulePeriod.objects.update(spec=task.spec_json(), end=timezone.now())
    assert tally(task).holes.first == [task.first]


@pytest.mark.parametrize(("retries", "in_flight"), [(1, 1), (0, 0)])
def test_a_failed_run_that_is_tried_again_is_in_flight(retries: int, in_flight: int):
    task = make_row(first=ago(100), since=ago(101), retries=retries)
    task.runs.create(name="x", due=task.first, status="failed", started=ago(99), ended=ago(98))
    assert (tally(task).in_flight, tally(task).outcomes["failed"]) == (in_flight, 1 - in_flight)


def test_what_retention_has_deleted_is_not_asked_for():
    task = make_row(first=ago(3600), interval=600, since=ago(3601), pruned_until=ago(601))
    first = task.first
    assert first is not None
    for seconds in (3600, 3000):
        due = first + timedelta(seconds=seconds)
        task.runs.create(name="x", due=due, status="missed", ended=ago(1))
    assert (tally(task).due, tally(task).closes) == (2, True)


def test_a_run_by_hand_is_none_of_the_books():
    task = make_row()
    task.runs.create(name="x", requested=ago(1), started=ago(1), status="finished", ended=ago(1))
    assert tally(task).due == 0


def test_a_schedule_that_changes_while_it_is_counted_is_counted_again(
    monkeypatch: pytest.MonkeyPatch,
):
    task = lived(SchedulerService.cron("* * * * * *", functions.ECHO), 5)
    original = books._rows
    seen: list[Any] = []

    def rows(*args: Any) -> Any:
        if not seen:
            SchedulerService.pause(task)
        seen.append(args)
        return original(*args)

    monkeypatch.setattr(books, "_rows", rows)
    assert tally(task).closes
    assert len(seen) == 2


def test_many_schedules_are_counted_with_few_queries(django_assert_max_num_queries: Any):
    tasks = [make_row(first=ago(10), since=ago(11)) for _ in range(20)]
    with django_assert_max_num_queries(5):
        assert [found.due for found in books.tallies([task.pk for task in tasks])] == [1] * 20
