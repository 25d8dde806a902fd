"""The page that shows the load of the coming days, and the emptiest times for a new job."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse
from redis import Redis
from redis.exceptions import ConnectionError

from tasks.admin_pages.what_if import PLAY_AFTER_MS, QUICK
from tasks.models import WeeklySummary
from tasks.worker import Worker
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _worker(redis_connection: Redis) -> None:
    Worker(["default"], connection=redis_connection).register_birth()


def hourly(minutes: float, **values: Any) -> None:
    """Store an hourly schedule whose runs take so many minutes."""
    schedule = make_row(first=ago(60), interval=3600, **values)
    WeeklySummary.objects.create(schedule=schedule, p50=timedelta(minutes=minutes))


def get(client: Client, **query: str) -> Any:
    return client.get(reverse("admin:tasks_what_if"), query)


def test_the_load_of_each_queue_is_shown(admin_client: Client):
    hourly(30)
    hourly(59, queue="low", name="nightly")
    rows = get(admin_client).context["queues"]
    shown = [(row.name, row.more, row.verdict, row.state) for row in rows]
    assert shown == [
        ("default", "168 runs, 1 worker", "at most 100 % busy", ""),
        ("low", "168 runs, 0 workers", "no worker", "failed"),
    ]


def test_what_would_overlap_and_what_would_wait_is_named(admin_client: Client):
    hourly(90, name="too long")
    hourly(10, name="waits for it")
    page = get(admin_client)
    assert "too long" in [one.planned.name for one in page.context["overlapping"]]
    assert "waits for it" in [one.planned.name for one, _due in page.context["waiting"]]
    assert "too long" in page.content.decode()


@pytest.mark.parametrize("every", ["hour", "day", "week"])
def test_a_suggested_time_leads_to_the_form_that_adds_a_schedule_then(
    admin_client: Client, every: str
):
    hourly(10)
    [first, *_] = get(admin_client, takes="15m", queue="default", every=every).context[
        "suggestions"
    ]
    values = parse_qs(urlsplit(first.add_url).query)
    assert values["queue"] == ["default"]
    stars = {"hour": 4, "day": 3, "week": 2}
    assert values["cron"][0].split().count("*") == stars[every]


def test_a_length_of_time_that_is_none_is_refused_at_its_field(admin_client: Client):
    response = get(admin_client, takes="soon", queue="default", every="day")
    assert response.context["suggestions"] is None
    assert "“soon” is not a valid interval" in response.content.decode()


def test_the_page_makes_the_same_few_queries_for_any_number_of_schedules(
    admin_client: Client, django_assert_max_num_queries: Any
):
    for number in range(5):
        hourly(1, name=f"schedule {number}")
    get(admin_client)
    with django_assert_max_num_queries(15):
        get(admin_client)


def test_much_is_played_only_when_the_page_is_there_and_then_shown_to_all_for_a_while(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    hourly(30)
    WeeklySummary.objects.update(finished=QUICK)
    page = get(admin_client)
    assert "queues" not in page.context
    assert f'id="what-if" data-live="{PLAY_AFTER_MS}"' in page.content.decode()
    part = admin_client.get(reverse("admin:tasks_what_if"), headers={"X-Live": "1"})
    assert [row.name for row in part.context["queues"]] == ["default"]
    assert 'id="what-if" data-live="0"' in part.content.decode()
    monkeypatch.setattr("tasks.admin_pages.what_if.simulate", None)
    assert get(admin_client, play="now").context["queues"]


def test_without_redis_the_page_says_that_the_workers_are_not_known(
    admin_client: Client, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):

    def unavailable(*args: Any) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr("tasks.admin_pages.what_if.read_snapshot", unavailable)
    assert "isn't known: refused" in get(admin_client).content.decode()


def test_whoever_may_not_view_schedules_may_not_see_their_load(client: Client, django_user_model):
    client.force_login(django_user_model.objects.create_user("staff", is_staff=True))
    assert get(client).status_code == 403
