from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from feeds import services
from feeds.addresses import typed_url, validate_url
from feeds.exceptions import BadUrl, UnknownFeed
from feeds.models import Entry, Feed
from feeds.services import schedule_feed
from tasks import clock
from tasks.exceptions import InvalidSchedule
from tasks.models import ScheduledTask
from tasks.services import CalendarService, SchedulerService
from tests.feeds.polled import polled

pytestmark = pytest.mark.django_db

URL = "https://feeds.example/news.xml"
NOW = datetime(2025, 3, 4, 12, 0, 0, tzinfo=UTC)


# Addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://feeds.example/news.xml", "https://feeds.example/news.xml"),
        ("HTTP://Feeds.Example:80/News?A=b&C#top", "http://feeds.example/News?A=b&C"),
        ("https://feeds.example:443", "https://feeds.example/"),
        ("https://feeds.example:8443/a%2fB/../c", "https://feeds.example:8443/a%2fB/../c"),
        ("https://Me:Secret@Feeds.example/", "https://Me:Secret@feeds.example/"),
        ("http://[2606:4700::1]:8000/", "http://[2606:4700::1]:8000/"),
        ("http://BÜCHER.example/", "http://bücher.example/"),
    ],
)
def test_the_address_of_a_feed_has_one_canonical_form(url, expected):
    assert validate_url(url) == validate_url(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("", "feeds.example", "ftp://a.example/", "file:///etc/passwd", "javascript:alert(1)"),
        *("http://", "http:///x", "http://:80/", "http://a.example:x/", "http://a.example:99999/"),
        *("http://a b.example/", "http://a.example/ x", "http://a.example/\n", "http://a\x00.x/"),
        *("http://[::1", "http://a..b/", "http://a<b/", f"http://{'a' * 64}.example/"),
        "http://a.example/" + "x" * 2000,
        "http://a.example/" + "한" * 700,
    ],
)
def test_an_invalid_address_of_a_feed_is_refused(url):
    with pytest.raises(BadUrl):
        validate_url(url)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (" https://a.example/feed \n", "https://a.example/feed"),
        ("https://a.example/\n  my feed.xml", "https://a.example/%20%20my%20feed.xml"),
        ("feed://a.example/x", "http://a.example/x"),
        ("FEED:https://a.example/x", "https://a.example/x"),
        ("feed://https://a.example/x", "https://a.example/x"),
        ("feed:a.example", "http://a.example/"),
    ],
)
def test_an_address_is_taken_as_people_type_and_paste_it(typed, expected):
    assert typed_url(typed) == expected


@pytest.mark.parametrize(
    "typed", ["", "feed:", "feed://", "feed:ftp://a.example", "https://a b.example/"]
)
def test_what_is_typed_and_is_no_address_is_refused(typed):
    with pytest.raises(BadUrl):
        typed_url(typed)


# Scheduling


def test_scheduling_a_new_address_makes_feed_and_schedule():
    feed = schedule_feed(URL)
    schedule = ScheduledTask.objects.get()
    assert (schedule.function, schedule.args, schedule.interval) == (
        "feeds.fetch_rss",
        [feed.pk],
        900,
    )
    assert (feed.schedule, schedule.name, schedule.queue) == (schedule, URL, "feeds")


def test_scheduling_a_feed_again_changes_its_one_schedule():
    first = schedule_feed(URL)
    again = schedule_feed("HTTPS://feeds.example:443/news.xml", interval=60, queue="high")
    schedule = ScheduledTask.objects.get()
    assert again == first
    assert (again.schedule, schedule.interval, schedule.queue) == (first.schedule, 60, "high")


def test_scheduling_a_feed_again_keeps_everything_that_is_not_given():
    _, schedule = polled(URL, cron="0 6 * * *", timezone="Asia/Seoul", name="News")
    schedule.overlap, schedule.note = "wait", "slow server"
    SchedulerService.save(schedule)
    schedule_feed(URL, queue="low")
    schedule.refresh_from_db()
    assert (schedule.cron, schedule.timezone, schedule.name) == ("0 6 * * *", "Asia/Seoul", "News")
    assert (schedule.queue, schedule.overlap, schedule.note) == ("low", "wait", "slow server")


def test_scheduling_a_feed_again_keeps_excluded_dates_calendar_and_jitter():
    CalendarService.define("Holidays", "2030-01-01")
    limits: dict[str, Any] = {"exclude": "2030-05-05", "calendar": "Holidays", "jitter": 60}
    polled(URL, interval=900, timezone="Asia/Seoul", **limits)
    _, schedule = polled(URL, interval=1800)
    assert (schedule.exclude, str(schedule.calendar), schedule.jitter) == (
        "2030-05-05",
        "Holidays",
        60,
    )
    assert (schedule.interval, schedule.timezone) == (1800, "Asia/Seoul")


