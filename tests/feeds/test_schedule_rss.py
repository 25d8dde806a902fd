from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisUnavailable

from feeds.models import Feed
from feeds.services import schedule_feed
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.services import CalendarService, SchedulerService
from tests.feeds.polled import polled

pytestmark = pytest.mark.django_db(transaction=True)

A = "https://a.example/feed.xml"
B = "https://b.example/feed.xml"


def schedule_rss(*args: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("schedule_rss", *args, stdout=out, stderr=err, no_color=True)
    return out.getvalue(), err.getvalue()


def finished_run(url: str, **values: Any) -> ScheduledTaskInstance:
    now = timezone.now()
    defaults = {"status": "finished", "started": now, "ended": now, "requested": now} | values
    return ScheduledTaskInstance.objects.create(parent=polled(url)[1], name="x", **defaults)


def test_schedule_rss_gives_each_feed_a_schedule_and_prints_a_line(redis_connection):
    out, err = schedule_rss(A, B)
    assert [line.partition(", next at ")[0] for line in out.splitlines()] == [
        f"{A}: every 15 minutes",
        f"{B}: every 15 minutes",
    ]
    assert not err
    assert all(schedule.next_due(timezone.now()) for schedule in ScheduledTask.objects.all())


def test_how_a_feed_is_asked_is_said_and_taken_back():
    def asked() -> tuple[bool, bool]:
        feed = Feed.objects.get()
        return feed.adaptive, feed.ignores_hints

    schedule_rss(A)
    assert asked() == (False, False)
    schedule_rss(A, "--adaptive", "--ignore-hints")
    assert asked() == (True, True)
    schedule_rss(A, "--every", "1h")
    assert asked() == (True, True)
    schedule_rss(A, "--no-adaptive", "--no-ignore-hints")
    assert asked() == (False, False)


def test_tags_of_a_feed_are_those_of_its_schedule_too():
    schedule_rss(A, "--tag", "news", "--tag", "eu")
    schedule_rss(A, "--tag", "news")
    [feed] = Feed.objects.all()
    assert feed.schedule is not None
    for tagged in (feed, feed.schedule):
        assert [tag.name for tag in tagged.tags.all()] == ["news"]
    schedule_rss(A)
    assert feed.tags.count() == 1
    with pytest.raises(CommandError, match="two words"):
        schedule_rss(B, "--tag", "two words")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--every", "90s"], {"interval": 90}),
        (["--cron", "30 6 * * *", "--timezone", "Asia/Seoul"], {"timezone": "Asia/Seoul"}),
        (["--queue", "low"], {"queue": "low"}),
        (["--exclude", "2030-12-26, 2030-12-24"], {"exclude": "2030-12-24\n2030-12-26"}),
        (["--calendar", "Holidays"], {"calendar__name": "Holidays"}),
        (["--calendar", "Holidays", "--timezone", "Asia/Seoul"], {"timezone": "Asia/Seoul"}),
        (["--jitter", "10m"], {"jitter": 600}),
        (["--name", "News"], {"name": "News"}),
    ],
)
def test_options_of_schedule_rss_reach_the_schedule(options, expected):
    CalendarService.define("Holidays", "2030-01-01")
    schedule_rss(A, *options)
    (stored,) = ScheduledTask.objects.values(*expected)
    assert stored == expected


