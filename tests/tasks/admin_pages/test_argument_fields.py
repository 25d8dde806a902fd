"""The fields of arguments: typed as their hints say, and stored as code stores them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tasks.admin_pages.argument_fields import CallFields, parameter_help
from tasks.masking import MASK
from tasks.models import Calendar, ScheduledTask, Task
from tasks.registry import get
from tests.tasks.functions import CALL, ECHO, TYPED
from tests.tasks.pages import SCHEDULES, errors_of, page_of, staff, text_of
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db

ADD = reverse("admin:tasks_scheduledtask_add")
ARGUMENTS = reverse("admin:tasks_scheduledtask_arguments")
CHOICES = reverse("admin:tasks_scheduledtask_choices")
SIMPLE = {
    **{"timezone": "UTC", "face": "every", "interval": "15m", "overlap": "skip"},
    **{"catch_up": "latest", "retries": 0, "retry_delay": 0, "on_disconnect": "stop"},
}
Save = Callable[..., dict[str, list[str]]]


def as_sent(form: Any) -> dict[str, Any]:
    """Return what a browser sends for the fields of the arguments as they are shown."""
    shown = {name: form[name].value() for name in form.call_fields.fields()}
    is_off = (False, None, "false")
    return {
        name: value
        for name, value in shown.items()
        if not (value in is_off and hasattr(form[name].field.widget, "check_test"))
    }


@pytest.fixture
def save(admin_client: Client) -> Save:
    """Return a function that types into the form of a new schedule, and returns the errors."""

    def send(**typed: Any) -> dict[str, list[str]]:
        page: Any = admin_client.get(ADD, {"function": TYPED})
        form = page.context_data["adminform"].form
        data = as_sent(form) | {"function": TYPED, "fields_of": TYPED, "arg-region": '"eu"'}
        data |= {f"arg-{name.replace('__', '.')}": value for name, value in typed.items()}
        return errors_of(admin_client.post(ADD, SIMPLE | data))

    return send


def stored() -> tuple[list[Any], dict[str, Any]]:
    row = ScheduledTask.objects.get()
    return row.args, row.kwargs


def test_defaults_that_are_left_alone_are_not_stored(save: Save):
    assert save() == {}
    assert stored() == (["eu"], {})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("total", "12.50", "12.50"),
        ("ratio", "2.5", 2.5),
        ("dry_run", "on", True),
        ("wet", "false", False),
        ("level", '"high"', "high"),
        ("since", "2026-01-31", "2026-01-31"),
        ("at", "2026-01-31T06:30:00", "2026-01-31T06:30:00+00:00"),
        ("every", "1h30m", "P0DT01H30M00S"),
        ("every", "00:00:05", "P0DT00H00M05S"),
        (
            "ref",
            "9A3F8B62-0c1d-4e5f-8a7b-6c5d4e3f2a1b",
            "9a3f8b62-0c1d-4e5f-8a7b-6c5d4e3f2a1b",
        ),
        ("names", "anna\r\n bert \r\n", ["anna", "bert"]),
        ("numbers", "", []),
        ("sender__sender", "you", {"sender": "you", "tries": 3}),
        ("extra", '{"a": [1, null]}', {"a": [1, None]}),
        ("text", "", ""),
        ("text", "a\nb", "a\nb"),
        ("pin", "42", 42),
    ],
)
def test_an_argument_is_stored_as_its_hint_says(save: Save, name: str, text: str, value: Any):
    assert save(**{name: text}) == {}
    assert stored() == (["eu"], {name.partition("__")[0]: value})


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("region", '"asia"', "Choose one of eu, us."),
        ("region", "", "Choose one of eu, us."),
        ("days", "a week", "Give a whole number, such as 7."),
        ("days", '["abc"]', "Give a whole number, such as 7."),
        ("total", "much", "Give a decimal number, such as 12.50."),
        ("total", "NaN", "Give a decimal number, such as 12.50."),
        ("ratio", "inf", "Give a number, such as 2.5."),
        ("level", '"loud"', "Choose one of low, high."),
        ("since", "31.1.2026", "Give a date, such as 2026-01-31."),
        ("at", "soon", "Give a date and a time, such as 2026-01-31 06:30."),
        ("every", "often", "Give a length of time, such as 15m, 1h30m or 2d."),
        ("ref", "abc", "Give a UUID, such as 9a3f8b62-0c1d-4e5f-8a7b-6c5d4e3f2a1b."),
        ("numbers", "1\ntwo", "Line 2: Give a whole number, such as 7."),
        ("sender__tries", "x", "Give a whole number, such as 7."),
        ("calendar", "99", "There is no calendar 99."),
        ("calendar", "Holidays", "Give the primary key of a stored calendar."),
        ("extra", "abc", 'Give JSON, such as 7, "text", [1, 2] or {"a": 1}.'),
        ("text", "a\0b", "Null characters are not allowed."),
    ],
)
def test_an_argument_of_another_type_is_refused_at_its_field(
    save: Save, name: str, text: str, error: str
):
    assert save(**{name: text}) == {f"arg-{name.replace('__', '.')}": [error]}
    assert not ScheduledTask.objects.exists()


def test_a_dataclass_that_may_be_none_is_only_asked_for_if_it_is_given(save: Save):
    assert save(mail__tries="x") == {}
    assert stored() == (["eu"], {})
    ScheduledTask.objects.all().delete()
    assert save(mail__given="on") == {"arg-mail.sender": ["Give a text."]}
    assert save(mail__given="on", mail__sender="me") == {}
    assert stored() == (["eu"], {"mail": {"sender": "me"}})


def test_a_row_of_a_model_is_stored_by_its_primary_key(save: Save):
    calendar = Calendar.objects.create(name="Holidays")
    assert save(calendar=str(calendar.pk)) == {}
    assert stored() == (["eu"], {"calendar": calendar.pk})


def test_a_time_is_typed_in_the_viewers_zone(admin_client: Client, save: Save):
    admin_client.cookies["schedule_ledger_zone"] = "Asia/Seoul"
    assert save(at="2026-01-31T06:30") == {}
    assert stored()[1] == {"at": "2026-01-30T21:30:00+00:00"}


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (["eu"], {}),
        ([], {"region": "eu"}),
        (["eu", 7], {"text": "plain"}),
        (["us"], {"days": 9, "pin": 1234567, "at": "2026-01-31T06:30:00.123456+00:00"}),
        (["us"], {"names": ["with\nline"], "mail": {"sender": "me"}, "numbers": []}),
    ],
)
def test_a_schedule_that_is_saved_as_it_is_shown_keeps_its_arguments(
    admin_client: Client, args: list[Any], kwargs: dict[str, Any]
):
    schedule = make_row(function=TYPED, args=args, kwargs=kwargs)
    page: Any = admin_client.get(page_of(schedule))
    form = page.context_data["adminform"].form
    data = SIMPLE | as_sent(form) | {"function": TYPED, "fields_of": TYPED, "name": "changed"}
    assert errors_of(admin_client.post(page_of(schedule), data)) == {}
    schedule.refresh_from_db()
    assert (schedule.name, schedule.args, schedule.kwargs) == ("changed", args, kwargs)


def test_what_takes_any_arguments_is_given_json(admin_client: Client):
    data = SIMPLE | {"function": CALL, "args": "[1]", "kwargs": '{"a": 2}'}
    assert errors_of(admin_client.post(ADD, data)) == {}
    assert stored() == ([1], {"a": 2})


def test_arguments_for_which_there_is_no_place_any_more_are_shown_as_json(admin_client: Client):
    schedule = make_row(function=TYPED, args=["eu", 7, 8, 9])
    page: Any = admin_client.get(page_of(schedule))
    form = page.context_data["adminform"].form
    assert form.call_fields is None
    assert "[&quot;eu&quot;, 7, 8, 9]" in page.content.decode()


def test_secrets_and_secret_defaults_are_not_on_the_page(admin_client: Client):
    schedule = make_row(function=TYPED, args=["eu"], kwargs={"pin": 1234567})
    for address, secret in ((page_of(schedule), "1234567"), (f"{ADD}?function={TYPED}", "4711")):
        content = admin_client.get(address).content.decode()
        assert f'name="arg-pin" value="{MASK}"' in content
        assert secret not in content


def test_the_docstring_is_the_help(admin_client: Client):
    assert parameter_help(get(TYPED))["days"] == "Overdue by at least this many days."
    text = text_of(admin_client.get(ADD, {"function": TYPED}))
    assert "“Take an argument of each type.”" in text
    assert "days whole number default 7 Overdue by at least this many days." in text


def test_picking_a_function_without_a_script_shows_its_fields_and_loses_nothing(
    admin_client: Client,
):
    data = SIMPLE | {"function": TYPED, "fields_of": ECHO, "name": "Kept", "args": "[1]"}
    for button in ("_pick", "_save"):
        page = admin_client.post(ADD, data | {button: "1"})
        text = text_of(page)
        assert "These are the arguments of the function that you have picked." in text
        assert "needs you" not in text
        content = page.content.decode()
        assert 'value="Kept"' in content
        assert 'name="arg-days" value="7"' in content
        assert f'name="fields_of" value="{TYPED}"' in content
    assert not ScheduledTask.objects.exists()


def test_the_fields_of_a_function_come_as_a_fragment(admin_client: Client):
    page = admin_client.get(ARGUMENTS, {"function": TYPED})
    assert page.content.decode().count('id="call-arguments"') == 1
    assert "<html" not in page.content.decode()
    schedule = make_row(function=TYPED, args=["us"])
    page = admin_client.get(ARGUMENTS, {"function": TYPED, "pk": schedule.pk})
    assert "&quot;us&quot;&quot; selected" in page.content.decode().replace('"', "&quot;")
    assert admin_client.post(ARGUMENTS).status_code == 405


def test_a_background_call_has_the_same_fields(admin_client: Client, redis_connection: Any):
    address = reverse("admin:tasks_task_add")
    assert "days whole number" in text_of(admin_client.get(address, {"function": TYPED}))
    data = {"function": TYPED, "fields_of": TYPED, "arg-region": '"us"', "arg-days": "x"}
    assert list(errors_of(admin_client.post(address, data))) == ["arg-days"]
    page: Any = admin_client.get(address, {"function": TYPED})
    data = as_sent(page.context_data["adminform"].form) | data | {"arg-days": "8"}
    assert errors_of(admin_client.post(address, data)) == {}
    assert (Task.objects.get().args, Task.objects.get().kwargs) == (["us"], {"days": 8})


# Rows of models


def test_rows_are_found_by_what_they_are_called(admin_client: Client):
    rows = [Calendar.objects.create(name=name) for name in ("Holidays", "Inventory")]
    asked = {"function": TYPED, "name": "arg-calendar"}
    found = admin_client.get(CHOICES, asked | {"q": "holi"}).json()
    assert found == {"rows": [{"pk": str(rows[0].pk), "label": "Holidays"}]}
    found = admin_client.get(CHOICES, asked | {"pk": rows[1].pk}).json()
    assert found == {"rows": [{"pk": str(rows[1].pk), "label": "Inventory"}]}
    assert admin_client.get(CHOICES, asked | {"pk": "x"}).json() == {"rows": []}


@pytest.mark.parametrize("asked", [{}, {"function": TYPED}, {"function": TYPED, "name": "arg-x.y"}])
def test_only_arguments_that_are_rows_can_be_looked_for(admin_client: Client, asked: Any):
    assert admin_client.get(CHOICES, asked).status_code == 404


def test_nobody_finds_rows_that_he_may_not_see(client: Client):
    client.force_login(staff("add_scheduledtask", "view_scheduledtask"))
    asked = {"function": TYPED, "name": "arg-calendar", "q": ""}
    assert client.get(CHOICES, asked).status_code == 403
    assert "data-choices=" not in client.get(ADD, {"function": TYPED}).content.decode()


def test_who_may_only_look_gets_no_fields(viewer: Client):
    assert viewer.get(ARGUMENTS, {"function": TYPED}).status_code == 403
    assert viewer.get(CHOICES, {"function": TYPED, "name": "arg-calendar"}).status_code == 403


# Clone


def test_a_clone_is_a_form_with_the_same_values(admin_client: Client):
    source = make_row(
        function=TYPED, args=["us"], kwargs={"pin": 1234567, "days": 9}, name="One", retries=4
    )
    page: Any = admin_client.get(ADD, {"clone_of": source.pk})
    form = page.context_data["adminform"].form
    assert "1234567" not in page.content.decode()
    assert form["name"].value() == "One (copy)"
    data = SIMPLE | as_sent(form) | {"name": "Two", "retries": form["retries"].value()}
    data |= {"function": TYPED, "fields_of": TYPED, "clone_of": source.pk}
    assert errors_of(admin_client.post(ADD, data)) == {}
    clone = ScheduledTask.objects.get(name="Two")
    assert (clone.args, clone.kwargs, clone.retries) == (source.args, source.kwargs, 4)
    assert clone.job_id != source.job_id


def test_only_who_may_change_a_schedule_clones_it(client: Client):
    source = make_row(function=TYPED, args=["us"], kwargs={"pin": 1234567}, name="One")
    client.force_login(staff("add_scheduledtask", "view_scheduledtask"))
    page: Any = client.get(ADD, {"clone_of": source.pk})
    assert page.context_data["adminform"].form["name"].value() in (None, "")
    assert "clone_of=" not in client.get(SCHEDULES).content.decode()


def test_positional_arguments_stay_before_those_that_a_function_takes_besides():
    fields = CallFields(get(ECHO), [1, 2], {"a": 3})
    assert fields.arguments({}, [5], {"b": 6}) == ([5], {"b": 6})
