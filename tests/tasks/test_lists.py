"""Lists in code: each has an owner, or stands for the apps of its functions, and touches no other.

`echo` is of the app “tests”, `note` of the app “jobs”.
"""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection, transaction
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.changes.lists import sync_lists
from tasks.exceptions import InvalidSchedule, NotPossible
from tasks.ledger.settling import settle
from tasks.lists import Action, ScheduleList
from tasks.models import ScheduledTask
from tasks.runs.lost import Watch
from tasks.services import SchedulerService
from tests.tasks.functions import ECHO, LOG_IN, in_threads
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "tests.jobs.note"


def echo(name: str, cron: str = "0 7 * * *", **values: Any) -> dict[str, Any]:
    return {"name": name, "task_func": ECHO, "cron_string": cron, **values}


def note(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "task_func": NOTE, "args": ["x"], "cron_string": "@daily", **values}


def live() -> dict[str, str | None]:
    """Return the owners of the schedules that have not ended, by name."""
    rows = ScheduledTask.objects.exclude(status="death")
    return dict(rows.order_by("name").values_list("name", "list_owner"))


def test_two_times_of_a_function_are_two_schedules_if_they_have_names():
    morning = {"task_func": ECHO, "cron_string": "0 7 * * *"}
    evening = {"task_func": ECHO, "cron_string": "0 19 * * *"}
    with pytest.raises(InvalidSchedule, match=r"entry 2: .*same schedule as entry 1.*give them"):
        SchedulerService.sync([morning, evening])
    assert live() == {}
    SchedulerService.sync([morning | {"name": "morning"}, evening | {"name": "evening"}])
    assert set(ScheduledTask.objects.values_list("name", "cron")) == {
        ("morning", "0 7 * * *"),
        ("evening", "0 19 * * *"),
    }


def test_two_apps_with_a_list_each_leave_each_other_alone():
    SchedulerService.sync([echo("a"), echo("b")])
    SchedulerService.sync([note("c")])
    SchedulerService.sync([echo("a")])
    assert live() == {"a": "", "c": ""}


def test_a_list_with_an_owner_cancels_only_its_own():
    make_row(name="manual")
    SchedulerService.sync([note("without owner")])
    SchedulerService.sync([echo("a"), echo("b")], owner="shop")
    SchedulerService.sync([echo("c")], owner="post")
    SchedulerService.sync([echo("b")], owner="shop")
    assert live() == {"b": "shop", "c": "post", "manual": None, "without owner": ""}


def test_a_list_without_an_owner_never_cancels_what_is_on_an_owners_list():
    SchedulerService.sync([echo("a")], owner="shop")
    SchedulerService.sync([note("b")])
    with pytest.raises(NotPossible, match=r"would cancel .*: “a” \(shop\)\. Give it an owner"):
        SchedulerService.sync([echo("c")])
    with pytest.raises(NotPossible, match="would cancel"):
        SchedulerService.sync([], app="tests")
    assert live() == {"a": "shop", "b": ""}


def test_an_empty_list_cancels_all_of_its_app_or_of_its_owner():
    SchedulerService.sync([echo("a"), note("b")])
    SchedulerService.sync([echo("c", args=[1])], owner="shop")
    SchedulerService.sync([], app="jobs")
    assert live() == {"a": "", "c": "shop"}
    SchedulerService.sync([], owner="shop")
    assert live() == {"a": ""}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "An empty list must say what it empties"),
        ({"app": "shopp"}, "There is no app with the label “shopp”"),
        ({"owner": ""}, "1 to 200 characters"),
        ({"owner": "shop", "app": "jobs"}, "either an owner or an app"),
    ],
)
def test_a_list_that_does_not_say_what_it_stands_for_is_refused(
    given: dict[str, Any], message: str
):
    SchedulerService.sync([note("a")])
    with pytest.raises(NotPossible, match=message):
        SchedulerService.sync([], **given)
    assert live() == {"a": ""}


def test_a_schedule_whose_function_is_gone_still_belongs_to_its_app():
    make_row(function="tests.jobs.renamed", list_owner="")
    SchedulerService.sync([note("b")])
    assert live() == {"b": ""}


