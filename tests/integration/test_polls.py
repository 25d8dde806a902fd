"""Real workers that poll feeds, one at a time and side by side."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from redis import Redis

from feeds.models import Feed
from feeds.websub.noting import UPKEEP
from tasks import clock
from tasks.broker.enqueue import enqueue_run
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.reasons import Code
from tasks.services import SchedulerService
from tests.feeds.documents import item, rss
from tests.feeds.polled import polled
from tests.feeds.site import Handler, answer, running_site
from tests.feeds.site import Site as FeedSite
from tests.feeds.websub.hubs import running_hub
from tests.processes import Site, running
from tests.servers import wait_for

HOUR = timedelta(hours=1)


@pytest.fixture
def feeds() -> Iterator[FeedSite]:
    """Serve feeds."""
    with running_site() as site:
        site.pages["/feed.xml"] = answer(body=rss(item(1)), ETag='"1"', Retry_After="1")
        yield site


def due(schedule: ScheduledTask, redis: Redis) -> None:
    """Put an occurrence of the schedule on its queue."""
    hour_ago = (clock.now() - HOUR).replace(microsecond=0)
    values = {"first": hour_ago, "settled_through": hour_ago, "period_start": hour_ago}
    ScheduledTask.objects.filter(pk=schedule.pk).update(interval=1, **values)
    schedule.refresh_from_db()
    enqueue_run(schedule, RunId(schedule.job_id, hour_ago + timedelta(minutes=59)), redis)


def ended(schedule: ScheduledTask) -> bool:
    return schedule.runs.exclude(status="running").exists()


@pytest.mark.parametrize("concurrency", ["0", "10"])
def test_a_worker_polls_feeds_and_skips_those_that_are_not_to_be_asked(
    site: Site, feeds: FeedSite, redis_connection: Redis, concurrency: str
):
    later = clock.now() + HOUR
    states = {
        "read": {},
        "failing": {"not_before": later, "not_before_why": "failures"},
        "wanted": {"not_before": later, "not_before_why": "failures"},
        "gone": {"gone_for_good": later},
        "bad": {},
    }
    schedules: dict[str, ScheduledTask] = {}
    for name, state in states.items():
        path = "/nothing" if name == "bad" else "/feed.xml"
        feed, schedules[name] = polled(feeds.url(f"{path}?{name}"))
        Feed.objects.filter(pk=feed.pk).update(**state)
        if name != "wanted":
            due(schedules[name], redis_connection)
    SchedulerService.run_now(schedules["wanted"])
    place = {**site, "FEEDS_ALLOWED_HOSTS": feeds.host_port}
    with running(place, "rqworker", "feeds", "--concurrency", concurrency):
        for name, schedule in schedules.items():
            wait_for(partial(ended, schedule), f"the end of “{name}”")
    runs = {name: schedule.runs.get() for name, schedule in schedules.items()}
    assert {name: (run.status, run.reason_code) for name, run in runs.items()} == {
        "read": ("finished", None),
        "failing": ("skipped", Code.CHECK_NOT_NOW),
        "wanted": ("finished", None),
        "gone": ("skipped", Code.CHECK_NOT_AT_ALL),
        "bad": ("failed", None),
    }
    assert runs["read"].result == {"new": 1, "updated": 0, "unchanged": 0, "status": 200}
    assert "1 new, 0 updated" in runs["read"].log
    feed = Feed.objects.get(schedule=schedules["read"])
    assert (feed.etag, feed.entries.count()) == ('"1"', 1)
    assert Feed.objects.get(schedule=schedules["bad"]).failures == 1


def test_no_more_feeds_of_a_host_are_asked_at_a_time_than_may_be(
    site: Site, feeds: FeedSite, redis_connection: Redis
):
    under_way, most = [0], [0]

    def page(handler: Handler) -> None:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        feeds.closing.wait(0.1)
        under_way[0] -= 1
        answer(body=rss())(handler)

    feeds.pages["/feed.xml"] = page
    schedules = [polled(feeds.url(f"/feed.xml?{number}"))[1] for number in range(6)]
    for schedule in schedules:
        due(schedule, redis_connection)
    place = {**site, "FEEDS_ALLOWED_HOSTS": feeds.host_port}
    with running(place, "rqworker", "feeds", "--concurrency", "10"):
        for schedule in schedules:
            wait_for(partial(ended, schedule), "the end of a poll")
    assert [schedule.runs.get().status for schedule in schedules] == ["finished"] * 6
    assert most[0] == 2


@pytest.mark.parametrize("concurrency", ["0", "10"])
def test_a_worker_asks_the_hub_of_a_feed_to_tell_of_its_changes(
    site: Site, feeds: FeedSite, redis_connection: Redis, concurrency: str
):
    with running_hub() as hub:
        hub.asks_back = False
        link = f'<{hub.url}>; rel="hub"'
        feeds.pages["/feed.xml"] = answer(body=rss(item(1)), Link=link)
        schedule = polled(feeds.url())[1]
        SchedulerService.run_now(schedule)
        place = {**site, "FEEDS_ALLOWED_HOSTS": f"{feeds.host_port} {hub.host_port}"}
        place["FEEDS_PUBLIC_URL"] = "https://jobs.example"
        with running(place, "rqworker", "feeds", "--concurrency", concurrency):
            wait_for(partial(ended, schedule), "the end of the poll")
            upkeep = ScheduledTask.objects.get(function=UPKEEP)
            SchedulerService.run_now(upkeep)
            wait_for(partial(ended, upkeep), "the end of the upkeep")
    assert upkeep.runs.get().result == {"subscribed": 1, "unsubscribed": 0, "failed": 0, "polls": 0}
    assert [form["hub.topic"] for form in hub.forms] == [feeds.url()]