def test_scheduling_a_feed_with_another_name_renames_its_schedule():
    _, schedule = polled(URL)
    schedule_feed(URL, name="News")
    assert list(ScheduledTask.objects.values_list("pk", "name")) == [(schedule.pk, "News")]


def test_scheduling_a_feed_again_changes_every_field_that_is_given():
    _, schedule = polled(URL)
    CalendarService.define("Holidays", "2030-01-01")
    given: dict[str, Any] = {"timezone": "Asia/Seoul", "queue": "low", "name": "News"}
    schedule_feed(
        URL, cron="0 6 * * *", exclude="2030-05-05", calendar="Holidays", jitter=9, **given
    )
    fields = [*given, "cron", "interval", "first", "exclude", "calendar__name", "jitter"]
    (values,) = ScheduledTask.objects.filter(pk=schedule.pk).values(*fields)
    assert values == given | {
        "cron": "0 6 * * *",
        "interval": None,
        "first": None,
        "exclude": "2030-05-05",
        "calendar__name": "Holidays",
        "jitter": 9,
    }


def test_scheduling_a_feed_again_leaves_a_paused_schedule_paused():
    _, schedule = polled(URL)
    SchedulerService.pause(schedule)
    assert polled(URL, interval=60)[1].status == "paused"


@pytest.mark.parametrize("interval", [0, -60])
def test_an_invalid_interval_of_a_feed_is_refused(interval):
    with pytest.raises(InvalidSchedule) as caught:
        schedule_feed(URL, interval=interval)
    assert list(caught.value.errors) == ["interval"]
    assert not Feed.objects.exists()


def test_the_cron_schedule_of_a_feed_can_become_an_interval():
    schedule_feed(URL, cron="0 6 * * *")
    schedule_feed(URL, interval=60)
    schedule = ScheduledTask.objects.get()
    assert (schedule.cron, schedule.interval) == ("", 60)


def test_scheduling_a_feed_again_resumes_its_cancelled_schedule():
    _, schedule = polled(URL)
    SchedulerService.cancel(schedule)
    assert polled(URL)[1].status == "running"


def test_scheduling_a_feed_again_makes_its_failed_schedule_active():
    schedule_feed(URL)
    ScheduledTask.objects.update(status=ScheduledTask.Status.FAILED)
    feed = schedule_feed(URL)
    assert feed.schedule.status == ScheduledTask.Status.RUNNING
    assert ScheduledTask.objects.get().status == ScheduledTask.Status.RUNNING


def test_scheduling_a_feed_again_replaces_its_deleted_schedule():
    polled(URL)[1].delete()
    assert schedule_feed(URL).schedule == ScheduledTask.objects.get()


def test_the_first_time_stays_when_a_feed_is_scheduled_again(monkeypatch):
    first = polled(URL)[1].first
    later = timezone.now() + timedelta(days=1, seconds=77)
    monkeypatch.setattr(clock, "timestamp", later.timestamp)
    assert polled(URL)[1].first == first


def test_the_names_of_a_feed_and_its_schedule_show_no_credentials():
    feed, schedule = polled("https://me:secret@feeds.example/x")
    assert schedule.name == str(feed) == "https://•••@feeds.example/x"


def test_an_invalid_schedule_of_a_new_feed_leaves_no_feed_behind():
    with pytest.raises(InvalidSchedule, match="no queue"):
        schedule_feed(URL, queue="nowhere")
    assert not Feed.objects.exists()


@pytest.mark.parametrize("interval", [1, 60, 900, 86_400, 31_536_000])
def test_the_first_time_of_a_feed_is_within_one_interval(interval):
    for url in (URL, URL + "?2"):
        first = services.anchor(url, interval, NOW)
        assert NOW < first <= NOW + timedelta(seconds=interval)


def test_the_offset_of_a_feed_in_its_interval_does_not_depend_on_the_time():
    one, other = (services.anchor(URL, 900, NOW + timedelta(seconds=s)) for s in (0, 12_345))
    assert (other - one).total_seconds() % 900 == 0


def test_a_thousand_feeds_are_spread_over_the_interval():
    firsts = [services.anchor(f"{URL}?{i}", 900, NOW) for i in range(1000)]
    assert max(firsts.count(first) for first in firsts) < 10


# Removing


def test_removing_a_feed_removes_its_entries_and_its_schedule():
    feed = schedule_feed(URL)
    feed.entries.create(guid="a")
    services.remove_feed(URL)
    assert [model.objects.count() for model in (Feed, Entry, ScheduledTask)] == [0, 0, 0]


def test_deleting_feeds_by_a_queryset_removes_their_schedules_too():
    schedule_feed(URL)
    Feed.objects.all().delete()
    assert not ScheduledTask.objects.exists()


def test_removing_an_unknown_feed_is_refused():
    with pytest.raises(UnknownFeed, match="there is no such feed"):
        services.remove_feed(URL)
