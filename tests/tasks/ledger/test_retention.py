"""Runs that a schedule doesn't keep are deleted, and old lines of its history."""

from typing import Any

import pytest

from tasks.ledger import retention
from tasks.ledger.retention import prune
from tasks.models import ScheduleChange, ScheduledTask
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
