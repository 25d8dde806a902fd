"""What a poll leaves in the rows, and what the next one makes of that."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from feeds import exceptions, sandbox
from feeds.asking import check, hosts, network, recording, rules
from feeds.asking.check import may_ask
from feeds.keeping import retention
from feeds.keeping.matching import Identity
from feeds.models import Entry, FailedDocument, Feed, FeedHost
from tasks import clock
from tasks.decorators import NotAtAll, NotNow
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, Tag
from tasks.services import SchedulerService
from tests.feeds.documents import item, rss
from tests.feeds.polled import poll, polled
from tests.feeds.site import Site, answer

pytestmark = pytest.mark.django_db

NOW = datetime(2025, 3, 4, 12, 0, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
QUARTER = 15 * MINUTE
Wait = Callable[[timedelta], None]


@pytest.fixture(autouse=True)
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """Let time stand still, and return what lets some pass."""
    at = [NOW]
    monkeypatch.setattr(clock, "timestamp", lambda: at[0].timestamp())

    def wait(span: timedelta) -> None:
        at[0] += span

    return wait


@pytest.fixture(autouse=True)
def nobody_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_answered", {})


@pytest.fixture
def feed(site: Site, settings: Any) -> Feed:
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    return polled(site.url())[0]


def fails(feed: Feed) -> exceptions.FeedError:
    feed.refresh_from_db()
    with pytest.raises(exceptions.FeedError) as caught:
        poll(feed)
    feed.refresh_from_db()
    return caught.value


def reads(feed: Feed) -> dict[str, Any]:
    feed.refresh_from_db()
    result = poll(feed)
    feed.refresh_from_db()
    return result


def next_asked(feed: Feed, wait: Wait) -> timedelta:
    """Let time pass from one occurrence to the next until the feed is asked; return how much."""
    feed.refresh_from_db()
    for number in range(1, 500):
        wait(QUARTER)
        if may_ask(feed) is None:
            return number * QUARTER
    raise AssertionError("It is never asked.")


# Validators


def test_validators_go_to_the_address_that_gave_them_only(site, feed):
    """A temporary redirect turns: what is new there is a 304 for the validators of elsewhere."""
    site.pages |= {
        "/feed.xml": answer(302, Location="/a.xml"),
        "/a.xml": answer(body=rss(item(1)), ETag='"same"'),
        "/b.xml": by_etag('"same"', rss(item(2))),
    }
    reads(feed)
    assert site.requests[-1]["If-None-Match"] is None
    site.pages["/feed.xml"] = answer(302, Location="/b.xml")
    assert reads(feed)["new"] == 1
    site.pages["/b.xml"] = answer(304)
    reads(feed)
    assert [request["If-None-Match"] for request in site.requests[-2:]] == [None, '"same"']


def by_etag(etag: str, body: bytes) -> Any:
    """Return a page that compares validators as servers do."""

    def page(handler: Any) -> None:
        unchanged = handler.headers["If-None-Match"] == etag
        answer(304)(handler) if unchanged else answer(body=body, ETag=etag)(handler)

    return page


def test_a_304_to_a_request_without_conditions_is_a_failure(site, feed):
    site.pages["/feed.xml"] = answer(304)
    assert "wasn't told since when" in str(fails(feed))
    assert feed.failures == 1


def test_a_304_updates_the_validators_that_it_carries(site, feed):
    site.pages["/feed.xml"] = answer(body=rss(), ETag='"1"', Last_Modified="yesterday")
    reads(feed)
    site.pages["/feed.xml"] = answer(304, ETag='"2"')
    reads(feed)
    assert (feed.etag, feed.last_modified) == ('"2"', "yesterday")


def test_the_same_document_with_other_validators_stores_both_and_is_not_read_again(
    site, feed, monkeypatch
):
    site.pages["/feed.xml"] = answer(body=rss(item(1)), ETag='"1"', Last_Modified="yesterday")
    reads(feed)
    monkeypatch.setattr(sandbox, "parse", None)
    site.pages["/feed.xml"] = answer(body=rss(item(1)), Last_Modified="today")
    assert reads(feed) == {"new": 0, "updated": 0, "unchanged": 0, "status": 200}
    assert (feed.etag, feed.last_modified) == ("", "today")


def test_the_same_document_from_another_address_is_read_again(site, feed):
    site.pages["/feed.xml"] = answer(body=rss(item(1, link="post")))
    reads(feed)
    site.pages |= {
        "/feed.xml": answer(302, Location="/blog/feed.xml"),
        "/blog/feed.xml": answer(body=rss(item(1, link="post"))),
    }
    assert reads(feed)["updated"] == 1


# Freshness


def test_a_feed_is_not_asked_while_its_answer_is_fresh(site, feed, wait):
    site.pages["/feed.xml"] = answer(body=rss(item(1)), Cache_Control="max-age=3600")
    reads(feed)
    wait(QUARTER)
    assert may_ask(feed) == NotNow(
        "Its server says that nothing new is to be expected before 2025-03-04 12:59 UTC."
    )
    wait(45 * MINUTE)
    assert may_ask(feed) is None


@pytest.mark.parametrize("seconds", [60, 900])
def test_freshness_never_makes_a_feed_be_asked_less_often_than_it_says(site, feed, wait, seconds):
    site.pages["/feed.xml"] = answer(body=rss(item(1)), Cache_Control=f"max-age={seconds}")
    reads(feed)
    assert next_asked(feed, wait) == QUARTER


def test_what_a_document_says_of_its_updates_holds_while_it_is_unchanged(site, feed, wait):
    Feed.objects.update(etag='"1"', final_url=site.url(), update_seconds=7200, skip_hours=[15])
    site.pages["/feed.xml"] = answer(304)
    reads(feed)
    assert next_asked(feed, wait) == 2 * HOUR
    wait(HOUR)
    assert may_ask(feed) == NotNow(
        "The feed itself says that nothing is new before 2025-03-04 16:00 UTC."
    )


def test_hints_can_be_ignored(site, feed, wait):
    Feed.objects.update(ignores_hints=True)
    site.pages["/feed.xml"] = answer(body=rss(item(1)), Cache_Control="max-age=3600")
    reads(feed)
    assert next_asked(feed, wait) == QUARTER


def test_a_ttl_of_a_week_is_not_believed_of_a_feed_that_publishes_each_hour(site, feed, wait):
    items = "".join(
        item(number, pubDate=f"Tue, 04 Mar 2025 {number:02}:00:00 GMT") for number in range(12)
    )
    site.pages["/feed.xml"] = answer(body=rss(items, head="<ttl>10080</ttl>"))
    reads(feed)
    assert next_asked(feed, wait) == DAY


# Adaptive


def published(feed: Feed, *days: float) -> None:
    """Store entries that were published so many days ago."""
    for ago in days:
        Entry.objects.create(feed=feed, guid=f"{ago}", published=NOW - ago * DAY)


def test_an_adaptive_feed_that_publishes_rarely_is_asked_less_often(site, feed, wait):
    published(feed, 0.1, 1.1, 2.1)
    site.pages["/feed.xml"] = answer(body=rss())
    reads(feed)
    assert next_asked(feed, wait) == QUARTER
    Feed.objects.update(adaptive=True)
    reads(feed)
    wait(QUARTER)
    assert may_ask(Feed.objects.get()) == NotNow(
        "By how often it publishes, nothing new is to be expected before 2025-03-05 00:14 UTC."
    )
    Feed.objects.update(adaptive=False)
    assert may_ask(Feed.objects.get()) is None


def test_the_entries_of_the_document_say_how_often_an_adaptive_feed_publishes(site, feed, wait):
    """At the first poll, nothing is stored yet."""
    Feed.objects.update(adaptive=True)
    items = "".join(item(day, pubDate=f"Tue, {day:02} Feb 2025 12:00:00 GMT") for day in (1, 9))
    site.pages["/feed.xml"] = answer(body=rss(items))
    reads(feed)
    assert next_asked(feed, wait) == DAY


def test_what_is_longer_counts_for_an_adaptive_feed(site, feed, wait):
    published(feed, 0.1, 0.6, 1.1)
    Feed.objects.update(adaptive=True)
    site.pages["/feed.xml"] = answer(body=rss(), Cache_Control="max-age=43200")
    reads(feed)
    assert feed.not_before_why == "fresh"
    Feed.objects.update(ignores_hints=True)
    reads(feed)
    assert next_asked(feed, wait) == 6 * HOUR


def test_how_often_a_feed_publishes_is_asked_of_its_newest_entries_only(site, feed):
    published(feed, *(0.001 * number for number in range(100)))
    site.pages["/feed.xml"] = answer(304)
    Feed.objects.update(adaptive=True, etag='"1"', final_url=site.url())
    with CaptureQueriesContext(connection) as queries:
        reads(feed)
    [asked] = [q["sql"] for q in queries if "SELECT" in q["sql"] and "feeds_entry" in q["sql"]]
    assert "LIMIT 20" in asked


def test_a_poll_that_leaves_nothing_takes_no_transaction(site, feed, monkeypatch):
    site.pages["/feed.xml"] = answer(304)
    Feed.objects.update(etag='"1"', final_url=site.url())
    monkeypatch.setattr("feeds.tasks.in_shared_transaction", None)
    reads(feed)
    Feed.objects.update(failures=1)
    with pytest.raises(TypeError):
        reads(feed)


# An outage of our own


def test_an_outage_of_our_own_network_is_no_failure_of_a_feed(feed, caplog):
    error = exceptions.Unreachable("https://feeds.example/1", "why", "feeds.example")
    recording.failed(feed, error)
    feed.refresh_from_db()
    assert (feed.failures, feed.not_before) == (0, None)
    assert "may be our own network" in caplog.text


def test_a_host_that_alone_cannot_be_reached_is_left_alone(feed, wait):
    error = exceptions.Unreachable("https://feeds.example/1", "why", "feeds.example")
    network.note_answer("feeds.example")
    recording.failed(feed, error)
    network.note_answer("other.example")
    recording.failed(feed, error)
    feed.refresh_from_db()
    assert feed.failures == 1


# Failures


def test_a_feed_that_fails_is_asked_less_and_less_often_until_it_works(site, feed, wait):
    site.pages["/feed.xml"] = answer(500)
    waits = []
    for _ in range(4):
        fails(feed)
        waits.append(next_asked(feed, wait))
    assert waits == [QUARTER, 2 * QUARTER, 4 * QUARTER, 8 * QUARTER]
    site.pages["/feed.xml"] = answer(body=rss())
    reads(feed)
    assert (feed.failures, next_asked(feed, wait)) == (0, QUARTER)


def test_a_feed_that_is_left_alone_says_so_and_keeps_its_schedule(site, feed, wait):
    site.pages["/feed.xml"] = answer(500)
    fails(feed)
    fails(feed)
    wait(QUARTER)
    assert may_ask(feed) == NotNow("It has failed: it is asked again after 2025-03-04 12:29 UTC.")


def test_a_feed_that_costs_too_much_is_left_alone_soonest(site, feed, wait):
    site.pages["/feed.xml"] = answer(body=b"x" * (5 * 2**20 + 1))
    assert isinstance(fails(feed), exceptions.TooLarge)
    assert next_asked(feed, wait) == HOUR


def test_the_interval_of_a_feed_with_a_cron_expression_is_the_time_to_its_next_due(site, settings):
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    feed, _schedule = polled(site.url(), cron="0 */2 * * *")
    site.pages["/feed.xml"] = answer(500)
    fails(feed)
    fails(feed)
    assert feed.not_before == NOW + 4 * HOUR - MINUTE


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_wants_to_be_left_alone_is(site, feed, wait, status):
    site.pages["/feed.xml"] = answer(status, Retry_After="86400")
    fails(feed)
    wait(23 * HOUR)
    assert may_ask(feed) == NotNow("Its server wants no requests before 2025-03-05 12:00 UTC.")
    assert next_asked(feed, wait) == HOUR


def test_a_private_host_that_wants_to_be_left_alone_speaks_for_one_feed_only(site, feed):
    site.pages["/feed.xml"] = answer(429, Retry_After="3600")
    fails(feed)
    assert not FeedHost.objects.exists()


def test_a_public_host_that_wants_to_be_left_alone_is_for_a_day_at_most(feed, wait):
    error = exceptions.HttpStatus("https://feeds.example/1", "no", 429, 2 * DAY, "feeds.example")
    recording.failed(feed, error)
    other = Feed.objects.create(url="https://feeds.example/other.xml")
    led_there = Feed.objects.create(url="https://a.example/", final_url="https://feeds.example/x")
    apart = Feed.objects.create(url="https://b.example/")
    wait(DAY - MINUTE)
    refused = NotNow("Its host wants no requests before 2025-03-05 12:00 UTC.")
    assert [may_ask(one) for one in (other, led_there, apart)] == [refused, refused, None]
    wait(MINUTE)
    assert may_ask(other) is None


def test_a_host_is_left_alone_until_the_latest_time_that_it_has_said():
    for path, span in (("1", 2 * HOUR), ("2", MINUTE), ("3", 3 * HOUR)):
        url = f"https://feeds.example/{path}"
        error = exceptions.HttpStatus(url, "no", 503, span, "feeds.example")
        recording.failed(Feed.objects.create(url=url), error)
        assert FeedHost.objects.get().not_before == NOW + max(span, 2 * HOUR)


# What a person wants


def run_of(feed: Feed, run_id: RunId, monkeypatch: pytest.MonkeyPatch, redis: Any) -> None:
    """Let the check be that of this run."""
    job = Job.create("feeds.fetch_rss", args=[feed.pk], id=run_id.job_id, connection=redis)
    monkeypatch.setattr(check, "get_current_job", lambda: job)


@pytest.mark.parametrize(
    ("attempt", "requested", "is_asked"), [(1, None, False), (2, None, True), (1, NOW, True)]
)
def test_a_person_and_a_retry_do_not_wait_for_a_failure_to_be_long_ago(
    site, feed, monkeypatch, redis_connection, attempt, requested, is_asked
):
    site.pages["/feed.xml"] = answer(500)
    fails(feed)
    due = None if requested else NOW
    run_id = RunId(feed.schedule.job_id, due, attempt=attempt, requested=requested)
    run_of(feed, run_id, monkeypatch, redis_connection)
    assert (may_ask(feed) is None) is is_asked


# 410


def test_a_feed_that_is_gone_is_asked_once_a_day_and_ends_after_three_times(site, feed, wait):
    site.pages["/feed.xml"] = answer(410)
    for _ in range(2):
        fails(feed)
        assert isinstance(may_ask(feed), NotNow)
        assert next_asked(feed, wait) == DAY
    fails(feed)
    wait(QUARTER)
    assert isinstance(may_ask(feed), NotAtAll)


def test_a_feed_that_is_gone_is_asked_at_each_occurrence_of_a_daily_schedule(site, feed, wait):
    site.pages["/feed.xml"] = answer(410)
    late = timedelta(seconds=30)
    wait(late)
    fails(feed)
    wait(DAY - late)
    assert may_ask(feed) is None


def test_a_feed_that_was_gone_is_asked_again_when_its_schedule_is_resumed(site, feed, wait):
    site.pages["/feed.xml"] = answer(410)
    for _ in range(3):
        fails(feed)
        wait(DAY)
    assert isinstance(may_ask(feed), NotAtAll)
    SchedulerService.cancel(feed.schedule)
    SchedulerService.resume(feed.schedule)
    assert may_ask(feed) is None
    fails(feed)
    assert next_asked(feed, wait) == DAY
    site.pages["/feed.xml"] = answer(body=rss())
    reads(feed)
    assert (feed.gone_since, feed.gone_times, feed.gone_for_good) == (None, 0, None)


def test_a_feed_that_is_gone_only_now_and_then_never_ends(site, feed, wait):
    for status in (410, 410, 200, 410, 410):
        site.pages["/feed.xml"] = answer(status, body=rss())
        fails(feed) if status == 410 else reads(feed)
        wait(DAY)
        assert not isinstance(may_ask(feed), NotAtAll)


# Moves


@pytest.fixture
def moving(site: Site) -> None:
    """Have the feed redirected permanently."""
    site.pages |= {
        "/feed.xml": answer(301, Location="/new.xml"),
        "/new.xml": answer(body=rss(item(1))),
    }


def test_a_feed_that_is_redirected_for_two_days_moves_and_keeps_its_original_address(
    site, feed, moving, wait
):
    assert feed.schedule.name == site.url()
    for _ in range(3):
        reads(feed)
        wait(DAY)
    assert (feed.url, feed.original_url) == (site.url("/new.xml"), site.url())
    assert ScheduledTask.objects.get().name == site.url("/new.xml")
    reads(feed)
    assert feed.entries.count() == 1


def test_a_feed_that_is_redirected_temporarily_never_moves(site, feed, moving, wait):
    site.pages["/feed.xml"] = answer(302, Location="/new.xml")
    for _ in range(4):
        reads(feed)
        wait(DAY)
    assert feed.url == site.url()


def test_a_schedule_with_a_name_of_its_own_keeps_it_when_its_feed_moves(site, feed, moving, wait):
    SchedulerService.update(feed.schedule, name="News")
    for _ in range(3):
        reads(feed)
        wait(DAY)
    assert ScheduledTask.objects.get().name == "News"


@pytest.fixture
def moved(site: Site, feed: Feed, moving: None, wait: Wait) -> Feed:
    """Return a feed that has moved."""
    for _ in range(3):
        reads(feed)
        wait(DAY)
    assert feed.url == site.url("/new.xml")
    return feed


@pytest.mark.parametrize("status", [200, 404, 410])
def test_a_move_is_undone_when_there_has_been_no_feed_for_two_days(site, moved, wait, status):
    site.pages["/new.xml"] = answer(status, body=b"<html>nothing</html>")
    for _ in range(2):
        fails(moved)
        assert moved.url == site.url("/new.xml")
        wait(DAY)
    fails(moved)
    assert (moved.url, moved.original_url, moved.moved_at) == (site.url(), "", None)
    assert ScheduledTask.objects.get().name == site.url()
    assert (moved.failures, moved.gone_since, moved.gone_for_good) == (0, None, None)
    assert may_ask(moved) is None


def test_a_move_is_not_undone_when_the_feed_is_back_in_between(site, moved, wait):
    for status in (404, 404, 200, 404, 404):
        site.pages["/new.xml"] = answer(status, body=rss(item(1)))
        reads(moved) if status == 200 else fails(moved)
        wait(DAY)
    assert moved.url == site.url("/new.xml")


def test_a_move_of_long_ago_is_not_undone(site, moved, wait):
    wait(31 * DAY)
    gone(site, moved, "/new.xml", wait)
    assert moved.url == site.url("/new.xml")


@pytest.mark.parametrize("status", [500, 403])
def test_a_move_is_not_undone_when_the_feed_cannot_be_had_now(site, moved, wait, status):
    gone(site, moved, "/new.xml", wait, status)
    assert moved.url == site.url("/new.xml")


def test_a_move_is_not_undone_where_the_original_address_is_another_feed_now(site, moved, wait):
    polled(site.url())
    gone(site, moved, "/new.xml", wait)
    assert moved.url == site.url("/new.xml")


def gone(site: Site, feed: Feed, path: str, wait: Wait, status: int = 404) -> None:
    """Let there be no feed at an address for days."""
    site.pages[path] = answer(status)
    for _ in range(3):
        fails(feed)
        wait(DAY)


def test_a_feed_that_has_moved_is_limited_with_those_of_its_new_host(site, feed, wait, settings):
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port, f"localhost:{site.server_port}"]
    there = site.url("/new.xml").replace("127.0.0.1", "localhost")
    site.pages |= {"/feed.xml": answer(301, Location=there), "/new.xml": answer(body=rss())}
    assert hosts.limit_key(feed.pk) == "127.0.0.1"
    for _ in range(3):
        reads(feed)
        wait(DAY)
    assert hosts.limit_key(feed.pk) == "localhost"


@pytest.mark.parametrize("is_first", [True, False])
def test_a_feed_that_moves_to_another_one_becomes_one_with_it(
    site, settings, moving, wait, caplog, is_first
):
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    urls = [site.url(), site.url("/new.xml")]
    if not is_first:
        urls.reverse()
    older, younger = (polled(url)[0] for url in urls)
    moved, there = (older, younger) if is_first else (younger, older)
    Entry.objects.create(feed=moved, guid="only here")
    Entry.objects.create(feed=moved, guid="item-1", title="older version")
    moved.tags.add(Tag.objects.create(name="news"))
    reads(there)
    reads(moved)
    assert "the two become one feed" in caplog.text
    wait(DAY)
    reads(moved)
    wait(DAY)
    moved.refresh_from_db()
    poll(moved)
    one = Feed.objects.get()
    assert (one.pk, one.url, one.original_url) == (older.pk, site.url("/new.xml"), site.url())
    assert one.schedule == older.schedule
    assert sorted(one.entries.values_list("guid", flat=True)) == ["item-1", "only here"]
    assert [tag.name for tag in one.tags.all()] == ["news"]
    ended = ScheduledTask.objects.get(pk=younger.schedule.pk)
    assert ended.status == ScheduledTask.Status.DEATH
    assert "One feed with" in ended.note


def test_feeds_that_have_become_one_stay_at_their_address(site, settings, moving, wait):
    """Also if they move on, and that is undone."""
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    feed = polled(site.url())[0]
    polled(site.url("/new.xml"))
    for _ in range(3):
        reads(feed)
        wait(DAY)
    assert Feed.objects.get() == feed
    gone(site, feed, "/new.xml", wait)
    assert feed.url == site.url("/new.xml")
    site.pages |= {
        "/new.xml": answer(301, Location="/newer.xml"),
        "/newer.xml": answer(body=rss(item(1))),
    }
    for _ in range(3):
        reads(feed)
        wait(DAY)
    assert feed.url == site.url("/newer.xml")
    gone(site, feed, "/newer.xml", wait)
    assert feed.url == site.url("/new.xml")


def test_feeds_that_become_one_have_each_entry_once_with_its_star_and_tags(
    site, settings, moving, wait
):
    """The usual case: http and https of the same feed, whose guids are its links."""
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    kept, left = polled(site.url())[0], polled(site.url("/new.xml"))[0]
    for number in range(3):
        link, published = f"://a.example/{number}", NOW - number * HOUR
        Entry.objects.create(feed=kept, guid=f"http{link}", published=published)
        starred = number == 1
        guid = f"https://www.{link[3:]}"
        other = Entry.objects.create(feed=left, guid=guid, published=published, starred=starred)
        other.tags.add(Tag.objects.get_or_create(name=f"tag-{number}")[0])
    for _ in range(3):
        reads(kept)
        wait(DAY)
    assert Feed.objects.get() == kept
    guids = {"item-1", *(f"http://a.example/{number}" for number in range(3))}
    assert set(kept.entries.values_list("guid", flat=True)) == guids
    assert kept.entries.get(starred=True).guid == "http://a.example/1"
    assert kept.entries.get(tags__name="tag-2").guid == "http://a.example/2"


def test_what_one_of_two_feeds_no_longer_keeps_is_not_new_when_they_become_one(
    site, settings, moving, wait
):
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    kept, left = polled(site.url())[0], polled(site.url("/new.xml"))[0]
    retention.bury(kept, [Identity("item-7")])
    retention.bury(left, [Identity("item-7"), Identity("item-8")])
    for _ in range(3):
        reads(kept)
        wait(DAY)
    assert Feed.objects.get() == kept
    site.pages["/new.xml"] = answer(body=rss(item(7) + item(8) + item(9)))
    assert reads(kept)["new"] == 1


def test_of_two_feeds_that_become_one_the_live_schedule_is_kept(site, settings, moving, wait):
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    older, younger = polled(site.url())[0], polled(site.url("/new.xml"))[0]
    SchedulerService.cancel(older.schedule)
    for _ in range(2):
        reads(older)
        wait(DAY)
    older.refresh_from_db()
    poll(older)
    assert Feed.objects.get().schedule == younger.schedule


def test_a_move_names_no_secrets(site, feed, wait, caplog):
    caplog.set_level(logging.DEBUG)
    site.pages |= {
        "/feed.xml": answer(301, Location="/new.xml?token=hunter2-hunter2"),
        "/new.xml": answer(body=rss()),
    }
    for _ in range(3):
        reads(feed)
        wait(DAY)
    assert feed.url.endswith("hunter2-hunter2")
    assert "hunter2" not in caplog.text


# Limits


def test_feeds_of_one_host_share_a_limit(feed):
    first = Feed.objects.create(url="https://Me@Feeds.example:8443/a")
    second = Feed.objects.create(url="https://feeds.example/b")
    assert hosts.limit_key(first.pk) == hosts.limit_key(second.pk) == "feeds.example"
    assert hosts.limit_key(second.pk + 1) != hosts.limit_key(second.pk + 2)


def test_the_hosts_of_many_feeds_are_read_at_once(django_assert_num_queries):
    feeds = [Feed.objects.create(url=f"https://{name}.example/") for name in "abc"]
    hosts._blocks.clear()
    with django_assert_num_queries(1):
        assert [hosts.limit_key(feed.pk) for feed in feeds] == [f"{name}.example" for name in "abc"]


def test_of_a_document_that_is_too_large_the_beginning_is_kept_and_said_to_be_one(
    feed, site, monkeypatch
):
    monkeypatch.setattr(rules.rules_of_site, "__defaults__", (100,))
    site.pages["/feed.xml"] = answer(body=b"<rss>" + b"a" * 500)
    fails(feed)
    document = FailedDocument.objects.get()
    assert document.body.startswith(b"<rss>aaa")
    assert "only its beginning" in document.why
