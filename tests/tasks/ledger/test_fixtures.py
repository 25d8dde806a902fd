"""`loaddata`: a schedule that comes with another database's history starts its ledger here."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import serializers
from django.core.management import call_command
from redis import Redis

from tasks.broker.reconcile import reconcile
from tasks.exceptions import NotPossible
from tasks.ledger.audit import tallies
from tasks.ledger.settling import settle
from tasks.models import Calendar, OwnerMark, ScheduledTask, ScheduledTaskInstance
from tasks.runs.lost import Watch
from tasks.services import CalendarService, SchedulerService
from tests.tasks.functions import ECHO
from tests.tasks.in_redis import due_in_redis
from tests.tasks.ledger.lives import tally
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)

Fixture = Callable[..., Path]
HOUR = timedelta(hours=1)


@pytest.fixture
def dumped(tmp_path: Path) -> Fixture:
    """Return a function that dumps these models to a file, and returns the file."""

    def dump(*labels: str) -> Path:
        path = tmp_path / "fixture.json"
        call_command("dumpdata", *labels, output=str(path))
        return path

    return dump


def with_history() -> ScheduledTask:
    """Store an hourly schedule with a changed spec, a row for each due, and some unsettled dues."""
    schedule = make_row(
        first=ago(9 * 3600 + 60), period_start=ago(10 * 3600), settled_through=ago(10 * 3600)
    )
    for number in range(6):
        make_run(schedule, due=schedule.first + number * HOUR, status="missed")
    ScheduledTask.objects.update(settled_through=schedule.first + 5 * HOUR)
    schedule.periods.create(
        kind="active", spec=schedule.spec_json(), start=ago(20 * 3600), end=ago(10 * 3600)
    )
    return schedule


@pytest.mark.parametrize("labels", [["tasks"], ["tasks.scheduledtask"]], ids=["all", "no history"])
def test_a_loaded_schedule_starts_its_ledger_now(
    dumped: Fixture, redis_connection: Redis, labels: list[str]
):
    schedule = with_history()
    path = dumped(*labels)
    ScheduledTask.objects.all().delete()
    before = ago(0)
    call_command("loaddata", str(path), verbosity=0)
    loaded = ScheduledTask.objects.get()
    assert loaded.settled_through == loaded.period_start == loaded.pruned_until >= before
    settle(redis_connection, Watch())
    assert (tally(loaded).due, tally(loaded).closes) == (0, True)
    assert loaded.runs.count() == (6 if labels == ["tasks"] else 0)
    reconcile(redis_connection)
    assert due_in_redis(redis_connection, loaded) == schedule.first + 10 * HOUR


def test_what_is_due_after_loading_is_expected(dumped: Fixture):
    with_history()
    path = dumped("tasks")
    ScheduledTask.objects.all().delete()
    call_command("loaddata", str(path), verbosity=0)
    then = ago(7200)
    ScheduledTask.objects.update(settled_through=then, period_start=then, pruned_until=then)
    assert tally(ScheduledTask.objects.get()).in_flight == 1
    assert tally(ScheduledTask.objects.get()).due == 2


def test_what_was_due_before_loading_cannot_be_run_again_by_backfill(dumped: Fixture):
    with_history()
    path = dumped("tasks.scheduledtask")
    ScheduledTask.objects.all().delete()
    call_command("loaddata", str(path), verbosity=0)
    with pytest.raises(NotPossible, match="another database"):
        SchedulerService.backfill(ScheduledTask.objects.get(), ago(3 * 3600), ago(0))


def test_a_loaded_schedule_takes_the_place_of_another_one(dumped: Fixture):
    with_history()
    path = dumped("tasks.scheduledtask")
    ScheduledTask.objects.update(job_id="schedule-another")
    call_command("loaddata", str(path), verbosity=0)
    assert ScheduledTask.objects.get().job_id != "schedule-another"
    assert (tally(ScheduledTask.objects.get()).due, ScheduledTaskInstance.objects.count()) == (0, 6)


def test_a_schedule_that_is_loaded_again_keeps_its_ledger(dumped: Fixture):
    schedule = with_history()
    path = dumped("tasks.scheduledtask")
    for number in (6, 7, 8, 9):
        make_run(schedule, due=schedule.first + number * HOUR, status="missed")
    ScheduledTask.objects.update(settled_through=schedule.first + 9 * HOUR, pruned_until=ago(99999))
    before = ScheduledTask.objects.values("settled_through", "period_start", "pruned_until").get()
    call_command("loaddata", str(path), verbosity=0)
    after = ScheduledTask.objects.values("settled_through", "period_start", "pruned_until").get()
    assert after == before
    assert (tally(schedule).outcomes["missed"], tally(schedule).closes) == (10, True)


@pytest.mark.parametrize("stop", [SchedulerService.pause, SchedulerService.cancel, None])
def test_a_fixture_that_changes_a_schedule_ends_its_period(
    dumped: Fixture, stop: Callable[[ScheduledTask], None] | None
):
    schedule = with_history()
    path = dumped("tasks.scheduledtask")
    if stop is None:
        SchedulerService.update(schedule, interval=60)
    else:
        stop(schedule)
    number = schedule.periods.count()
    call_command("loaddata", str(path), verbosity=0)
    loaded = ScheduledTask.objects.get()
    assert (loaded.interval, loaded.status) == (3600, "running")
    assert loaded.periods.count() == number + 1
    assert loaded.period_start == loaded.periods.first().end
    assert next(tallies([loaded.pk])).closes


def test_a_loaded_calendar_settles_what_was_due_by_its_old_dates(dumped: Fixture):
    today = ago(0).date()
    CalendarService.define("Holidays", [today - timedelta(days=1), today])
    path = dumped("tasks.calendar")
    CalendarService.define("Holidays", ["2000-01-01"])
    schedule = make_row(first=ago(3 * 3600 + 60), calendar=Calendar.objects.get())
    start = ago(4 * 3600)
    ScheduledTask.objects.update(period_start=start, settled_through=start)
    call_command("loaddata", str(path), verbosity=0)
    schedule.refresh_from_db()
    assert (tally(schedule).outcomes["missed"], tally(schedule).closes) == (4, True)


def test_rows_that_are_deserialized_one_by_one_start_their_ledger_too():
    with_history()
    text = serializers.serialize("json", ScheduledTask.objects.all())
    ScheduledTask.objects.all().delete()
    for one in serializers.deserialize("json", text):
        one.save()
    assert tally(ScheduledTask.objects.get()).due == 0


def test_runs_are_loaded_as_they_were(dumped: Fixture):
    schedule = SchedulerService.schedule(ago(60), ECHO)
    times = {"due": ago(60), "started": ago(50), "ended": ago(40)}
    make_run(schedule, status="failed", reason="Failed for: ValueError", log="x", **times)
    ScheduledTaskInstance.objects.update(created=ago(50))
    before = ScheduledTaskInstance.objects.values().get()
    path = dumped("tasks")
    ScheduledTask.objects.all().delete()
    call_command("loaddata", str(path), verbosity=0)
    assert ScheduledTaskInstance.objects.values().get() == before


def test_a_database_that_has_an_owner_mark_keeps_it_when_that_of_another_is_loaded():
    own = OwnerMark.objects.create(number=7)
    other = {"owner": str(uuid.uuid4()), "number": 900}
    fixture = json.dumps([{"model": "tasks.ownermark", "pk": OwnerMark.THE_ONLY, "fields": other}])
    for loaded in serializers.deserialize("json", fixture):
        loaded.save()
    mark = OwnerMark.objects.get()
    assert (mark.owner, mark.number) == (own.owner, 7)