def test_a_schedule_is_on_one_list_and_can_be_taken_up_when_it_has_left_it():
    SchedulerService.sync([echo("a")], owner="shop")
    for owner in ("post", None):
        with pytest.raises(InvalidSchedule, match="entry 1: “a” is on the list of “shop”"):
            SchedulerService.sync([echo("a")], owner=owner)
    SchedulerService.sync([], owner="shop")
    SchedulerService.sync([echo("a")], owner="post")
    assert live() == {"a": "post"}


def test_a_schedule_moves_between_lists_that_are_synced_together():
    SchedulerService.sync([echo("a")], owner="shop")
    sync_lists([ScheduleList([echo("a")], "post"), ScheduleList([], "shop")])
    assert live() == {"a": "post"}


@pytest.mark.parametrize("owner", ["", None])
def test_a_list_takes_over_what_people_or_lists_without_an_owner_have_made(owner: str | None):
    SchedulerService.cron("@daily", ECHO, name="a")
    ScheduledTask.objects.update(list_owner=owner)
    SchedulerService.sync([echo("a")], owner="shop")
    assert live() == {"a": "shop"}


def test_all_invalid_entries_are_named_and_nothing_is_changed(redis_connection: Redis):
    SchedulerService.sync([echo("a")], owner="shop")
    entries: list[Any] = [
        echo("fine"),
        echo("b", cron="never"),
        {"task_func": "gone", "cron_string": "@daily"},
        {"task_func": ECHO},
        {"cron_string": "@daily"},
        echo("c", args=5),
        echo("d", args="text"),
        echo("e", settled_through=ago(0)),
        "f",
        echo("fine"),
    ]
    with pytest.raises(InvalidSchedule) as refused:
        SchedulerService.sync(entries, owner="shop")
    assert list(refused.value.errors) == [f"entry {number}" for number in range(2, 11)]
    assert all(place in str(refused.value) for place in refused.value.errors)
    assert live() == {"a": "shop"}
    assert redis_connection.zcard(SCHEDULES_KEY) == 1


def refused_by(entry: Any) -> str:
    with pytest.raises(InvalidSchedule) as refused:
        SchedulerService.sync([entry], owner="shop")
    assert not ScheduledTask.objects.exists()
    return str(refused.value)


@pytest.mark.parametrize(
    "entry",
    [
        {"task_func": LOG_IN, "name": "x", "args": ["hunter2"]},
        {"name": "x", "cron_string": "@daily", "kwargs": {"pin": "hunter2"}},
        ["x", "hunter2"],
    ],
    ids=["without time", "without function", "no dict"],
)
def test_the_error_of_an_entry_does_not_show_its_arguments(entry: Any):
    message = refused_by(entry)
    assert message.startswith("entry 1: ")
    assert "hunter2" not in message
    assert "x" in message or isinstance(entry, list)


TEXTS = ("name", "queue", "timezone", "description", "note", "cron_string", "overlap", "calendar")


@pytest.mark.parametrize("value", [5, ["x"], {"x": 1}, "a\0b", "a\ud800b"], ids=ascii)
@pytest.mark.parametrize("field", TEXTS)
def test_what_is_no_text_or_cannot_be_stored_is_refused_by_its_field(field: str, value: Any):
    why = "can't be stored" if isinstance(value, str) else "is not text"
    message = refused_by(echo("x") | {field: value})
    assert message.startswith(f"entry 1: {field.removesuffix('_string')}: ")
    assert why in message


@pytest.mark.parametrize("value", [5, "a\0b"], ids=ascii)
def test_a_change_to_what_is_no_text_or_cannot_be_stored_is_refused(value: Any):
    schedule = make_row()
    with pytest.raises(InvalidSchedule, match="note: "):
        SchedulerService.update(schedule, note=value)


def test_a_key_that_is_no_text_is_refused():
    assert "“5” is not a field" in refused_by(echo("x") | {5: 6})


@pytest.mark.parametrize(
    "more",
    [{"interval": 60}, {"first": ago(0)}, {"scheduled_time": ago(0)}],
    ids=lambda more: next(iter(more)),
)
def test_a_cron_expression_and_a_first_time_or_an_interval_are_refused_together(
    more: dict[str, Any],
):
    other = "an interval" if "interval" in more else "a first time"
    assert refused_by(echo("x") | more) == (
        f"entry 1: Give either a cron expression or {other}, not both."
    )


