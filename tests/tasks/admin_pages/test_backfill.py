"""The backfill page: it shows how many runs a past range means, and requests them."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone

from tasks.models import ScheduledTask, WeeklySummary
from tasks.services import SchedulerService
from tests.tasks.pages import page_of, text_of
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)


def backfill_data(schedule: ScheduledTask, **values: Any) -> dict[str, Any]:
    begin = timezone.localtime(schedule.first).strftime("%Y-%m-%dT%H:%M:%S")
    end = timezone.localtime(ago(0)).strftime("%Y-%m-%dT%H:%M:%S")
    return {"begin": begin, "end": end, "limit": 100} | values


@pytest.fixture
def hourly() -> ScheduledTask:
    return make_row(first=ago(9_000).replace(microsecond=0))


def test_backfill_shows_the_number_of_runs_first_and_requests_them_when_confirmed(
    admin_client: Client, hourly: ScheduledTask
):
    url = page_of(hourly, "backfill")
    assert "confirmed" not in admin_client.get(url).content.decode()
    preview = admin_client.post(url, backfill_data(hourly))
    assert "3 runs would be requested" in text_of(preview)
    assert not hourly.requests.exists()
    data = backfill_data(hourly, confirmed="Run them")
    done = admin_client.post(url, data, follow=True)
    assert "3 runs were requested." in text_of(done)
    assert hourly.requests.count() == 3
    assert LogEntry.objects.get().get_change_message() == "Backfill: 3 runs were requested."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"end": "2999-01-01T00:00"}, "ends in the future"),
        ({"end": "2000-01-01T00:00"}, "The range is empty"),
        ({"limit": 2}, "More than 2 occurrences"),
        ({"limit": 0}, "greater than or equal to 1"),
        ({"begin": "soon"}, "Enter a valid date/time"),
    ],
    ids=str,
)
@pytest.mark.parametrize("confirmed", [True, False])
def test_an_invalid_backfill_shows_why_and_requests_nothing(
    admin_client: Client, hourly: ScheduledTask, values: Any, message: str, confirmed: bool
):
    data = backfill_data(hourly, **values) | ({"confirmed": "x"} if confirmed else {})
    response = admin_client.post(page_of(hourly, "backfill"), data)
    assert message in text_of(response)
    assert 'name="confirmed"' not in response.content.decode()
    assert not hourly.requests.exists()


def test_a_backfill_of_a_range_without_missed_runs_cannot_be_confirmed(
    admin_client: Client, hourly: ScheduledTask
):
    SchedulerService.backfill(hourly, ago(9_001), ago(0))
    response = admin_client.post(page_of(hourly, "backfill"), backfill_data(hourly))
    assert "Nothing is left to run in this range." in text_of(response)
    assert 'name="confirmed"' not in response.content.decode()


def test_the_page_says_how_long_the_runs_take_and_runs_what_failed_if_wanted(
    admin_client: Client, hourly: ScheduledTask
):
    WeeklySummary.objects.create(schedule=hourly, finished=9, success=1, p50=timedelta(seconds=90))
    make_run(hourly, due=hourly.first, status="failed", ended=ago(7_200))
    url = page_of(hourly, "backfill")
    without = text_of(admin_client.post(url, backfill_data(hourly)))
    assert "2 runs would be requested" in without
    assert "That takes about 3 min" in without
    assert "3 runs would be" in text_of(admin_client.post(url, backfill_data(hourly, failed="on")))
    admin_client.post(url, backfill_data(hourly, failed="on", confirmed="yes"))
    assert hourly.requests.get(due=hourly.first).attempt == 2
    line = hourly.changes.get()
    assert (line.action, line.by) == ("backfilled", "admin")
    words = "Backfill of 3 runs requested, due from "
    assert words in text_of(admin_client.get(page_of(hourly, "page")))
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "ko"
    assert "소급 실행 3건 요청됨" in text_of(admin_client.get(page_of(hourly, "page")))


def test_backfill_needs_the_permission_to_change_the_schedule(
    viewer: Client, hourly: ScheduledTask
):
    url = page_of(hourly, "backfill")
    data = backfill_data(hourly, confirmed="x")
    assert viewer.get(url).status_code == viewer.post(url, data).status_code == 403
    assert url not in viewer.get(page_of(hourly)).content.decode()
    assert not hourly.requests.exists()


def test_the_backfill_page_of_a_deleted_schedule_is_not_found(
    admin_client: Client, hourly: ScheduledTask
):
    url = page_of(hourly, "backfill")
    hourly.delete()
    assert admin_client.get(url).status_code == 404