def test_schedule_rss_twice_with_the_same_address_makes_one_schedule():
    schedule_rss(A)
    schedule_rss("HTTPS://A.example:443/feed.xml", "--every", "1h")
    assert ScheduledTask.objects.get().interval == 3600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([A, "ftp://b.example/"], "starts with http:// or https://"),
        ([A, "--every", "0s"], "second"),
        ([A, "--every", "0.5"], "0.5"),
        ([A, "--every", "often"], "often"),
        ([A, "--every", "-5m"], "--every"),
        ([A, "--nonsense"], "--nonsense"),
        ([A, "--cron", "61 * * * *"], "61"),
        ([A, "--cron", ""], ""),
        ([A, "--cron", "* * * * *", "--timezone", "Mars/Olympus"], "Mars/Olympus"),
        ([A, "--queue", "nowhere"], "no queue “nowhere”"),
        ([A, B, "--name", "News"], "one feed"),
        ([A, "--every", "1h", "--cron", "* * * * *"], "either"),
        ([A, "--timezone", "UTC"], "give one of them"),
        ([A, "--exclude", "christmas"], "christmas"),
        ([A, "--calendar", "nowhere"], "no calendar “nowhere”"),
        ([A, "--jitter", "0s"], "second"),
        ([A, "--jitter", "16m"], "longer than the interval"),
        ([], "Give the address"),
        (["--remove", A], "no such feed"),
    ],
)
def test_schedule_rss_reports_a_mistake_in_one_line_and_stores_nothing(arguments, message):
    with pytest.raises(CommandError) as caught:
        schedule_rss(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.returncode == 1
    assert not Feed.objects.exists()
    assert not ScheduledTask.objects.exists()


def test_schedule_rss_with_one_invalid_address_leaves_the_other_feeds_as_they_were():
    schedule_rss(A)
    with pytest.raises(CommandError):
        schedule_rss(A, "nonsense", "--every", "1h")
    assert ScheduledTask.objects.get().interval == 900


def test_schedule_rss_now_also_enqueues_a_run_of_each_feed(redis_connection):
    out, _ = schedule_rss(A, B, "--now")
    assert f"{A} runs now." in out
    assert redis_connection.llen("rq:queue:feeds") == 2


def test_schedule_rss_without_redis_says_that_it_takes_effect_later(monkeypatch):
    def unavailable() -> None:
        raise RedisUnavailable("unavailable")

    monkeypatch.setattr("tasks.changes.projecting.connect_as_owner", unavailable)
    _, err = schedule_rss(A)
    assert "takes effect once Redis is back" in err
    assert ScheduledTask.objects.count() == 1


def test_schedule_rss_says_that_a_schedule_is_paused():
    SchedulerService.pause(polled(A)[1])
    assert "nothing is due: its schedule is paused." in schedule_rss(A)[0]


def test_schedule_rss_shows_no_credentials():
    out, _ = schedule_rss("https://me:secret@a.example/", "--now")
    assert "secret" not in out + schedule_rss("--list")[0]
    assert "https://•••@a.example/" in out


def test_the_list_of_feeds_shows_when_each_is_due_next_and_its_last_result():
    finished_run(A, result={"new": 3, "updated": 1, "unchanged": 0, "status": 200})
    failure = "feeds.exceptions.HostNotFound"
    finished_run(B, status="failed", exception_class=failure)
    head, first, second = schedule_rss("--list")[0].splitlines()
    assert head.split() == ["Feed", "When", "Next", "due", "Last", "result"]
    assert first.startswith(f"{A}  ")
    assert first.endswith("3 new, 1 changed")
    assert "every 15 minutes" in first
    assert second.endswith("failed: HostNotFound")


def test_the_list_of_feeds_fits_100_columns_and_cuts_no_address():
    long_address = f"https://a.example/{'x' * 150}"
    schedule_feed(long_address, cron="*/7 1-5 * * MON-FRI")
    schedule_feed(B, name="한국어 " * 3)
    lines = schedule_rss("--list")[0].splitlines()
    assert long_address in lines
    assert max(len(line) for line in lines if line != long_address) <= 100


def test_the_list_of_feeds_shows_feeds_without_schedule():
    polled(A)[1].delete()
    assert "not scheduled" in schedule_rss("--list")[0]


def test_an_empty_list_of_feeds_says_what_to_do():
    assert "schedule_rss URL" in schedule_rss("--list")[0]


def test_the_list_of_feeds_takes_three_queries_for_any_number_of_feeds(django_assert_num_queries):
    for number in range(10):
        finished_run(f"{A}?{number}")
    with django_assert_num_queries(3):  # One asks whether there are tables.
        schedule_rss("--list")


def test_schedule_rss_removes_a_feed():
    schedule_rss(A, B)
    out, _ = schedule_rss("--remove", A)
    assert out == f"{A} is removed.\n"
    assert [feed.url for feed in Feed.objects.all()] == [B]
    assert ScheduledTask.objects.count() == 1


SECRET = "https://me:hunter2@a.example/feed.xml?token=hunter2"
SHOWN = "https://•••@a.example/feed.xml?token=•••"


def test_a_feed_with_a_secret_is_removed_by_the_address_that_is_listed():
    schedule_rss(SECRET, B)
    assert SHOWN in schedule_rss("--list")[0]
    assert schedule_rss("--remove", SHOWN)[0] == f"{SHOWN} is removed.\n"
    assert [feed.url for feed in Feed.objects.all()] == [B]


def test_of_several_feeds_that_are_listed_alike_none_is_removed():
    schedule_rss(SECRET, "--name", "mine")
    schedule_rss(SECRET.replace("hunter2", "other"), "--name", "yours")
    with pytest.raises(
        CommandError, match=r"several feeds are shown so: \d+ “mine”, \d+ “yours”\."
    ):
        schedule_rss("--remove", SHOWN)
    assert Feed.objects.count() == 2
    schedule_rss("--remove", SECRET)
    assert ScheduledTask.objects.get().name == "yours"
