"""The history: each change leaves a line with who made it, what it was, and no secret."""

from typing import Any

import pytest

from tasks import history
from tasks.exceptions import InvalidSchedule, NotPossible
from tasks.history import made_by
from tasks.models import ScheduleChange, ScheduledTask
from tasks.services import SchedulerService
from tests.tasks.functions import ECHO, LOG_IN
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def lines() -> list[tuple[str, Any]]:
    """Return action and changes of all lines, oldest first."""
    return list(ScheduleChange.objects.order_by("id").values_list("action", "changes"))


def make(**options: Any) -> ScheduledTask:
    return SchedulerService.schedule(ago(0), ECHO, name="x", interval=60, **options)


def test_a_new_schedule_begins_its_history():
    with made_by("ops"):
        make()
    assert list(ScheduleChange.objects.values_list("action", "by")) == [("created", "ops")]


def test_a_change_says_each_value_before_and_after():
    schedule = make()
    SchedulerService.update(schedule, interval=120, overlap="wait")
    assert lines()[1:] == [("changed", {"interval": [60, 120], "overlap": ["skip", "wait"]})]


def test_what_changes_nothing_leaves_no_line():
    schedule = make()
    SchedulerService.update(schedule, interval=60)
    SchedulerService.save(schedule)
    make()
    assert len(lines()) == 1


def test_a_saved_row_is_compared_with_the_stored_one():
    schedule = make()
    schedule.retries = 3
    SchedulerService.save(schedule)
    assert lines()[1:] == [("changed", {"retries": [0, 3]})]


def test_pause_resume_and_cancel_have_lines_of_their_own():
    schedule = make()
    SchedulerService.pause(schedule, "a move")
    paused_at = ScheduledTask.objects.get().paused_at
    SchedulerService.resume(schedule)
    SchedulerService.cancel(schedule)
    SchedulerService.cancel(schedule)
    assert [action for action, _changes in lines()] == ["created", "paused", "resumed", "canceled"]
    assert ScheduleChange.objects.get(action="paused").note == "a move"
    resumed = ScheduleChange.objects.get(action="resumed").changes
    assert resumed == {"paused_at": [paused_at.isoformat(), None]}


def test_a_schedule_that_is_requested_again_says_that_it_came_back():
    schedule = make()
    SchedulerService.cancel(schedule)
    make()
    assert lines()[-1][1]["status"] == ["death", "running"]


def test_secrets_are_sealed_and_their_change_is_told():
    schedule = SchedulerService.schedule(ago(0), LOG_IN, ["1234-5678"], interval=60)
    SchedulerService.update(schedule, args=["8765-4321"], note="since 8765-4321 came")
    [(_action, changes)] = lines()[1:]
    assert changes["args"] == [["•••"], ["•••"]]
    assert "8765-4321" not in str(changes)


def test_what_a_list_in_code_brings_says_so():
    SchedulerService.sync(
        [{"cron_string": "0 * * * *", "task_func": ECHO, "name": "x"}], owner="shop"
    )
    assert lines() == [("created", {"list_owner": [None, "shop"]})]


def test_the_author_of_what_code_does_is_its_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["/srv/manage.py", "sync_schedules"])
    make()
    assert ScheduleChange.objects.get().by == "manage.py sync_schedules"


def test_a_refused_change_leaves_no_line():
    schedule = make()
    with pytest.raises(InvalidSchedule):
        SchedulerService.update(schedule, interval=0)
    with pytest.raises(NotPossible):
        SchedulerService.resume(schedule)
    assert len(lines()) == 1


def test_what_is_explained_is_one_line_with_the_change():
    schedule = make()
    with made_by("ops"):
        SchedulerService.update(schedule, retries=1)
        history.explain(schedule, "changed", None, "it failed on Monday")
    line = ScheduleChange.objects.get(action="changed")
    assert (line.by, line.note) == ("ops", "it failed on Monday")
    assert line.changes == {"retries": [0, 1]}


def test_what_changes_no_field_is_a_line_too():
    schedule = make_row()
    with made_by("ops"):
        history.explain(schedule, "run_requested", None, "")
    assert list(ScheduleChange.objects.values_list("action", "by")) == [("run_requested", "ops")]
