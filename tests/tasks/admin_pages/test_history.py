"""The history on a schedule's pages: readable differences, and a way back."""

from typing import Any

import pytest
from django.test import Client

from tasks.admin_pages.links import schedule_page
from tasks.models import ScheduleChange, ScheduledTask
from tasks.services import CalendarService, SchedulerService
from tests.tasks.functions import ECHO, LOG_IN
from tests.tasks.pages import errors_of, page_of, text_of
from tests.tasks.schedules import ago

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def schedule() -> ScheduledTask:
    return SchedulerService.schedule(ago(0), ECHO, [1], name="x", interval=60)


def newest(schedule: ScheduledTask) -> ScheduleChange:
    change = schedule.changes.first()
    assert change is not None
    return change


def put_back(client: Client, schedule: ScheduledTask, **data: Any) -> Any:
    return client.post(page_of(schedule, "put_back", newest(schedule).pk), data)


def test_a_change_is_shown_in_words(admin_client: Client, schedule: ScheduledTask):
    SchedulerService.update(schedule, interval=5_400, overlap="wait", start=ago(-3600))
    text = text_of(admin_client.get(schedule_page(schedule.pk)))
    assert "Interval 1 min → 1 h 30 min" in text
    assert "skip the new run → wait until the previous run has ended" in text
    assert "Not before – → 20" in text


def test_a_request_of_an_older_version_is_shown_with_its_note(
    admin_client: Client, schedule: ScheduledTask
):
    schedule.changes.create(action="backfilled", by="admin", note="3 runs were requested.")
    text = text_of(admin_client.get(schedule_page(schedule.pk)))
    assert "Backfill requested" in text
    assert "“3 runs were requested.”" in text


def test_an_action_on_the_page_is_a_line_with_who_and_why(
    admin_client: Client, schedule: ScheduledTask
):
    url = page_of(schedule, "act", "pause")
    admin_client.post(url, {"confirmed": "yes", "note": "the warehouse moves"})
    line = newest(schedule)
    assert (line.action, line.by, line.note) == ("paused", "admin", "the warehouse moves")
    admin_client.post(page_of(schedule, "act", "run_now"))
    assert newest(schedule).action == "run_requested"


def test_what_a_user_changes_is_under_that_name(admin_client: Client, schedule: ScheduledTask):
    page = page_of(schedule)
    opened: Any = admin_client.get(page)
    form = opened.context_data["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    data = {name: value for name, value in shown.items() if value not in (None, "")}
    data |= {"args": "[1]", "kwargs": "{}", "interval_0": "1", "interval_1": "m"}
    data |= {"retries": 4}
    response: Any = admin_client.post(page, data)
    assert errors_of(response) == {}
    assert response.headers["Location"] == schedule_page(schedule.pk)
    line = newest(schedule)
    assert (line.by, line.changes["retries"]) == ("admin", [0, 4])


def test_values_are_put_back_and_that_is_a_line_too(admin_client: Client, schedule: ScheduledTask):
    calendar = CalendarService.define("Holidays", ["2026-12-24"])
    SchedulerService.update(schedule, calendar=calendar, start=ago(-60))
    before = {"interval": 60, "calendar": None, "start": None}
    SchedulerService.update(schedule, interval=None, first=None, cron="0 * * * *", exclude="")
    asked = text_of(admin_client.get(page_of(schedule, "put_back", newest(schedule).pk)))
    assert "Cron expression 0 * * * * → –" in asked
    assert ScheduledTask.objects.get().cron == "0 * * * *"
    put_back(admin_client, schedule, note="doubled")
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.interval) == ("", before["interval"])
    assert (newest(schedule).action, newest(schedule).note) == ("put_back", "doubled")
    put_back(admin_client, schedule)
    schedule.refresh_from_db()
    assert schedule.cron == "0 * * * *"


def test_a_calendar_is_put_back_by_its_name(admin_client: Client, schedule: ScheduledTask):
    calendar = CalendarService.define("Holidays", ["2026-12-24"])
    SchedulerService.update(schedule, calendar=calendar)
    SchedulerService.update(schedule, calendar=None)
    put_back(admin_client, schedule)
    schedule.refresh_from_db()
    assert schedule.calendar == calendar


def test_what_has_changed_otherwise_since_stays(admin_client: Client, schedule: ScheduledTask):
    SchedulerService.update(schedule, retries=3)
    change = newest(schedule)
    SchedulerService.update(schedule, overlap="wait")
    admin_client.post(page_of(schedule, "put_back", change.pk))
    schedule.refresh_from_db()
    assert (schedule.retries, schedule.overlap) == (0, "wait")


def test_a_secret_stays_when_other_arguments_are_put_back(admin_client: Client):
    schedule = SchedulerService.schedule(
        ago(0), LOG_IN, ["1234-5678"], {"where": "here"}, interval=60
    )
    SchedulerService.update(schedule, kwargs={"where": "there"})
    put_back(admin_client, schedule)
    schedule.refresh_from_db()
    assert (schedule.args, schedule.kwargs) == (["1234-5678"], {"where": "here"})


def test_a_secret_that_is_gone_can_not_be_put_back(admin_client: Client):
    schedule = SchedulerService.schedule(
        ago(0), LOG_IN, ["1234-5678"], {"api_token": "sesame-open"}, interval=60
    )
    SchedulerService.update(schedule, kwargs={})
    assert "Secrets aren't in the history" in text_of(put_back(admin_client, schedule))
    schedule.refresh_from_db()
    assert schedule.kwargs == {}


def test_what_can_not_be_put_back_any_more_says_why(admin_client: Client, schedule: ScheduledTask):
    calendar = CalendarService.define("Holidays", ["2026-12-24"])
    SchedulerService.update(schedule, calendar=calendar)
    SchedulerService.update(schedule, calendar=None)
    calendar.delete()
    assert "There is no calendar “Holidays”." in text_of(put_back(admin_client, schedule))


def test_a_get_puts_nothing_back(admin_client: Client, schedule: ScheduledTask):
    SchedulerService.update(schedule, retries=3)
    admin_client.get(page_of(schedule, "put_back", newest(schedule).pk), {"confirmed": "yes"})
    schedule.refresh_from_db()
    assert schedule.retries == 3


def test_putting_back_needs_the_permission_and_a_change_of_this_schedule(
    viewer: Client, admin_client: Client, schedule: ScheduledTask
):
    SchedulerService.update(schedule, retries=3)
    assert put_back(viewer, schedule).status_code == 403
    assert "Put back" not in text_of(viewer.get(page_of(schedule, "changes")))
    other = SchedulerService.schedule(ago(0), ECHO, name="y", interval=60)
    url = page_of(other, "put_back", newest(schedule).pk)
    assert admin_client.post(url).status_code == 404


def test_all_changes_are_on_pages(
    admin_client: Client, schedule: ScheduledTask, django_assert_max_num_queries: Any
):
    for number in range(60):
        SchedulerService.update(schedule, retries=number + 1)
    with django_assert_max_num_queries(16):
        text = text_of(admin_client.get(page_of(schedule, "changes"), {"page": 2}))
    assert "61 changes" in text
    assert "Created" in text
