"""Definitions of schedules are moved between systems as text, without their history."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis

from tasks import holds
from tasks.definitions import EDITABLE_FIELDS
from tasks.exceptions import InvalidSchedule
from tasks.ledger.audit import tallies
from tasks.ledger.settling import settle
from tasks.lists import Action
from tasks.models import Calendar, ScheduledTask, Tag
from tasks.runs.lost import Watch
from tasks.services import CalendarService, SchedulerService
from tasks.tags import tags_named
from tasks.transfer import exported, import_document, read
from tests.tasks.functions import ECHO, REPORT, in_threads
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)

FORMATS = pytest.mark.parametrize("form", ["yaml", "json"])
Run = Callable[..., str]


def make_everything() -> None:
    """Store a schedule with a value in each field, and one of each other kind."""
    CalendarService.define("Holidays", ["2999-12-24", "2999-12-25..2999-12-26"], "“Ferien”")
    SchedulerService.cron(
        "0 7 * * *",
        ECHO,
        [14, {"a": None}, "2026-01-01", "no", "1e3", "😀", 'quoted "'],
        {"url": "https://user:secret@example.org"},
        "why\nnot",
        3,
        60,
        timezone="Europe/Rome",
        name="complete",
        queue="high",
        start=ago(3600),
        end=datetime(2999, 1, 1, tzinfo=UTC),
        exclude="2999-01-01, 2999-02-01..2999-02-03",
        calendar="Holidays",
        jitter=60,
        overlap="wait",
        catch_up="none",
        start_deadline=9,
        retries=2,
        retry_delay=5,
        keep_runs=None,
        keep_days=7,
        note="for people",
    )
    SchedulerService.schedule(ago(7000), ECHO, interval=3600, name="hourly")
    paused = SchedulerService.cron("@daily", ECHO, name="paused")
    SchedulerService.pause(paused, "until Monday")
    ended = SchedulerService.cron("@daily", ECHO, name="ended")
    SchedulerService.cancel(ended)


def definitions() -> list[dict[str, Any]]:
    fields = ("name", *EDITABLE_FIELDS, "type", "status")
    rows = ScheduledTask.objects.exclude(status="death").order_by("name")
    rows = rows.values(*{f for f in fields if f != "calendar"}, "calendar__name")
    return list(rows)


def move(form: str) -> list[Any]:
    """Export everything, delete it, and import it again."""
    text = exported(form)
    ScheduledTask.objects.all().delete()
    Calendar.objects.all().delete()
    return import_document(read(text, form))


@FORMATS
def test_definitions_arrive_as_they_were_and_ended_ones_stay_behind(form: str):
    make_everything()
    before, dates = definitions(), Calendar.objects.values_list("name", "dates", "description")
    calendars = list(dates)
    move(form)
    assert definitions() == before
    assert list(dates.all()) == calendars
    assert set(ScheduledTask.objects.values_list("name", flat=True)) == {
        "complete",
        "hourly",
        "paused",
    }


@FORMATS
def test_an_import_that_is_repeated_changes_nothing(form: str):
    make_everything()
    text = exported(form)
    before = [list(model.objects.order_by("pk").values()) for model in (ScheduledTask, Calendar)]
    changes = import_document(read(text, form))
    assert {change.action for change in changes} == {Action.KEEP}
    after = [list(model.objects.order_by("pk").values()) for model in (ScheduledTask, Calendar)]
    assert after == before


texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(texts, children, max_size=3),
    max_leaves=8,
)


@FORMATS
@given(args=st.lists(values, max_size=3), kwargs=st.dictionaries(texts, values, max_size=3))
@example(args=[-0.0], kwargs={"numbers": [1e16, -1e23, 1e-7, 5e-324, 1.7e308]})
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_arguments_are_they_stay_the_same(
    form: str, args: list[Any], kwargs: dict[str, Any]
):
    ScheduledTask.objects.all().delete()
    row = SchedulerService.cron("@daily", ECHO, args, kwargs)
    [change] = import_document(read(exported(form), form))
    assert (change.action, change.record.pk) == (Action.KEEP, row.pk)


def test_tags_arrive_with_their_schedules():
    schedule = SchedulerService.cron("@daily", ECHO, name="tagged")
    schedule.tags.set(tags_named(["shop", "news"]))
    move("yaml")
    assert set(ScheduledTask.objects.get().tags.values_list("name", flat=True)) == {"news", "shop"}


@pytest.mark.parametrize("tags", ["shop", [1], ["two words"]])
def test_what_cannot_be_a_tag_is_refused_and_nothing_is_written(tags: Any):
    entry = {"name": "x", "function": ECHO, "cron": "@daily", "tags": tags}
    with pytest.raises(InvalidSchedule):
        import_document({"calendars": [], "schedules": [entry]})
    assert not ScheduledTask.objects.exists()
    assert not Tag.objects.exists()


def test_what_arrives_starts_its_ledger_now(redis_connection: Redis):
    hourly = SchedulerService.schedule(ago(1800), ECHO, interval=3600, name="hourly")
    SchedulerService.schedule(ago(60), ECHO, name="once, over")
    make_run(hourly)
    move("yaml")
    settle(redis_connection, Watch())
    found = list(tallies(ScheduledTask.objects.values_list("pk", flat=True)))
    assert [(tally.due, tally.closes) for tally in found] == [(0, True), (0, True)]
    assert dict(ScheduledTask.objects.values_list("name", "status")) == {
        "hourly": "running",
        "once, over": "death",
    }


def test_a_changed_definition_takes_effect_from_now_on():
    schedule = SchedulerService.schedule(ago(500), ECHO, interval=3600)
    document = read(exported("json"), "json")
    document["schedules"][0] |= {"first": ago(400).isoformat(), "note": "moved"}
    [change] = import_document(document)
    assert set(change.differences) == {"first", "note"}
    schedule.refresh_from_db()
    assert schedule.next_due(schedule.settled_through) > ago(0)
    assert schedule.periods.get().kind == "active"


def test_an_import_keeps_what_people_have_paused_and_pauses_nothing_that_runs():
    SchedulerService.pause(SchedulerService.cron("@daily", ECHO, name="paused here"))
    SchedulerService.cron("@daily", ECHO, name="paused there")
    document = read(exported("json"), "json")
    for entry in document["schedules"]:
        entry["paused"] = not entry.get("paused", False)
    import_document(document)
    assert dict(ScheduledTask.objects.values_list("name", "status")) == {
        "paused here": "paused",
        "paused there": "running",
    }


def test_an_import_revives_what_has_ended_and_leaves_all_else_alone():
    ended = SchedulerService.cron("@daily", ECHO, name="ended")
    text = exported("yaml")
    SchedulerService.cancel(ended)
    SchedulerService.cron("@daily", ECHO, name="other")
    import_document(read(text, "yaml"))
    statuses = ScheduledTask.objects.values_list("name", "status")
    assert dict(statuses) == {"ended": "running", "other": "running"}


def test_a_changed_calendar_settles_what_was_due_before():
    tomorrow = (ago(-86_400)).date()
    CalendarService.define("Holidays", [tomorrow])
    schedule = SchedulerService.schedule(ago(9), ECHO, interval=86_400, calendar="Holidays")
    document = read(exported("yaml"), "yaml")
    document["calendars"][0]["dates"] = [tomorrow + timedelta(days=1)]
    calendar, kept = import_document(document)
    assert (calendar.action, kept.action) == (Action.CHANGE, Action.KEEP)
    schedule.refresh_from_db()
    assert schedule.next_due(ago(0)).date() == tomorrow
    assert next(tallies([schedule.pk])).closes


INVALID: dict[str, Any] = {
    "calendars": [
        {"name": "fine", "dates": ["2999-01-01"]},
        {"name": "wrong", "dates": ["Monday"]},
        {"name": "fine"},
        {"dates": []},
        {"name": "a\0b"},
    ],
    "schedules": [
        {"name": "fine", "function": ECHO, "cron": "@daily", "calendar": "fine"},
        {"name": "a", "function": "gone", "cron": "@daily"},
        {"name": "b", "function": ECHO, "cron": "@daily", "calendar": "unknown"},
        {"name": "c", "function": ECHO, "first": "soon"},
        {"name": "d", "function": ECHO, "cron": "@daily", "id": 5},
        {"name": "e", "function": ECHO, "cron": "@daily", "paused": "yes"},
        {"name": "f", "function": ECHO, "cron": "@daily", "queue": ["high"]},
        {"name": "g", "function": ECHO, "cron": "@daily", "args": "text", "note": "a\0b"},
        {"name": "h", "function": ECHO, "first": datetime(2026, 1, 1), "interval": 60},
        {"name": "i", "function": ECHO},
        {"name": "fine", "function": ECHO, "cron": "@hourly"},
        "j",
    ],
}


def test_all_invalid_entries_are_named_and_nothing_is_written():
    with pytest.raises(InvalidSchedule) as refused:
        import_document(INVALID)
    assert list(refused.value.errors) == [
        "calendars, entry 2 (“wrong”)",
        "calendars, entry 3 (“fine”)",
        "calendars, entry 4",
        "calendars, entry 5 (“a\0b”)",
        *(f"schedules, entry {2 + i} (“{name}”)" for i, name in enumerate("abcdefghi")),
        "schedules, entry 12",
        "schedules, entry 11 (“fine”)",
    ]
    assert not ScheduledTask.objects.exists()
    assert not Calendar.objects.exists()


@pytest.mark.parametrize(
    ("text", "form", "message"),
    [
        ("{", "json", "This is not JSON"),
        ("a: [", "yaml", "This is not YAML"),
        ("!!python/object:os.system {}", "yaml", "This is not YAML"),
        ("[" * 100_000, "json", "This is not JSON"),
        ("[]", "json", "two lists"),
        ("tasks: []", "yaml", "two lists"),
        ("schedules: 5", "yaml", "must be lists"),
    ],
    ids=str,
)
def test_a_text_that_is_no_document_is_refused(text: str, form: str, message: str):
    with pytest.raises(InvalidSchedule, match=message):
        read(text, form)


def test_two_imports_at_once_make_each_schedule_once():
    make_everything()
    document = read(exported("yaml"), "yaml")
    ScheduledTask.objects.all().delete()
    results = in_threads(*[lambda: import_document(document)] * 3)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert ScheduledTask.objects.count() == 3


# What can't be moved


def test_schedules_whose_arguments_name_rows_stay_behind_and_are_refused():
    calendar = CalendarService.define("Holidays", ["2999-12-24"])
    SchedulerService.cron("@daily", REPORT, ["2026-01-31", calendar], name="with a row")
    SchedulerService.cron("@daily", REPORT, ["2026-01-31"], {"calendar": None}, name="without")
    document = read(exported("json"), "json")
    assert [entry["name"] for entry in document["schedules"]] == ["without"]
    document["schedules"][0]["kwargs"] = {"calendar": calendar.pk}
    with pytest.raises(InvalidSchedule, match=f"by its own ids: calendar {calendar.pk}. Make it"):
        import_document(document)


def test_a_schedule_whose_function_is_gone_is_exported_all_the_same():
    make_row(function="gone", name="left")
    assert [entry["name"] for entry in read(exported("json"), "json")["schedules"]] == ["left"]


def test_an_export_names_what_it_leaves_out_on_the_standard_error():
    calendar = CalendarService.define("Holidays", ["2999-12-24"])
    SchedulerService.cron("@daily", REPORT, ["2026-01-31", calendar], name="with a row")
    out, err = StringIO(), StringIO()
    call_command("export_schedules", stdout=out, stderr=err, no_color=True)
    assert "with a row" not in out.getvalue()
    assert err.getvalue().startswith("“with a row” is left out: ")
    assert f"(calendar {calendar.pk})" in err.getvalue()


# The commands


@pytest.fixture
def run() -> Run:
    def run(*args: str) -> str:
        out = StringIO()
        call_command(*args, stdout=out)
        return out.getvalue()

    return run


PLAN = f"""\
+ calendar “Holidays”
+ schedule “complete”: {ECHO}, Every day at 07:00 (Europe/Rome)
~ schedule “hourly”
    retries: 0 → 4
  schedule “paused”
