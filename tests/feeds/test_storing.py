"""Entries of a document become rows: new ones, changed ones, and which may go."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from feeds import storing
from feeds.exceptions import UnknownFeed
from feeds.models import Feed
from feeds.reading.result import ParsedEntry, ParsedFeed
from feeds.storing import Counts

pytestmark = pytest.mark.django_db

URL = "https://feeds.example/news.xml"
NOW = datetime(2025, 3, 4, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def feed() -> Feed:
    return Feed.objects.create(url=URL)


def entry(guid: str, title: str = "", **values: Any) -> ParsedEntry:
    texts = {"link": "", "author": "", "summary": "", "content": ""}
    times = {"published": None, "updated": None}
    return ParsedEntry(guid=guid, title=title, digest=title or guid, **texts | times | values)


def parsed(*entries: ParsedEntry, title: str = "News", link: str = "https://a.example/"):
    return ParsedFeed(title, link, entries)


def store(feed: Feed, *entries: ParsedEntry) -> Counts:
    return storing.store(feed.pk, parsed(*entries))


def test_new_entries_of_a_feed_are_stored(feed):
    assert store(feed, entry("a"), entry("b")) == Counts(new=2)
    assert feed.entries.count() == 2


def test_storing_the_same_feed_document_again_changes_nothing(feed):
    store(feed, entry("a"), entry("b"))
    before = list(feed.entries.values())
    assert store(feed, entry("a"), entry("b")) == Counts(unchanged=2)
    assert list(feed.entries.values()) == before


def test_a_changed_entry_is_updated_in_place(feed):
    store(feed, entry("a", "old"), entry("b"))
    before = feed.entries.get(guid="a")
    assert store(feed, entry("a", "new"), entry("b"), entry("c")) == Counts(1, 1, 1)
    after = feed.entries.get(guid="a")
    assert (after.pk, after.first_seen, after.title) == (before.pk, before.first_seen, "new")


def test_of_two_entries_with_the_same_guid_the_first_counts(feed):
    assert store(feed, entry("a", "first"), entry("a", "second")) == Counts(new=1)
    assert feed.entries.get().title == "first"


def test_entries_of_two_feeds_can_have_the_same_guid(feed):
    other = Feed.objects.create(url="https://other.example/")
    store(feed, entry("a"))
    assert store(other, entry("a")) == Counts(new=1)


def test_validators_title_and_link_of_a_feed_are_stored_with_the_entries(feed):
    storing.store(feed.pk, parsed(), etag='W/"1"', last_modified="yesterday")
    feed.refresh_from_db()
    assert (feed.title, feed.link) == ("News", "https://a.example/")
    assert (feed.etag, feed.last_modified) == ('W/"1"', "yesterday")


def test_a_feed_keeps_its_title_and_link_when_a_document_has_none(feed):
    storing.store(feed.pk, parsed())
    storing.store(feed.pk, parsed(title="", link=""))
    feed.refresh_from_db()
    assert (feed.title, feed.link) == ("News", "https://a.example/")


def test_if_storing_an_entry_fails_nothing_of_the_feed_is_stored(feed):
    with pytest.raises(Exception, match="guid"):
        storing.store(feed.pk, parsed(entry("a"), entry("")), etag="etag")
    feed.refresh_from_db()
    assert (feed.etag, feed.entries.count()) == ("", 0)


def test_storing_a_feed_that_was_removed_meanwhile_fails_with_advice():
    with pytest.raises(UnknownFeed, match="Delete its schedule"):
        storing.store(0, parsed())


def test_an_entry_without_a_date_was_published_when_it_was_first_seen(feed):
    store(feed, entry("a"))
    seen = feed.entries.get().first_seen
    store(feed, entry("a", "changed"))
    assert feed.entries.get().published == seen


def test_an_entry_has_the_dates_that_the_feed_gives_it(feed):
    store(feed, entry("a", published=NOW, updated=NOW + timedelta(days=1)))
    stored = feed.entries.get()
    assert (stored.published, stored.updated) == (NOW, NOW + timedelta(days=1))


def test_no_entry_is_published_in_the_future(feed):
    store(feed, entry("a", published=datetime(2099, 1, 1, tzinfo=UTC)))
    assert feed.entries.get().published <= timezone.now()


def test_the_first_entry_of_a_document_comes_first(feed):
    store(feed, entry("new"), entry("old"))
    assert [stored.guid for stored in feed.entries.all()] == ["new", "old"]


def test_of_entries_that_a_feed_no_longer_lists_the_newest_are_kept(feed, monkeypatch):
    monkeypatch.setattr(storing, "KEEP_ENTRIES", 2)
    dated = [entry(f"{day}", published=NOW + timedelta(days=day)) for day in range(5)]
    store(feed, *dated)
    store(feed, dated[0])
    assert {stored.guid for stored in feed.entries.all()} == {"0", "3", "4"}


def test_the_queries_of_a_poll_do_not_grow_with_its_entries():
    counts = []
    for many in (1, 40):
        feed = Feed.objects.create(url=f"{URL}?{many}")
        store(feed, *(entry(f"{i}", "old") for i in range(many)))
        with CaptureQueriesContext(connection) as queries:
            store(feed, *(entry(f"{i}", "new") for i in range(many)))
        counts.append(len(queries))
    assert counts[0] == counts[1]
