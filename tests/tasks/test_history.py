"""The history: each change leaves a line with who made it, what it was, and no secret."""

from typing import Any

import pytest

from tasks import history
from tasks.exceptions import InvalidSchedule, NotPossible
from tasks.history import made_by
from tasks.models import ScheduleChange, ScheduledTask, Tag
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


@pytest.mark.parametrize(
    ("argv", "author"),
    [
        (["/srv/manage.py", "sync_schedules"], "manage.py sync_schedules"),
        (["/lib/django/__main__.py", "shell"], "manage.py shell"),
        (["/lib/gunicorn/__main__.py", "site.wsgi"], "gunicorn"),
        (["/usr/bin/uwsgi"], "uwsgi"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_author_of_what_code_does_is_its_command(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], author: str
):
    monkeypatch.setattr("sys.argv", argv)
    make()
    assert ScheduleChange.objects.get().by == author


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


def tag_lines() -> list[Any]:
    """Return the tags before and after, of all lines that have some, oldest first."""
    return [changes["tags"] for _action, changes in lines() if "tags" in changes]


def test_tags_that_are_given_or_taken_away_are_in_the_history_however_that_is_done():
    schedule = make()
    night, shop = (Tag.objects.create(name=name) for name in ("night", "shop"))
    schedule.tags.add(night)
    schedule.tags.add(night)
    shop.schedules.add(schedule)
    schedule.tags.remove(night)
    shop.schedules.clear()
    schedule.tags.set([night, shop])
    schedule.tags.clear()
    schedule.tags.add(shop)
    shop.delete()
    assert tag_lines() == [
        [[], ["night"]],
        [["night"], ["night", "shop"]],
        [["night", "shop"], ["shop"]],
        [["shop"], []],
        [[], ["night", "shop"]],
        [["night", "shop"], []],
        [[], ["shop"]],
        [["shop"], []],
    ]


def test_what_one_person_does_at_once_to_fields_and_tags_is_one_line():
    schedule = make()
    old, new = (Tag.objects.create(name=name) for name in ("old", "new"))
    schedule.tags.add(old)
    with made_by("ada"):
        SchedulerService.update(schedule, retries=2)
        schedule.tags.set([new])
    assert lines()[2:] == [("changed", {"retries": [0, 2], "tags": [["old"], ["new"]]})]


def test_several_tags_that_are_deleted_at_once_are_all_told_as_taken(schedule: ScheduledTask):
    tags = [Tag.objects.create(name=name) for name in ("a", "b", "c")]
    schedule.tags.set(tags)
    with history.made_by("anna"):
        Tag.objects.filter(name__in=["a", "b"]).delete()
    assert schedule.changes.first().changes == {"tags": [["a", "b", "c"], ["c"]]}
