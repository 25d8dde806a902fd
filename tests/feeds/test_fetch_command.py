import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from feeds.models import Entry, Feed, FeedHost
from tasks import clock
from tasks.models import ScheduledTask
from tests.feeds.documents import item, rss
from tests.feeds.polled import poll, polled
from tests.feeds.site import Site, answer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _allowed(site: Site, settings: Any) -> None:
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    site.pages["/feed.xml"] = answer(body=rss(item(1) + item(2)), ETag='"1"')


def fetch(*arguments: str) -> str:
    output = io.StringIO()
    call_command("fetch", *arguments, stdout=output)
    return output.getvalue()


def fetch_in_vain(*arguments: str) -> tuple[str, str]:
    output = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("fetch", *arguments, stdout=output)
    return output.getvalue(), str(caught.value)


def test_fetch_says_what_is_in_a_feed_and_stores_nothing(site):
    text = fetch(site.url())
    assert "“News”: 2 entries" in text
    assert "Item 1" in text
    assert not Feed.objects.exists()
    assert not Entry.objects.exists()


def test_fetch_explains_each_step_of_a_poll(site):
    site.pages["/old.xml"] = answer(301, Location="/feed.xml")
    lines = fetch(site.url("/old.xml"), "--explain").splitlines()
    assert lines[1] == "  No feed of this site is polled at this address."
    for step in (
        f"Request 1: GET {site.url('/old.xml')}",
        "  Its address is 127.0.0.1.",
        "  < 301",
        "  < Location: /feed.xml",
        f"Request 2: GET {site.url()}",
        "  < 200",
        '  < Etag: "1"',
        "  2 new, 0 updated and 0 unchanged entries",
        '  etag: – → "1"',
        f"  moving_to: – → {site.url()}",
        "Nothing has been stored.",
    ):
        assert step in lines, step


def test_fetch_explains_that_a_feed_is_adaptive_and_what_is_ignored(site):
    feed, _schedule = polled(site.url(), adaptive=True, ignores_hints=True)
    for day in (1, 3, 5):
        published = clock.now() - timedelta(days=day)
        Entry.objects.create(feed=feed, guid=f"{day}", published=published)
    text = fetch(site.url(), "--explain")
    assert "It is adaptive: asked by how often it publishes" in text
    assert "What is said of when something new is to be expected is ignored." in text
    assert "By how often it publishes, nothing new is to be expected before" in text


def test_fetch_shows_the_conditions_of_a_known_feed_and_leaves_it_as_it_is(site):
    feed, schedule = polled(site.url())
    poll(feed)
    site.pages["/feed.xml"] = answer(304, ETag='"2"', Cache_Control="max-age=7200")
    before = Feed.objects.values().get()
    text = fetch(site.url(), "--explain")
    assert f"It is polled by “{schedule.name}”, every 15 minutes." in text
    assert '> If-None-Match: "1"' in text
    assert "It is the one that was read last" in text
    assert 'etag: "1" → "2"' in text
    assert "nothing new is to be expected before" in text
    assert Feed.objects.values().get() == before
    assert Entry.objects.count() == 2


def test_fetch_explains_why_a_feed_fails_and_when_it_would_be_asked_again(site):
    polled(site.url())
    site.pages["/feed.xml"] = answer(410)
    text, error = fetch_in_vain(site.url(), "--explain")
    assert "410 Gone" in error
    assert "< 410" in text
    assert "gone_times: 0 → 1" in text
    assert "it is asked again after" in text
    assert Feed.objects.get().gone_times == 0


def test_fetch_shows_which_address_the_guard_refuses(site, settings):
    settings.FEEDS_ALLOWED_HOSTS = []
    text, error = fetch_in_vain(site.url(), "--explain")
    assert "Its address 127.0.0.1 is private: refused." in text
    assert "FEEDS_ALLOWED_HOSTS" in error


def test_fetch_shows_no_secrets(site):
    site.pages["/feed.xml"] = answer(
        body=rss(item(1)), Set_Cookie="id=hunter2", X_Auth_Token="hunter2"
    )
    url = site.url("/feed.xml?token=hunter2").replace("//", "//me:hunter2@")
    text = fetch(url, "--explain")
    assert "hunter2" not in text
    assert "Set-Cookie: •••" in text


def test_fetch_asks_although_an_occurrence_would_be_skipped(site):
    feed, _schedule = polled(site.url())
    later = clock.now() + timedelta(hours=1)
    Feed.objects.update(not_before=later, not_before_why="failures")
    text = fetch(feed.url, "--explain")
    assert "An occurrence that is due now would be skipped." in text
    assert "< 200" in text


def test_fetch_does_not_ask_a_host_that_wants_to_be_left_alone(site):
    later = clock.now() + timedelta(hours=1)
    FeedHost.objects.create(name="127.0.0.1", not_before=later, status=429)
    _text, error = fetch_in_vain(site.url(), "--explain")
    assert "Its host wants no requests before" in error
    assert site.requests == []


def test_fetch_refuses_what_is_no_address():
    assert "an address starts with http" in fetch_in_vain("ftp://a.example/")[1]


def test_fetch_of_a_feed_that_is_to_become_one_with_another_changes_neither(site):
    site.pages["/old.xml"] = answer(301, Location="/feed.xml")
    moved, _first = polled(site.url("/old.xml"))
    polled(site.url())
    long_ago = clock.now() - timedelta(days=3)
    Feed.objects.filter(pk=moved.pk).update(
        moving_to=site.url(), moving_since=long_ago, moving_times=2
    )
    assert "2 new" in fetch(site.url("/old.xml"), "--explain")
    assert Feed.objects.count() == 2
    assert set(ScheduledTask.objects.values_list("status", flat=True)) == {"running"}


def test_fetch_explains_whether_a_feed_is_pushed(site, settings):
    site.pages["/feed.xml"] = answer(body=rss(item(1)), Link='<https://hub.example/>; rel="hub"')
    hub = f"  Its hub is https://hub.example/, where it is known as {site.url()}."
    lines = fetch(site.url(), "--explain").splitlines()
    assert hub in lines
    assert not any("pushed" in line for line in lines), "The site has no public address."
    settings.FEEDS_PUBLIC_URL = "https://jobs.example"
    feed, _ = polled(site.url())
    assert "  Not pushed: no hub is known of it." in fetch(site.url(), "--explain").splitlines()
    poll(feed)
    lines = fetch(site.url(), "--explain").splitlines()
    assert lines.index("  Not pushed yet: its hub, hub.example, will be asked.") > lines.index(hub)
