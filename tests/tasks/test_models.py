"""The records: what can't be is refused by the database, with a message by `full_clean`."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.reports.strips import strips
from tests.tasks.functions import CALL, ECHO
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db

NOW = timezone.now()
EARLIER = NOW - timedelta(hours=1)
Row = ScheduledTask | ScheduledTaskInstance | Task


def refused(row: Row, **values: Any) -> bool:
    try:
        with transaction.atomic():
            type(row)._default_manager.filter(pk=row.pk).update(**values)
    except IntegrityError:
        return True
    return False


def make_run(parent: ScheduledTask, **values: Any) -> ScheduledTaskInstance:
    defaults: dict[str, Any] = {"name": parent.name, "due": NOW, "started": NOW}
    return ScheduledTaskInstance.objects.create(parent=parent, **defaults | values)


def make_call(**values: Any) -> Task:
    return Task.objects.create(name="call", function=ECHO, **values)


@pytest.mark.parametrize(
    "values",
    [
        {"status": "unknown"},
        {"status": "paused"},
        {"paused_at": NOW},
        {"type": "cron"},
        {"type": "unknown"},
        {"first": None},
        {"cron": "* * * * *"},
        {"type": "cron", "cron": "* * * * *"},
        {"type": "cron", "cron": "", "first": None, "interval": None},
        {"interval": 0},
        {"interval": 10 * 366 * 86_400 + 1},
        {"repeat": 0},
        {"start": NOW, "end": EARLIER},
        {"timeout": 0},
        {"timeout": 7 * 86_400 + 1},
        {"start_deadline": 0},
        {"keep_runs": 0},
        {"keep_days": 0},
        {"keep_days": 36_501},
        {"keep_runs": 1_000_001},
        {"start_deadline": 10 * 366 * 86_400 + 1},
        {"repeat": 100_001},
        {"retries": 101},
        {"retry_delay": 7 * 86_400 + 1},
        {"jitter": 0},
        {"jitter": 86_401, "interval": None},
        {"jitter": 3_601},
        {"exclude": "x" * 24_001},
        {"overlap": "unknown"},
        {"catch_up": "unknown"},
        {"on_disconnect": "unknown"},
        {"retries": -1},
    ],
    ids=" ".join,
)
def test_an_impossible_schedule_is_not_stored(values: dict[str, Any]):
    assert refused(make_row(), **values)


@pytest.mark.parametrize(
    "values",
    [
        {"status": "paused", "paused_at": NOW},
        {"status": "death"},
        {"type": "cron", "cron": "* * * * *", "first": None, "interval": None},
        {"interval": None},
        {"start": NOW, "end": NOW},
        {"jitter": 3_600},
        {"jitter": 86_400, "interval": None},
    ],
    ids=" ".join,
)
def test_a_possible_schedule_is_stored(values: dict[str, Any]):
    assert not refused(make_row(), **values)


@pytest.mark.parametrize(
    "values",
    [
        {"status": "unknown"},
        {"status": "queued"},
        {"status": "running", "started": None},
        {"status": "running", "ended": NOW},
        {"status": "finished"},
        {"status": "finished", "ended": NOW, "started": None},
        {"status": "failed", "ended": NOW, "started": None},
        {"status": "canceled"},
        {"status": "missed", "ended": NOW},
        {"status": "skipped", "ended": NOW},
        {"status": "missed", "started": None},
        {"due": None},
        {"attempt": 0},
        {"progress": 101},
        {"progress": -1},
        {"parent": None},
    ],
    ids=" ".join,
)
def test_an_impossible_run_is_not_stored(schedule: ScheduledTask, values: dict[str, Any]):
    assert refused(make_run(schedule), **values)


@pytest.mark.parametrize("status", ["finished", "failed", "canceled"])
def test_a_run_that_started_ends_in_each_way(schedule: ScheduledTask, status: str):
    assert not refused(make_run(schedule), status=status, ended=NOW)


@pytest.mark.parametrize("status", ["missed", "skipped", "canceled"])
def test_a_run_that_never_started_ends_in_each_way(schedule: ScheduledTask, status: str):
    assert not refused(make_run(schedule), status=status, started=None, ended=NOW)


@pytest.mark.parametrize(
    "values",
    [
        {"status": "unknown"},
        {"status": "reserved"},
        {"started": NOW},
        {"ended": NOW},
        {"status": "running"},
        {"status": "finished", "ended": NOW},
        {"status": "failed"},
        {"attempt": 0},
        {"progress": 101},
    ],
    ids=" ".join,
)
def test_an_impossible_call_is_not_stored(values: dict[str, Any]):
    assert refused(make_call(), **values)


def test_bulk_create_does_not_get_round_the_constraints(schedule: ScheduledTask):
    run = ScheduledTaskInstance(parent=schedule, name="x", due=NOW, status="finished")
    with pytest.raises(IntegrityError), transaction.atomic():
        ScheduledTaskInstance.objects.bulk_create([run])


@pytest.mark.parametrize("field", ["due", "requested"])
def test_there_is_one_row_per_occurrence_and_per_run_by_hand(schedule: ScheduledTask, field: str):
    values = {"due": None, field: NOW}
    make_run(schedule, **values)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_run(schedule, **values)


def test_runs_by_hand_do_not_collide_for_want_of_a_due(schedule: ScheduledTask):
    make_run(schedule, due=None, requested=NOW)
    make_run(schedule, due=None, requested=EARLIER)
    assert schedule.runs.count() == 2


def test_failed_follows_the_status_whoever_writes_it(schedule: ScheduledTask):
    run = make_run(schedule)
    assert run.failed is False
    ScheduledTaskInstance.objects.update(status="failed", ended=NOW)
    assert ScheduledTaskInstance.objects.get().failed is True


def test_deleting_a_schedule_deletes_its_runs(schedule: ScheduledTask):
    make_run(schedule)
    schedule.delete()
    assert not ScheduledTaskInstance.objects.exists()


@pytest.mark.parametrize(
    "values", [{"name": "other"}, {"function": CALL}, {"args": [2]}, {"kwargs": {"a": 2}}], ids=str
)
def test_name_function_and_arguments_are_the_identity(values: dict[str, Any]):
    identity: dict[str, Any] = {"name": "same", "args": [1], "kwargs": {"a": 1, "b": 2}}
    make_row(**identity)
    make_row(**identity | values)
    assert ScheduledTask.objects.count() == 2


def test_the_same_identity_is_stored_once():
    make_row(name="same", kwargs={"a": 1, "b": 2})
    with pytest.raises(IntegrityError), transaction.atomic():
        make_row(name="same", kwargs={"b": 2, "a": 1}, interval=60, queue="low")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("function", {"function": "os.system"}),
        ("function", {"function": "tests.only_background"}),
        ("args", {"args": {"not": "a list"}}),
        ("args", {"function": "tests.only_scheduled", "args": []}),
        ("first", {"first": None, "interval": None}),
        ("interval", {"interval": 0}),
        ("interval", {"interval": 10 * 366 * 86_400 + 1}),
        ("cron", {"cron": "61 * * * *", "first": None, "interval": None}),
        ("cron", {"cron": "* * * * *"}),
        ("timezone", {"cron": "@daily", "timezone": "Mars", "first": None, "interval": None}),
        ("repeat", {"repeat": 100_001}),
        ("repeat", {"repeat": 2, "interval": None}),
        ("end", {"start": NOW, "end": EARLIER}),
        ("exclude", {"exclude": "christmas"}),
        ("exclude", {"interval": None, "exclude": "1970-01-01..9979-12-31"}),
        ("jitter", {"jitter": 61}),
        ("kwargs", {"function": "tests.only_scheduled", "args": [1], "kwargs": {"no": 1}}),
        ("timeout", {"timeout": 0}),
        ("retries", {"retries": 101}),
        ("overlap", {"overlap": "unknown"}),
    ],
)
def test_a_wrong_value_is_reported_at_its_field(field: str, values: dict[str, Any]):
    defaults: dict[str, Any] = {"name": "x", "function": ECHO, "first": NOW, "interval": 60}
    with pytest.raises(ValidationError) as caught:
        ScheduledTask(**defaults | values).full_clean()
    assert field in caught.value.message_dict


def test_a_name_with_a_lone_surrogate_is_reported():
    with pytest.raises(ValidationError):
        ScheduledTask(name="\ud800", function=ECHO, first=NOW).full_clean()


def test_the_type_follows_from_the_spec():
    schedule = ScheduledTask(name="x", function=ECHO, cron=" 1  2 * *   * ", type="schedule")
    schedule.full_clean()
    assert (schedule.type, schedule.cron) == ("cron", "1 2 * * *")


def test_a_repeat_of_cron_counts_from_now_if_nothing_else_is_said():
    schedule = ScheduledTask(name="x", function=ECHO, cron="@daily", repeat=3)
    schedule.full_clean()
    assert schedule.start is not None


def test_dues_are_whole_milliseconds_whoever_wrote_the_first():
    schedule = make_row(first=NOW.replace(microsecond=123_456), interval=None)
    due = schedule.next_due(EARLIER)
    assert due is not None
    assert due.microsecond == 123_000


def test_only_a_live_schedule_has_a_next_due():
    schedule = make_row(first=ago(10), interval=60)
    assert schedule.next_due(timezone.now()) == schedule.first + timedelta(seconds=60)
    for status in ("paused", "death"):
        schedule.status = status
        assert schedule.next_due(timezone.now()) is None


def test_a_row_that_cannot_be_scheduled_still_says_when():
    schedule = make_row(cron="nonsense")
    assert schedule.next_due(NOW) is None
    assert "nonsense" in schedule.when_in_words()


def test_live_schedules_are_those_neither_paused_nor_dead():
    for status in ScheduledTask.Status.values:
        make_row(name=status, status=status, paused_at=NOW if status == "paused" else None)
    assert {schedule.name for schedule in ScheduledTask.objects.live()} == {"running", "failed"}


def test_the_last_run_is_the_newest_that_started(schedule: ScheduledTask):
    make_run(schedule, due=EARLIER, status="failed", ended=NOW)
    make_run(schedule, status="missed", started=None, ended=NOW)
    row: Any = ScheduledTask.objects.with_last_run().get()
    assert row.last_run_status == "failed"


def test_a_late_attempt_changes_nothing(schedule: ScheduledTask):
    late = make_run(schedule)
    ScheduledTaskInstance.objects.update(attempt=2)
    assert not late.update_attempt(status="finished", ended=NOW)
    assert ScheduledTaskInstance.objects.get().status == "running"


def test_duration_and_lateness_are_derived(schedule: ScheduledTask):
    run = make_run(
        schedule,
        due=NOW - timedelta(seconds=3),
        status="finished",
        ended=NOW + timedelta(seconds=5),
    )
    assert (run.duration, run.lateness) == (timedelta(seconds=5), timedelta(seconds=3))


def test_a_later_attempt_and_what_somebody_requested_are_not_late(schedule: ScheduledTask):
    late = NOW - timedelta(seconds=600)
    again = make_run(schedule, due=late, attempt=2)
    requested = make_run(schedule, due=late - timedelta(seconds=1), requested=NOW)
    assert (again.lateness, requested.lateness) == (None, None)
    assert {run.lateness for run in strips([schedule.pk])[schedule.pk]} == {None}


def test_a_run_that_never_started_has_neither(schedule: ScheduledTask):
    run = make_run(schedule, started=None, ended=NOW, status="missed")
    assert (run.duration, run.lateness) == (None, None)


@pytest.mark.parametrize(
    ("field", "values"),
    [("function", {"function": "os.system"}), ("args", {"args": 5}), ("kwargs", {"kwargs": []})],
)
def test_a_wrong_call_is_reported_at_its_field(field: str, values: dict[str, Any]):
    with pytest.raises(ValidationError) as caught:
        Task(**{"name": "x", "function": ECHO} | values).full_clean()
    assert field in caught.value.message_dict
