"""Two people who edit a schedule at once: nobody undoes what the other did without knowing."""

from typing import Any

import pytest
from django.test import Client

from tasks.models import ScheduledTask
from tasks.services import SchedulerService
from tests.tasks.functions import LOG_IN, REPORT
from tests.tasks.pages import errors_of, page_of, text_of
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db


def opened(client: Client, schedule: ScheduledTask) -> dict[str, Any]:
    """Open the form of a schedule; return what a browser would send for it, unchanged."""
    page: Any = client.get(page_of(schedule))
    form = page.context_data["adminform"].form
    data = {name: form[name].value() for name in form.fields if not name.startswith("cron_")}
    data = {name: value for name, value in data.items() if value is not None and value != ""}
    first = data.pop("first")
    data |= {"first_0": f"{first:%Y-%m-%d}", "first_1": f"{first:%H:%M:%S}"}
    remembered = {name: page.context_data[name] for name in ("version", "base")}
    return data | remembered | {"fields_of": form.function_name}


@pytest.fixture
def schedule(db: None) -> ScheduledTask:
    return make_row(function=REPORT, args=["2026-01-31"], retries=1, name="Shared")


def test_an_edit_in_between_is_noticed_and_shown_field_by_field(admin_client, schedule):
    mine = opened(admin_client, schedule)
    SchedulerService.update(schedule, interval=7200, args=["2026-02-01"])
    response = admin_client.post(page_of(schedule), mine | {"retries": 5})
    assert "__all__" in errors_of(response)
    text = text_of(response)
    assert "This schedule was changed at" in text
    assert "Interval 1 h 2 h 1 h" in text
    assert 'Day "2026-01-31" "2026-02-01" "2026-01-31"' in text
    assert "Retries 1 1 5" in text
    assert "Catch-up" not in text
    schedule.refresh_from_db()
    assert (schedule.retries, schedule.interval) == (1, 7200)
    assert 'name="retries" value="5"' in response.content.decode()


def test_it_may_be_saved_over_knowingly_but_not_over_what_nobody_has_seen(admin_client, schedule):
    mine = opened(admin_client, schedule) | {"retries": 5}
    SchedulerService.update(schedule, interval=7200)
    page: Any = admin_client.post(page_of(schedule), mine)
    seen = page.context_data["adminform"].form.conflict.version
    SchedulerService.update(schedule, interval=9000)
    response = admin_client.post(page_of(schedule), mine | {"save_over": seen})
    assert "__all__" in errors_of(response)
    seen = response.context_data["adminform"].form.conflict.version
    assert errors_of(admin_client.post(page_of(schedule), mine | {"save_over": seen})) == {}
    schedule.refresh_from_db()
    assert (schedule.retries, schedule.interval) == (5, 3600)


def test_the_one_who_changed_it_is_named(admin_client, admin_user, schedule):
    first, second = opened(admin_client, schedule), opened(admin_client, schedule)
    assert errors_of(admin_client.post(page_of(schedule), first | {"retries": 2})) == {}
    response = admin_client.post(page_of(schedule), second | {"retries": 3})
    assert "admin has changed this schedule at" in text_of(response)


def test_a_pause_in_between_is_no_conflict(admin_client, schedule):
    mine = opened(admin_client, schedule)
    SchedulerService.pause(schedule)
    assert errors_of(admin_client.post(page_of(schedule), mine)) == {}
    schedule.refresh_from_db()
    assert schedule.status == ScheduledTask.Status.PAUSED


def test_a_form_that_is_wrong_remembers_what_it_was_opened_with(admin_client, schedule):
    mine = opened(admin_client, schedule)
    SchedulerService.update(schedule, interval=7200)
    wrong: Any = admin_client.post(page_of(schedule), mine | {"retries": "x"})
    assert wrong.context_data["version"] == mine["version"]


def test_the_difference_shows_no_secret(admin_client):
    schedule = make_row(function=LOG_IN, args=["1234567"], kwargs={"api_token": "hunter2"})
    mine = opened(admin_client, schedule)
    SchedulerService.update(schedule, kwargs={"api_token": "hunter3"}, retries=2)
    content = admin_client.post(page_of(schedule), mine).content.decode()
    assert "Retries" in content
    for secret in ("1234567", "hunter2", "hunter3"):
        assert secret not in content