2 added, 1 changed, 0 cancelled, 1 unchanged."""


@FORMATS
def test_the_plan_is_printed_as_a_diff_and_a_dry_run_writes_nothing(
    run: Run, tmp_path: Path, form: str
):
    make_everything()
    path = tmp_path / f"x.{form}"
    path.write_text(run("export_schedules", f"--format={form}"))
    ScheduledTask.objects.filter(name="complete").delete()
    Calendar.objects.all().delete()
    document = read(path.read_text(), form)
    document["schedules"][1]["retries"] = 4
    path.write_text(json.dumps(document, ensure_ascii=False))
    before = definitions()
    dry = run("import_schedules", str(path), "--dry-run")
    assert dry.splitlines()[0] == "+ calendar “Holidays”"
    assert dry.splitlines()[2:] == [
        *PLAN.splitlines()[2:-1],
        f"{PLAN.splitlines()[-1]} Dry run: nothing was written.",
    ]
    assert definitions() == before
    assert not Calendar.objects.exists()
    run("import_schedules", str(path))
    assert run("import_schedules", str(path)).endswith(
        "0 added, 0 changed, 0 cancelled, 4 unchanged.\n"
    )


def test_a_file_that_cannot_be_read_is_named(run: Run, tmp_path: Path):
    with pytest.raises(CommandError, match=r"missing\.yaml can't be read"):
        run("import_schedules", str(tmp_path / "missing.yaml"))


def test_an_export_is_read_from_the_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch):
    SchedulerService.cron("@daily", ECHO, name="a")
    monkeypatch.setattr("sys.stdin", StringIO(run("export_schedules")))
    ScheduledTask.objects.all().delete()
    run("import_schedules", "-")
    assert ScheduledTask.objects.get().name == "a"


def test_what_only_a_pause_of_everything_has_paused_is_exported_as_active():
    SchedulerService.cron("@daily", ECHO, name="active")
    SchedulerService.pause(SchedulerService.cron("@daily", ECHO, name="paused"))
    holds.pause_everything("somebody")
    document = read(exported("json"), "json")
    paused = {entry["name"]: entry.get("paused", False) for entry in document["schedules"]}
    assert paused == {"active": False, "paused": True}
