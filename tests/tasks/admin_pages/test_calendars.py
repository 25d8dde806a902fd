"""Calendars in the admin: what is shown, who may change what, and what an edit does."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.models import Calendar, ScheduledTask
from tasks.services import CalendarService, SchedulerService
from tasks.timing.instants import to_score
from tests.tasks.functions import ECHO
from tests.tasks.pages import SCHEDULES, SCRIPT, errors_of, page_of, rows_of, staff, text_of
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db(transaction=True)

CALENDARS = reverse("admin:tasks_calendar_changelist")
ADD = reverse("admin:tasks_calendar_add")
DAY = timedelta(days=1)
TODAY = timezone.now().date()
MIDNIGHT = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)


@pytest.fixture
def calendar() -> Calendar:
    return CalendarService.define("Holidays", f"2020-01-01\n{TODAY + DAY}")


def test_the_list_of_calendars_shows_number_of_days_next_date_and_users(
    admin_client: Client, calendar: Calendar
):
    make_row(calendar=calendar)
    text = text_of(admin_client.get(CALENDARS))
    for part in ("Holidays", " 2 ", f"{TODAY + DAY}", "1 schedule"):
        assert part in text


def test_a_calendar_links_to_the_schedules_that_use_it(admin_client: Client, calendar: Calendar):
    schedule = make_row(calendar=calendar)
    make_row()
    url = f"{SCHEDULES}?calendar__id__exact={calendar.pk}"
    assert url in admin_client.get(page_of(calendar)).content.decode()
    assert rows_of(admin_client.get(url)) == [schedule]


def test_the_dates_of_a_new_calendar_are_sorted(admin_client: Client):
    data = {"name": "Holidays", "dates": "2026-12-26\r\n2026-12-24..2026-12-25"}
    assert admin_client.post(ADD, data).status_code == 302
    assert Calendar.objects.get().dates == "2026-12-24..2026-12-25\n2026-12-26"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "Holidays"}),
        ("name", {"name": "a\0b"}),
        ("dates", {"dates": "25.12.2026"}),
        ("dates", {"dates": "2026-12-26..2026-12-24"}),
        ("dates", {"dates": "x" * 30_000}),
        ("dates", {"dates": "2026-12-24\0"}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_invalid_value_of_a_calendar_is_reported_at_its_field(
    admin_client: Client, calendar: Calendar, field: str, values: dict[str, str]
):
    response = admin_client.post(ADD, {"name": "Other", "dates": ""} | values)
    assert list(errors_of(response)) == [field]
    assert len(errors_of(response)[field]) == 1
    assert Calendar.objects.get() == calendar


def test_editing_a_calendar_moves_the_schedules_that_use_it(
    admin_client: Client, calendar: Calendar, redis_connection: Redis
):
    schedule = SchedulerService.schedule(MIDNIGHT + DAY, ECHO, interval=86_400, calendar=calendar)
    admin_client.post(page_of(calendar), {"name": "Holidays", "dates": f"{TODAY + 2 * DAY}"})
    score = redis_connection.zscore(SCHEDULES_KEY, schedule.job_id)
    assert score == to_score(MIDNIGHT + DAY)


@pytest.mark.parametrize("way", ["list", "detail"])
def test_a_calendar_in_use_is_not_deleted_and_its_schedules_are_listed(
    admin_client: Client, calendar: Calendar, way: str
):
    make_row(calendar=calendar, name="polling")
    if way == "list":
        data = {"action": "delete_selected", "_selected_action": [calendar.pk]}
        response = admin_client.post(CALENDARS, data)
    else:
        response = admin_client.post(page_of(calendar, "delete"), {"post": "yes"})
    assert "polling" in text_of(response)
    assert Calendar.objects.exists()


def test_an_unused_calendar_can_be_deleted(admin_client: Client, calendar: Calendar):
    assert admin_client.post(page_of(calendar, "delete"), {"post": "yes"}).status_code == 302
    assert not Calendar.objects.exists()


def test_a_viewer_of_calendars_can_see_them_and_change_nothing(client: Client, calendar: Calendar):
    client.force_login(staff("view_calendar"))
    make_row(calendar=calendar)
    for url in (CALENDARS, page_of(calendar), page_of(calendar, "history")):
        assert client.get(url).status_code == 200
    data = {"name": "Changed", "dates": "", "post": "yes"}
    urls = [ADD, page_of(calendar), page_of(calendar, "delete")]
    assert [client.post(url, data).status_code for url in urls] == [403] * 3
    calendar.refresh_from_db()
    assert calendar.name == "Holidays"


def test_the_permission_to_change_schedules_does_not_show_calendars(
    client: Client, calendar: Calendar
):
    client.force_login(staff("view_scheduledtask", "change_scheduledtask"))
    assert client.get(CALENDARS).status_code == 403
    schedule = make_row(calendar=calendar)
    assert "Holidays" in text_of(client.get(page_of(schedule)))


def test_markup_in_a_calendar_is_shown_as_text(admin_client: Client):
    calendar = Calendar.objects.create(name=SCRIPT, dates=SCRIPT, description=SCRIPT)
    make_row(calendar=calendar)
    for url in (CALENDARS, page_of(calendar), page_of(calendar, "delete"), SCHEDULES):
        assert SCRIPT not in admin_client.get(url).content.decode()


@pytest.mark.usefixtures("known_owner")
def test_lists_make_the_same_queries_for_any_number_of_calendars(admin_client: Client):
    def cost() -> list[int]:
        costs = []
        for url in (CALENDARS, SCHEDULES):
            with CaptureQueriesContext(connection) as queries:
                admin_client.get(url)
            costs.append(len(queries))
        return costs

    def fill(rows: int) -> None:
        for number in range(Calendar.objects.count(), rows):
            make_row(calendar=CalendarService.define(f"{number}", [TODAY]))

    fill(3)
    cost_of_3 = cost()
    fill(9)
    assert cost() == cost_of_3


def test_changing_a_calendar_is_logged_in_its_history(admin_client: Client, calendar: Calendar):
    admin_client.post(page_of(calendar), {"name": "Holidays", "dates": "2030-01-01"})
    assert "Changed Dates" in text_of(admin_client.get(page_of(calendar, "history")))


def test_a_schedule_shows_the_number_of_days_it_excludes(admin_client: Client, calendar: Calendar):
    make_row(calendar=calendar, exclude="2030-01-01", timezone="Europe/Rome")
    assert "except on 3 days (Europe/Rome)" in text_of(admin_client.get(SCHEDULES))
    assert ScheduledTask.objects.get().when_in_words().startswith("every hour")