def test_a_time_that_is_given_twice_is_refused():
    once = {"name": "x", "task_func": ECHO, "scheduled_time": ago(0), "first": ago(60)}
    assert refused_by(once) == "entry 1: Give either “scheduled_time” or “first”, not both."
    message = refused_by(echo("x") | {"cron": "@hourly"})
    assert message == "entry 1: Give either “cron_string” or “cron”, not both."


def test_a_cron_schedule_that_is_given_an_interval_in_code_is_refused():
    with pytest.raises(InvalidSchedule, match="Give either a cron expression or an interval"):
        SchedulerService.cron("@daily", ECHO, interval=60)
    with pytest.raises(InvalidSchedule, match="Give either a cron expression or a first time"):
        SchedulerService.schedule(ago(0), ECHO, cron="@daily")


def test_each_message_names_its_field():
    assert refused_by(echo("x", overlap="sometimes", retries=-1)).count("overlap: Value") == 1
    assert "keep_runs: Ensure" in refused_by(echo("x", keep_runs=0))
    assert refused_by(echo("x", queue="nowhere")).startswith("entry 1: There is no queue")


def test_a_list_that_is_stored_already_changes_nothing():
    entries = [echo("a", repeat=3, exclude=["2999-12-24"]), note("b", scheduled_time=ago(9))]
    entries[1].pop("cron_string")
    entries[1]["interval"] = 60
    SchedulerService.sync(entries, owner="shop")
    before = list(ScheduledTask.objects.values())
    done = sync_lists([ScheduleList(entries, "shop")])
    assert [change.action for change in done] == [Action.KEEP, Action.KEEP]
    assert list(ScheduledTask.objects.values()) == before


def test_a_schedule_of_a_list_that_was_due_once_is_not_revived(redis_connection: Redis):
    once: dict[str, Any] = {"task_func": ECHO, "scheduled_time": ago(60)}
    [schedule] = SchedulerService.sync([once])
    schedule.runs.create(name="x", due=once["scheduled_time"], status="missed", ended=ago(0))
    settle(redis_connection, Watch())
    [again] = SchedulerService.sync([once])
    assert again.status == "death"


def test_a_schedule_that_somebody_paused_stays_paused():
    [schedule] = SchedulerService.sync([echo("a")])
    SchedulerService.pause(schedule)
    [again] = SchedulerService.sync([echo("a", description="new")])
    assert (again.status, again.description) == ("paused", "new")


def test_an_edited_schedule_gets_the_values_of_its_list_back():
    [schedule] = SchedulerService.sync([echo("a")])
    SchedulerService.update(schedule, cron="0 8 * * *")
    [change] = sync_lists([ScheduleList([echo("a")])])
    assert change.differences == {"cron": ("0 8 * * *", "0 7 * * *")}
    assert ScheduledTask.objects.get().cron == "0 7 * * *"


@pytest.mark.parametrize(
    "lists",
    [
        [[echo("a"), echo("b")], [echo("b"), echo("a")]],
        [[echo("a"), echo("b")], [note("a"), note("b")]],
        [[echo("a"), echo("b"), echo("c")], [echo("c"), echo("b")]],
    ],
    ids=["the same list", "lists of two apps", "an old and a new list"],
)
def test_processes_that_sync_at_once_take_turns(lists: Sequence[list[dict[str, Any]]]):
    for _ in range(3):
        results = in_threads(
            *(lambda one=one: SchedulerService.sync(one) for one in [*lists, *lists])
        )
        assert [r for r in results if isinstance(r, Exception)] == []
    keys = ScheduledTask.objects.values_list("name", "function")
    wanted = {(item["name"], item["task_func"]) for one in lists for item in one}
    assert sorted(keys) == sorted(wanted)
    functions = {item["task_func"] for item in lists[0]} & {item["task_func"] for item in lists[1]}
    if not functions:
        assert set(live()) == {"a", "b"}


def test_a_sync_waits_until_another_one_has_been_committed():
    def empty() -> None:
        SchedulerService.sync([], owner="shop")
        connection.close()

    thread = threading.Thread(target=empty)
    with transaction.atomic():
        SchedulerService.sync([echo("a")], owner="shop")
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join()
    assert live() == {}
