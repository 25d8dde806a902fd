"""The admin's forms: an invalid value is reported at its field, and nothing is stored."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tasks.admin_pages.history import line_of
from tasks.exceptions import NotPossible
from tasks.models import Calendar, ScheduleChange, ScheduledTask, Tag, Task
from tasks.services import SchedulerService
from tests.tasks.functions import ECHO, REPORT
from tests.tasks.pages import errors_of, staff, text_of
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db

Submit = Callable[..., dict[str, list[str]]]
ONLY_SCHEDULED = {"function": "tests.only_scheduled"}
DEEP = "[" * 5_000 + "]" * 5_000
AT_NOON = {"first_0": "2030-01-01", "first_1": "12:00"}


def filled_in(**values: Any) -> dict[str, Any]:
    """Return what a browser sends for the simplest schedule, with these values."""
    policies = {"overlap": "skip", "catch_up": "latest", "retries": 0, "retry_delay": 0}
    policies |= {"on_disconnect": "stop"}
    simple = {"function": ECHO, "args": "[]", "kwargs": "{}", "timezone": "UTC", "interval": "15m"}
    return simple | policies | values


@pytest.fixture
def submit(admin_client: Client) -> Submit:
    """Return a function that sends the form of a new schedule, and returns its errors."""

    def send(**values: Any) -> dict[str, list[str]]:
        url = reverse("admin:tasks_scheduledtask_add")
        return errors_of(admin_client.post(url, filled_in(**values)))

    return send


@pytest.fixture
def enqueue(admin_client: Client) -> Submit:
    """Return a function that sends the form of a new background call, and returns its errors."""

    def send(**values: Any) -> dict[str, list[str]]:
        url = reverse("admin:tasks_task_add")
        simple = {"function": ECHO, "args": "[]", "kwargs": "{}"}
        return errors_of(admin_client.post(url, simple | values))

    return send


@pytest.fixture
def edit(admin_client: Client) -> Submit:
    """Return a function that edits a schedule as a browser does, and returns the errors."""

    def send(schedule: ScheduledTask, **values: Any) -> dict[str, list[str]]:
        url = reverse("admin:tasks_scheduledtask_change", args=[schedule.pk])
        response: Any = admin_client.get(url)
        form = response.context_data["adminform"].form
        data: dict[str, Any] = {}
        for name, field in form.fields.items():
            shown = form[name].value()
            if name.startswith("cron_"):
                continue
            parts = field.widget.decompress(shown) if hasattr(field, "fields") else None
            if parts is not None:
                data |= {f"{name}_{i}": part or "" for i, part in enumerate(parts)}
            else:
                data[name] = "" if shown is None else shown
        return errors_of(admin_client.post(url, data | values))

    return send


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("cron", {"interval": "", "cron": "61 * * * *"}),
        ("cron", {"interval": "", "cron": "* * *"}),
        ("cron", {"interval": "", "cron": "0 0 30 2 *"}),
        ("cron", {"cron": "* * * * *"} | AT_NOON),
        ("timezone", {"interval": "", "cron": "* * * * *", "timezone": "Mars/Olympus"}),
        ("interval", {"interval": "0"}),
        ("interval", {"interval": "-1"}),
        ("interval", {"interval": "0.5"}),
        ("interval", {"interval": "9" * 40}),
        ("interval", {"interval": "11000d"}),
        ("interval", {"interval": "fifteen minutes"}),
        ("first", {"interval": ""}),
        ("first", {"first_0": "0001-01-01", "first_1": "00:00"}),
        ("first", {"first_0": "9999-12-31", "first_1": "23:59"}),
        ("first", {"first_0": "2030-01-01", "first_1": "25:00"}),
        ("repeat", {"interval": "", "repeat": 3} | AT_NOON),
        ("repeat", {"repeat": 0}),
        ("repeat", {"repeat": 10**30}),
        (
            "end",
            {"start_0": "2030-01-02", "start_1": "0:00", "end_0": "2030-01-01", "end_1": "0:00"},
        ),
        ("exclude", {"exclude": "25.12.2026"}),
        ("exclude", {"exclude": "2026-12-26..2026-12-24"}),
        ("exclude", {"exclude": "x" * 30_000}),
        ("exclude", {"interval": "", "exclude": "2030-01-01"} | AT_NOON),
        ("calendar", {"calendar": "99"}),
        ("jitter", {"jitter": "0"}),
        ("jitter", {"jitter": "16m"}),
        ("jitter", {"jitter": "25h", "interval": "2d"}),
        ("jitter", {"jitter": "nan"}),
        ("jitter", {"jitter": "1e30"}),
        ("function", {"function": ""}),
        ("function", {"function": "os.system"}),
        ("function", {"function": "tests.only_background"}),
        ("args", {"args": "[1"}),
        ("args", {"args": '{"a": 1}'}),
        ("args", {"args": "null"}),
        ("args", {"args": DEEP}),
        ("args", {"args": f"[{'9' * 5_000}]"}),
        ("args", {"args": "[NaN]"}),
        ("args", {"args": '["\\u0000"]'}),
        ("args", {"args": '["\\ud800"]'}),
        ("arg-number", ONLY_SCHEDULED),
        ("arg-number", ONLY_SCHEDULED | {"arg-number": "abc"}),
        ("function", ONLY_SCHEDULED | {"arg-number": "1", "args": "[2]"}),
        ("kwargs", {"kwargs": "[]"}),
        ("kwargs", {"kwargs": DEEP.replace("[", '{"a":').replace("]", "}")}),
        ("queue", {"queue": "nowhere"}),
        ("overlap", {"overlap": "whatever"}),
        ("catch_up", {"catch_up": ""}),
        ("on_disconnect", {"on_disconnect": "whatever"}),
        ("name", {"name": "x" * 201}),
        ("name", {"name": "a\0b"}),
        ("timeout", {"timeout": 0}),
        ("timeout", {"timeout": 10**30}),
        ("start_deadline", {"start_deadline": -1}),
        ("start_deadline", {"start_deadline": 10**30}),
        ("retries", {"retries": 101}),
        ("retry_delay", {"retry_delay": ""}),
        ("keep_runs", {"keep_runs": 0}),
        ("keep_days", {"keep_days": "many"}),
    ],
)
def test_an_invalid_value_of_a_schedule_is_reported_at_its_field(submit: Submit, field, values):
    assert list(submit(**values)) == [field]
    assert not ScheduledTask.objects.exists()


def test_a_second_identical_schedule_is_reported_at_the_name(submit: Submit):
    assert not submit(name="twice")
    assert list(submit(name="twice", interval="1h")) == ["name"]
    assert ScheduledTask.objects.get().interval == 900


def test_a_schedule_needs_only_a_function_and_an_interval(submit: Submit):
    assert not submit(interval="15m")
    schedule = ScheduledTask.objects.get()
    assert (schedule.name, schedule.queue, schedule.interval) == (ECHO, "default", 900)
    assert schedule.next_due(schedule.created) is not None


def test_an_empty_queue_is_the_functions_own(submit: Submit):
    assert not submit(**ONLY_SCHEDULED, **{"arg-number": "1"})
    schedule = ScheduledTask.objects.get()
    assert (schedule.queue, schedule.args) == ("low", [1])


@pytest.mark.parametrize(("text", "seconds"), [("900", 900), ("1h 30m", 5_400), ("1D", 86_400)])
def test_an_interval_may_be_given_in_any_unit(submit: Submit, text, seconds):
    assert not submit(interval=text)
    assert ScheduledTask.objects.get().interval == seconds


def test_a_cron_schedule_needs_no_first_time(submit: Submit):
    assert not submit(interval="", cron=" 30  6 * * MON-FRI ", timezone="Europe/Berlin")
    schedule = ScheduledTask.objects.get()
    assert (schedule.type, schedule.cron, schedule.first) == ("cron", "30 6 * * MON-FRI", None)


def test_a_schedule_with_only_a_first_time_runs_once(submit: Submit):
    assert not submit(interval="", **AT_NOON)
    schedule = ScheduledTask.objects.get()
    assert (schedule.interval, schedule.first.isoformat()) == (None, "2030-01-01T12:00:00+00:00")


def test_empty_arguments_are_no_arguments(submit: Submit):
    assert not submit(args="", kwargs="")
    schedule = ScheduledTask.objects.get()
    assert (schedule.args, schedule.kwargs) == ([], {})


def tags_of(schedule: ScheduledTask) -> list[str]:
    return sorted(tag.name for tag in schedule.tags.all())


def test_tags_are_ticked_and_new_ones_are_typed(submit: Submit, edit: Submit):
    old = Tag.objects.create(name="finance")
    assert not submit(tags=[old.pk], new_tags="ops, night ,finance")
    schedule = ScheduledTask.objects.get()
    assert tags_of(schedule) == ["finance", "night", "ops"]
    assert not ScheduleChange.objects.filter(action="changed").exists()
    assert not edit(schedule, tags=[old.pk], new_tags="")
    assert tags_of(schedule) == ["finance"]
    [line] = ScheduleChange.objects.filter(action="changed")
    assert line.changes == {"tags": [["finance", "night", "ops"], ["finance"]]}
    shown = line_of(line)
    assert [(one.label, one.old, one.new) for one in shown.differences] == [
        ("Tags", "finance, night, ops", "finance")
    ]
    assert not shown.can_be_put_back
    assert not edit(schedule, tags=[old.pk])
    assert ScheduleChange.objects.filter(action="changed").count() == 1


def test_a_name_that_no_tag_can_have_is_refused_and_makes_none(submit: Submit):
    assert list(submit(new_tags="ops, two words")) == ["new_tags"]
    assert not Tag.objects.exists()
    assert not ScheduledTask.objects.exists()


def test_who_may_add_no_tags_is_offered_those_there_are(client: Client):
    Tag.objects.create(name="finance")
    client.force_login(staff("view_scheduledtask", "add_scheduledtask"))
    url = reverse("admin:tasks_scheduledtask_add")
    page = client.get(url).content.decode()
    assert "finance" in page
    assert 'name="new_tags"' not in page
    client.post(url, filled_in(new_tags="ops"))
    assert [tag.name for tag in Tag.objects.all()] == ["finance"]


def test_excluded_dates_calendar_and_jitter_are_saved(submit: Submit):
    calendar = Calendar.objects.create(name="Holidays", dates="2030-01-01")
    dates = "2030-12-26\r\n2030-12-24 .. 2030-12-25\r\n"
    assert not submit(exclude=dates, calendar=calendar.pk, jitter="10m", timezone="Europe/Rome")
    schedule = ScheduledTask.objects.get()
    assert (schedule.exclude, schedule.calendar) == ("2030-12-24..2030-12-25\n2030-12-26", calendar)
    assert (schedule.jitter, schedule.timezone) == (600, "Europe/Rome")


def test_an_interval_is_shown_in_the_largest_unit_that_fits(admin_client: Client):
    schedule = make_row(interval=5_400)
    page = admin_client.get(reverse("admin:tasks_scheduledtask_change", args=[schedule.pk]))
    content = page.content.decode()
    assert 'name="interval" value="90"' in content
    assert '<option value="m" selected>minutes</option>' in content


def test_editing_another_field_keeps_the_first_time_to_the_millisecond(edit: Submit):
    schedule = make_row(first=ago(1_234.567), interval=3_600)
    assert not edit(schedule, note="changed")
    changed = ScheduledTask.objects.get()
    assert (changed.note, changed.first) == ("changed", schedule.first)
    assert not changed.runs.exists()


def test_a_function_that_is_no_longer_registered_is_refused_at_its_field(edit: Submit):
    schedule = make_row(function="gone.function")
    assert list(edit(schedule)) == ["function"]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("function", {"function": "tests.only_scheduled"}),
        ("args", {"args": "1"}),
        ("args", {"args": DEEP}),
        ("function", {"function": "tests.only_background", "args": "[1]"}),
        ("kwargs", {"kwargs": "[]"}),
        ("reserved_for", {"reserved_for_0": "0001-01-01", "reserved_for_1": "00:00"}),
    ],
)
def test_an_invalid_background_call_is_refused_at_its_field(enqueue: Submit, field, values):
    assert list(enqueue(**values)) == [field]
    assert not Task.objects.exists()


def test_an_argument_of_another_type_is_reported_at_its_field(submit: Submit, enqueue: Submit):
    assert submit(function=REPORT, **{"arg-day": "soon"}) == {
        "arg-day": ["Give a date, such as 2026-01-31."]
    }
    wrong = {"arg-day": "2026-01-31", "arg-factor": "two"}
    assert enqueue(function=REPORT, **wrong) == {"arg-factor": ["Give a number, such as 2.5."]}
    assert not ScheduledTask.objects.exists()
    assert not Task.objects.exists()


def test_the_form_stores_arguments_as_code_does(submit: Submit):
    assert submit(function=REPORT, **{"arg-day": "2026-01-31", "arg-factor": "2"}) == {}
    row = ScheduledTask.objects.get()
    assert (row.args, row.kwargs) == (["2026-01-31"], {"factor": 2.0})
    again = SchedulerService.schedule(ago(0), REPORT, [date(2026, 1, 31)], {"factor": 2})
    assert again.pk == row.pk


def test_all_errors_are_reported_at_once_and_named_beside_save(admin_client: Client):
    values = {"function": REPORT, "arg-day": "soon", "arg-factor": "two", "face": "cron"}
    values |= {"interval": "x", "cron": "61 * * * *", "retries": "many", "jitter": "0"}
    values |= {"exclude": "25.12.2026", "end_0": "2020-01-01", "end_1": "0:00", "name": "Kept"}
    values |= {"start_0": "2030-01-01", "start_1": "0:00"}
    response: Any = admin_client.post(reverse("admin:tasks_scheduledtask_add"), filled_in(**values))
    wrong = ["arg-day", "arg-factor", "cron", "end", "exclude", "jitter", "retries"]
    assert sorted(errors_of(response)) == wrong
    content = response.content.decode()
    assert "7 fields need you:" in content
    for name in wrong:
        assert f'href="#id_{name}' in content
    for typed in ("soon", "two", "61 * * * *", "25.12.2026", "many", "Kept"):
        assert f'value="{typed}"' in content or f"{typed}</textarea>" in content


@pytest.mark.parametrize(("face", "kept"), [("once", "once"), ("every", "every"), ("cron", "cron")])
def test_what_is_typed_on_another_face_does_not_count(submit: Submit, face: str, kept: str):
    assert not submit(face=face, cron="0 6 * * *", **AT_NOON)
    schedule = ScheduledTask.objects.get()
    said = {"once": schedule.first, "every": schedule.interval, "cron": schedule.cron}
    assert {name for name, value in said.items() if value} - {"once"} == {kept} - {"once"}
    assert (schedule.first is None) == (face == "cron")


@pytest.mark.parametrize(
    ("face", "field"), [("once", "first"), ("every", "interval"), ("cron", "cron_at")]
)
def test_a_face_says_what_it_needs(submit: Submit, face: str, field: str):
    assert list(submit(face=face, interval="", cron_at="")) == [field]


def test_both_a_cron_expression_and_an_interval_are_answered_by_that(submit: Submit):
    assert submit(cron="* * * * *") == {
        "cron": ["Give either a cron expression or an interval, not both."]
    }


def test_the_choices_of_a_calendar_write_the_expression_without_a_script(submit: Submit):
    choices = {"cron_on": "days", "cron_days": ["1", "4"], "cron_at": "07:30, 19:30"}
    assert not submit(face="cron", cron="", **choices)
    assert ScheduledTask.objects.get().cron == "30 7,19 * * 1,4"


@pytest.mark.parametrize(("number", "unit", "seconds"), [("2", "h", 7_200), ("1h30m", "d", 5_400)])
def test_an_interval_is_a_number_and_a_unit(submit: Submit, number, unit, seconds):
    assert not submit(face="every", interval=number, interval_unit=unit)
    assert ScheduledTask.objects.get().interval == seconds


def test_a_time_that_has_passed_is_saved_with_a_warning_that_says_what_to_do(admin_client: Client):
    past = {"first_0": "2020-01-01", "first_1": "12:00", "face": "once"}
    page = admin_client.post(
        reverse("admin:tasks_scheduledtask_add"), filled_in(**past), follow=True
    )
    assert "This time has passed, so nothing will ever be due. Give a time" in text_of(page)


def test_a_schedule_can_be_saved_paused(submit: Submit):
    assert not submit(_save_paused="1")
    assert ScheduledTask.objects.get().status == ScheduledTask.Status.PAUSED


def test_a_schedule_of_an_old_name_of_its_function_can_be_edited(edit: Submit):
    row = make_row(function="tests.report", args=["2026-01-31"])
    assert edit(row, note="changed") == {}
    row.refresh_from_db()
    assert (row.note, row.function) == ("changed", REPORT)


@pytest.mark.parametrize(("chosen", "isolated"), [("", None), ("True", True), ("False", False)])
def test_the_form_of_a_schedule_says_whether_its_runs_are_isolated(
    submit: Submit, chosen: str, isolated: bool | None
):
    assert submit(isolated=chosen) == {}
    assert ScheduledTask.objects.get().isolated is isolated


def test_a_form_that_can_not_be_shown_leads_to_the_list(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    def fail(*args: Any) -> None:
        raise NotPossible("It can't be shown.")

    monkeypatch.setattr("tasks.admin_pages.schedule_form.preview_of", fail)
    address = reverse("admin:tasks_scheduledtask_change", args=[make_row().pk])
    page: Any = admin_client.get(address, follow=True)
    assert page.redirect_chain == [(reverse("admin:tasks_scheduledtask_changelist"), 302)]
    assert "It can&#x27;t be shown." in page.content.decode()
