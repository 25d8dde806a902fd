"""Runs that a schedule doesn't keep are deleted, and old lines of its history."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tasks.ledger import retention
from tasks.ledger.retention import Retention, prune
from tasks.models import ScheduleChange, ScheduledTask, Task
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def ended_runs(schedule: ScheduledTask, number: int) -> None:
    for index in range(number):
        at = ago((number - index) * 86_400)
        schedule.runs.create(name="x", due=at, status="finished", started=at, ended=at)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"keep_runs": 2}, 2),
        ({"keep_runs": None, "keep_days": 3}, 2),
        ({"keep_runs": 1, "keep_days": 30}, 1),
        ({"keep_runs": None}, 5),
    ],
    ids=str,
)
def test_retention_keeps_the_newest_runs(values: dict[str, Any], kept: int):
    schedule = make_row(**values)
    ended_runs(schedule, 5)
    newest = list(schedule.runs.order_by("-id").values_list("pk", flat=True)[:kept])
    prune()
    assert list(schedule.runs.order_by("-id").values_list("pk", flat=True)) == newest


def test_retention_keeps_running_runs():
    schedule = make_row(keep_runs=1)
    schedule.runs.create(name="x", due=ago(200_000), started=ago(600))
    ended_runs(schedule, 1)
    prune()
    assert sorted(schedule.runs.values_list("status", flat=True)) == ["finished", "running"]


def test_retention_keeps_runs_that_are_not_settled_yet():
    schedule = make_row(keep_runs=1, settled_through=ago(400_000))
    ended_runs(schedule, 4)
    prune()
    assert schedule.runs.filter(due__gt=schedule.settled_through).count() == 4


def test_retention_of_one_schedule_keeps_the_runs_of_others():
    small, other = make_row(keep_runs=1), make_row(keep_runs=None)
    ended_runs(small, 2)
    ended_runs(other, 2)
    prune()
    assert (small.runs.count(), other.runs.count()) == (1, 2)


def look(looker: Retention) -> None:
    for _step in looker.steps():
        pass


def test_a_schedule_is_looked_at_again_when_it_has_new_runs():
    schedule, looker = make_row(keep_runs=2), Retention()
    ended_runs(schedule, 3)
    look(looker)
    at = ago(1)
    schedule.runs.create(name="x", due=at, status="finished", started=at, ended=at)
    look(looker)
    assert schedule.runs.count() == 2


def test_a_schedule_is_looked_at_again_when_it_is_to_keep_less():
    schedule, looker = make_row(keep_runs=None), Retention()
    ended_runs(schedule, 3)
    look(looker)
    schedule.keep_runs = 1
    schedule.save()
    look(looker)
    assert schedule.runs.count() == 1


def test_runs_are_deleted_when_they_are_too_old_though_there_are_no_new_ones(
    monkeypatch: pytest.MonkeyPatch,
):
    schedule, looker = make_row(keep_runs=None, keep_days=3), Retention()
    ended_runs(schedule, 3)
    ScheduledTask.objects.update(updated=ago(3600))
    look(looker)
    assert schedule.runs.count() == 2
    oldest = schedule.runs.order_by("due")[0]
    schedule.runs.filter(pk=oldest.pk).update(due=oldest.due - timedelta(days=2))
    look(looker)
    assert schedule.runs.count() == 2, "its hour hasn't come"
    monkeypatch.setattr("tasks.ledger.retention.elapsed_clock", lambda: 1e12)
    look(looker)
    assert schedule.runs.count() == 1


def test_schedules_without_new_runs_cost_no_query():
    looker = Retention()
    for _ in range(30):
        ended_runs(make_row(keep_runs=2), 3)
    look(looker)
    ScheduledTask.objects.update(updated=ago(3600))
    look(looker)  # All of its runs are among the last, which are looked at again.
    with CaptureQueriesContext(
        connection,
    ) as few:
        look(looker)
    for _ in range(30):
        make_row(keep_runs=2)
    ScheduledTask.objects.update(updated=ago(3600))
    with CaptureQueriesContext(connection) as more:
        look(looker)
    assert len(more) == len(few)


def calls(number: int, **values: Any) -> list[int]:
    """Make calls that ended some days ago, the oldest first; return their ids."""
    rows = [
        Task.objects.create(
            name="x",
            function="x",
            **{"status": "finished", "started": at, "ended": at} | values,
        )
        for at in (ago((number - index) * 86_400 - 60) for index in range(number))
    ]
    return [row.pk for row in rows]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(None, 5), ({"days": 3}, 3), ({"number": 2}, 2), ({"days": 1, "number": 4}, 1)],
)
def test_the_newest_calls_are_kept(settings: LazySettings, keep: Any, kept: int):
    settings.TASKS_KEEP_CALLS = keep
    pks = calls(5)
    prune()
    assert list(Task.objects.order_by("pk").values_list("pk", flat=True)) == pks[-kept:]


def test_calls_that_have_not_ended_are_kept(settings: LazySettings):
    settings.TASKS_KEEP_CALLS = {"days": 1, "number": 1}
    [running] = calls(1, status="running", ended=None)
    [reserved] = calls(1, status="reserved", reserved_for=ago(-60), started=None, ended=None)
    calls(3)
    prune()
    kept = Task.objects.order_by("pk").values_list("pk", flat=True)
    assert [running, reserved] == list(kept)[:2]
    assert len(kept) == 3


def test_an_old_call_that_ended_late_keeps_no_other_from_being_deleted(settings: LazySettings):
    settings.TASKS_KEEP_CALLS = {"days": 2}
    [late] = calls(1)
    calls(4)
    prune()
    assert Task.objects.filter(pk=late).exists()
    assert Task.objects.count() == 3


def test_the_newest_lines_of_a_schedules_history_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "CHANGES_KEPT", 3)
    many, few = make_row(), make_row()
    for number in range(5):
        ScheduleChange.objects.create(schedule=many, action=f"{number}")
    ScheduleChange.objects.create(schedule=few, action="only")
    for _step in retention.pruning_history():
        pass
    assert [change.action for change in many.changes.all()] == ["4", "3", "2"]
    assert few.changes.count() == 1


def test_the_last_calls_that_ended_are_kept_whenever_they_were_made(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "CHUNK", 1)
    settings.TASKS_KEEP_CALLS = {"number": 3}
    late = [calls(1, ended=ago(60 + number))[0] for number in range(2)]
    pks = calls(4)
    prune()
    assert {*Task.objects.values_list("pk", flat=True)} == {*late, pks[-1]}
