from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.urls import reverse

from feeds import parsing, syndication
from feeds.reading.result import ParsedFeed
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tests.feeds.polled import polled

pytestmark = pytest.mark.django_db

ENDED = datetime(2025, 3, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def on(settings: LazySettings) -> None:
    """Turn the activity feed on."""
    settings.FEEDS_ACTIVITY_FEED = True


@pytest.fixture
def schedule() -> ScheduledTask:
    return polled("https://a.example/", name="News & <notes>")[1]


def run(schedule: ScheduledTask, status: str = "finished", ago: int = 0, **values: Any):
    ended = ENDED - timedelta(minutes=ago)
    started = None if status in ("missed", "skipped") else ended - timedelta(seconds=1.5)
    defaults = {"status": status, "due": ended, "started": started, "ended": ended} | values
    return ScheduledTaskInstance.objects.create(parent=schedule, name=schedule.name, **defaults)


def read(client) -> ParsedFeed:
    response = client.get("/feeds/activity/")
    assert response.status_code == 200
    return parsing.parse(response.content, response["Content-Type"], "http://testserver/")


def test_the_activity_feed_is_off_unless_the_site_asks_for_it(schedule, client, settings):
    run(schedule)
    del settings.FEEDS_ACTIVITY_FEED
    assert client.get("/feeds/activity/").status_code == 404
    settings.FEEDS_ACTIVITY_FEED = False
    assert client.get("/feeds/activity/").status_code == 404


def test_each_ended_run_is_an_entry_of_the_activity_feed(schedule, client):
    ended = run(schedule)
    (entry,) = read(client).entries
    assert entry.title == "Finished: News & <notes>"
    assert (entry.updated, entry.summary) == (ENDED, "It took 1.5 s.")
    page = reverse("admin:tasks_scheduledtaskinstance_change", args=[ended.pk])
    assert entry.link == f"http://testserver{page}"


@pytest.mark.parametrize(
    ("status", "label"),
    [
        ("failed", "Failed"),
        ("canceled", "Cancelled"),
        ("missed", "Missed"),
        ("skipped", "Skipped"),
    ],
)
def test_the_activity_feed_shows_runs_that_did_not_finish(schedule, client, status, label):
    run(schedule, status)
    assert read(client).entries[0].title.startswith(f"{label}: ")


def test_the_activity_feed_does_not_show_a_run_that_is_still_running(schedule, client):
    run(schedule, "running", ended=None)
    assert read(client).entries == ()


def test_the_activity_feed_says_why_an_occurrence_never_ran(schedule, client):
    run(schedule, "skipped", reason="The previous run was still going.")
    assert read(client).entries[0].summary == "The previous run was still going."


def test_the_activity_feed_shows_nothing_that_comes_from_a_task_function(schedule, client):
    secret: dict[str, Any] = {
        "log": "secret",
        "traceback": "secret",
        "reason": "Failed for: secret",
    }
    run(schedule, "failed", result={"secret": 1}, **secret)
    assert "secret" not in client.get("/feeds/activity/").content.decode()


def test_a_run_that_is_tried_again_keeps_its_id_in_the_activity_feed_and_moves_up(schedule, client):
    tried, _ = run(schedule, "failed", ago=2), run(schedule, ago=1)
    before = read(client).entries[1]
    later = ENDED + timedelta(minutes=1)
    ScheduledTaskInstance.objects.filter(pk=tried.pk).update(status="finished", ended=later)
    after = read(client).entries[0]
    assert (after.guid, after.updated) == (before.guid, later)
    assert before.guid.startswith("urn:uuid:")


def test_the_activity_feed_shows_only_the_latest_runs(schedule, client, monkeypatch):
    monkeypatch.setattr(syndication, "LATEST", 2)
    for ago in (3, 1, 2):
        run(schedule, ago=ago)
    times = [entry.updated for entry in read(client).entries]
    assert times == [ENDED - timedelta(minutes=1), ENDED - timedelta(minutes=2)]


def test_control_characters_in_the_name_of_a_run_do_not_break_the_activity_feed(schedule, client):
    run(schedule)
    ScheduledTaskInstance.objects.update(name="a\x1bb")
    assert read(client).entries[0].title == "Finished: ab"


def test_the_activity_feed_takes_one_query(schedule, client, django_assert_num_queries):
    for ago in range(10):
        run(schedule, ago=ago)
    with django_assert_num_queries(1):
        read(client)


def test_the_activity_feed_is_empty_without_runs(client):
    assert read(client).entries == ()
