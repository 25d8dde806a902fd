"""Entries of a document become rows: new ones, changed ones, and which may go."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds import storing
from feeds.exceptions import UnknownFeed
from feeds.keeping import retention
from feeds.models import Feed, Tombstone
from feeds.reading.parser import parse
from feeds.reading.result import Enclosure, ParsedEntry, ParsedFeed
from feeds.storing import Counts
from tasks import clock
from tasks.models import Tag
from tests.feeds.documents import rss

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
    feed.refresh_from_db()
    return storing.store(feed, parsed(*entries))


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
    storing.store(feed, parsed(), etag='W/"1"', last_modified="yesterday")
    feed.refresh_from_db()
    assert (feed.title, feed.link) == ("News", "https://a.example/")
    assert (feed.etag, feed.last_modified) == ('W/"1"', "yesterday")


def test_a_feed_keeps_its_title_and_link_when_a_document_has_none(feed):
    storing.store(feed, parsed())
    storing.store(feed, parsed(title="", link=""))
    feed.refresh_from_db()
    assert (feed.title, feed.link) == ("News", "https://a.example/")


def test_if_storing_an_entry_fails_nothing_of_the_feed_is_stored(feed):
    with pytest.raises(Exception, match="guid"):
        storing.store(feed, parsed(entry("a"), entry("")), etag="etag")
    feed.refresh_from_db()
    assert (feed.etag, feed.entries.count()) == ("", 0)


def test_storing_a_feed_that_was_removed_meanwhile_fails_with_advice():
    with pytest.raises(UnknownFeed, match="Delete its schedule"):
        storing.store(Feed(pk=0), parsed())


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


def test_what_an_entry_says_is_stored(feed):
    clip = Enclosure("https://a.example/1.mp3", "audio/mpeg", 1_000, 60)
    store(
        feed,
        entry(
            "a",
            categories=("sea", "ships"),
            enclosures=(clip,),
            image="https://a.example/1.png",
            comments="https://a.example/1#talk",
            language="de",
        ),
    )
    stored = feed.entries.get()
    assert (stored.categories, stored.language) == (["sea", "ships"], "de")
    assert stored.enclosures == [
        {"url": clip.url, "type": "audio/mpeg", "length": 1_000, "duration": 60}
    ]
    assert (stored.image, stored.comments) == (
        "https://a.example/1.png",
        "https://a.example/1#talk",
    )


def test_an_entry_without_a_language_has_that_of_its_feed(feed):
    storing.store(feed, ParsedFeed("News", "", (entry("a"),), language="ko"))
    assert feed.entries.get().language == "ko"


# Dates


@pytest.mark.parametrize(
    "values",
    [
        {"published": NOW + timedelta(days=99_999), "published_text": "Tue, 20 Dec 2298"},
        {"published_text": "yesterday, or so", "updated": NOW},
        {"updated": NOW + timedelta(days=99_999)},
    ],
)
def test_a_date_that_is_in_the_future_or_unreadable_gives_way_to_first_seen(feed, values):
    store(feed, entry("a", **values))
    stored = feed.entries.get()
    assert stored.published == stored.first_seen
    assert stored.published_text == values.get("published_text", "")


def test_an_entry_that_only_says_when_it_was_updated_was_published_then(feed):
    store(feed, entry("a", updated=NOW))
    assert feed.entries.get().published == NOW


@pytest.mark.parametrize("first", [None, NOW])
def test_an_edit_of_an_entry_never_moves_its_date(feed, first):
    store(feed, entry("a", "old", published=first, published_text="then"))
    before = feed.entries.get()
    later = NOW + timedelta(days=1)
    assert store(feed, entry("a", "new", published=later, published_text="now")).updated == 1
    after = feed.entries.get()
    assert (after.published, after.published_text) == (before.published, "then")


# Guids of another form


def test_a_feed_whose_guids_change_from_http_to_https_is_not_stored_twice(feed):
    old = [entry(f"http://www.site.example/?p={n}", f"{n}") for n in range(5)]
    new = [replace(one, guid=one.guid.replace("http://www.", "https://")) for one in old]
    store(feed, *old)
    assert store(feed, *new) == Counts(unchanged=5)
    edited = replace(new[0], title="edited", digest="edited")
    assert store(feed, edited, *new[1:]) == Counts(updated=1, unchanged=4)
    assert feed.entries.count() == 5


def test_a_feed_that_has_moved_to_another_host_can_change_its_entries_and_move_on(feed):
    hosts = ["old.example", "new.example", "newest.example"]
    documents = [
        [entry(f"https://{host}/{n}", f"{n}", published=NOW) for n in range(5)] for host in hosts
    ]
    store(feed, *documents[0])
    for document in documents[1:]:
        assert store(feed, *document) == Counts(unchanged=5)
        edited = replace(document[0], title=f"edited {document[0].guid}", digest=document[0].guid)
        assert store(feed, edited, *document[1:]) == Counts(updated=1, unchanged=4)
        store(feed, *document)
    assert feed.entries.count() == 5


# Guids that depend on the other entries of a document


def read(*items: str) -> tuple[ParsedEntry, ...]:
    return parse(rss("".join(f"<item>{item}</item>" for item in items)), "", URL).entries


def shared(link: int, title: str) -> str:
    return f"<guid>g</guid><link>https://a.example/{link}</link><title>{title}</title>"


def status(title: str, text: str = "") -> str:
    page = "<link>https://a.example/status</link>"
    return f"{page}<title>{title}</title><description>{text}</description>"


def test_all_entries_of_a_page_with_one_link_are_stored(feed):
    items = [status(f"Incident {number}") for number in range(5)]
    assert store(feed, *read(*items)) == Counts(new=5)
    assert store(feed, *read(status("Incident 5"), *items)) == Counts(new=1, unchanged=5)


def test_an_entry_stays_the_same_when_others_with_its_guid_come_and_go(feed):
    store(feed, *read(shared(1, "one"), shared(2, "two")))
    assert store(feed, *read(shared(2, "edited"))) == Counts(updated=1)
    assert store(feed, *read(shared(1, "edited"))) == Counts(updated=1)
    both = store(feed, *read(shared(3, "three"), shared(2, "edited"), shared(1, "again")))
    assert both == Counts(new=1, updated=1, unchanged=1)


def test_an_entry_that_gets_neighbours_with_its_guid_or_link_stays_the_same(feed):
    store(feed, *read(shared(1, "one"), status("up")))
    more = read(shared(2, "two"), shared(1, "edited"), status("down"), status("up", "edited"))
    assert store(feed, *more) == Counts(new=2, updated=2)
    assert store(feed, *more) == Counts(unchanged=4)
    assert store(feed, *read(status("down"))) == Counts(unchanged=1)


def test_an_edit_of_an_entry_that_only_its_text_tells_from_others_is_no_other_entry(feed):
    store(feed, *read(status("one"), status("two")))
    edited = read(status("one", "edited"), status("two"))
    assert store(feed, *edited) == Counts(updated=1, unchanged=1)


def test_a_new_entry_of_a_page_with_one_link_is_none_that_is_gone(feed):
    store(feed, *read(status("one")))
    assert store(feed, *read(status("three"), status("two"))) == Counts(new=2)
    assert store(feed, *read(status("four"), status("three"), status("two"))).new == 1


polls = st.lists(
    st.dictionaries(st.integers(0, 3), st.sampled_from("abc"), min_size=1), min_size=1, max_size=6
)


@settings(max_examples=30)
@given(polls)
def test_no_edit_makes_an_entry_another_one_whoever_comes_and_goes(polls):
    # First all are there: a guid that is alone is the same entry with whatever link.
    feed = Feed.objects.create(url=f"{URL}?{uuid.uuid4()}")
    store(feed, *read(*(shared(link, "first") for link in range(4))))
    before = dict(feed.entries.values_list("link", "pk"))
    for poll in polls:
        assert store(feed, *read(*(shared(link, title) for link, title in poll.items()))).new == 0
    assert dict(feed.entries.values_list("link", "pk")) == before


# Entries that change at every fetch


def test_an_entry_that_changes_at_every_fetch_is_stored_once_a_day_in_the_end(feed, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)
    store(feed, entry("a"))
    stored = [store(feed, entry("a", f"{n}")).updated for n in range(30)]
    assert stored == [1] * 24 + [0] * 6
    monkeypatch.setattr(clock, "now", lambda: NOW + timedelta(days=1))
    assert [store(feed, entry("a", f"tomorrow {n}")).updated for n in range(3)] == [1, 0, 0]
    assert feed.entries.get().title == "tomorrow 0"


# What is kept


def dated(*days: int) -> list[ParsedEntry]:
    return [entry(f"{day}", published=NOW + timedelta(days=day)) for day in days]


def guids(feed: Feed) -> set[str]:
    return set(feed.entries.values_list("guid", flat=True))


def test_the_newest_entries_are_kept_and_those_that_the_feed_lists(feed, settings):
    settings.FEEDS_KEEP_ENTRIES = {"number": 2}
    assert store(feed, *dated(0, 1, 2, 3, 4)).pruned == 0
    assert store(feed, *dated(0, 5)) == Counts(new=1, unchanged=1, pruned=2)
    assert guids(feed) == {"0", "3", "4", "5"}


def test_a_feed_can_keep_other_numbers_of_entries_than_the_site(feed, settings):
    settings.FEEDS_KEEP_ENTRIES = {"number": 2}
    for number, kept in ((None, {"5", "3", "4"}), (1, {"5", "4"}), (0, {*"012345"})):
        feed.entries.all().delete()
        Tombstone.objects.all().delete()
        Feed.objects.update(keep_entries=number)
        store(feed, *dated(0, 1, 2, 3, 4))
        store(feed, *dated(5))
        assert guids(feed) == kept


def test_what_is_no_longer_kept_does_not_come_back(feed, settings):
    settings.FEEDS_KEEP_ENTRIES = {"number": 10}
    store(feed, *dated(*range(50)))
    store(feed, *dated(50))
    assert feed.entries.count() == 11
    assert store(feed, *dated(*range(51))) == Counts(unchanged=51)
    assert feed.entries.count() == 11


def undated(form: str, link: str = "") -> list[ParsedEntry]:
    return [
        replace(entry(form.format(n), f"Title {n}"), title=f"Title {n}", link=link.format(n))
        for n in range(4)
    ]


LINK = "https://a.example/post/{}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (undated("https://a.example/{}"), undated("https://b.example/{}")),
        (undated(LINK, LINK), undated("id {}", LINK)),
        (undated("id {}", LINK), undated(LINK, LINK)),
    ],
    ids=["another host", "links become ids", "ids become links"],
)
def test_what_has_no_date_and_is_no_longer_kept_does_not_come_back_either(feed, settings, old, new):
    settings.FEEDS_KEEP_ENTRIES = {"number": 1}
    store(feed, *old)
    store(feed, entry("latest"))
    assert feed.entries.count() == 2
    assert store(feed, *new) == Counts(unchanged=4)
    assert feed.entries.count() == 2


def test_undated_entries_with_new_ids_and_one_common_link_are_new(feed, settings):
    settings.FEEDS_KEEP_ENTRIES = {"number": 1}
    home = "https://a.example/"
    store(feed, *(replace(one, title="Update") for one in undated("id {}", home)))
    store(feed, entry("latest"))
    assert store(feed, *(replace(one, title="Update") for one in undated("no {}", home))).new == 4


@pytest.mark.parametrize("host", ["https://site.example", "https://moved.example"])
def test_what_is_no_longer_kept_does_not_come_back_in_another_form(feed, settings, host):
    settings.FEEDS_KEEP_ENTRIES = {"number": 1}
    old = [
        entry(f"http://www.site.example/{n}", f"{n}", published=NOW - timedelta(days=n))
        for n in range(5)
    ]
    store(feed, *old)
    store(feed, entry("latest"))
    assert feed.entries.count() == 2
    moved = [replace(one, guid=f"{host}/{one.title}") for one in old]
    assert store(feed, *moved) == Counts(unchanged=5)
    edited = [replace(one, published=None, digest="edited") for one in moved]
    assert store(feed, *edited[1:]) == Counts(unchanged=4)


def test_what_is_no_longer_kept_does_not_come_back_with_ids_for_links(feed, settings, monkeypatch):
    settings.FEEDS_KEEP_ENTRIES = {"days": 30}
    links = [f"https://a.example/{number}" for number in range(3)]
    old = [entry(link, link, link=link, published=NOW) for link in links]
    store(feed, *old)
    later = clock.now() + timedelta(days=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert storing.prune(feed) == 3
    listed = [replace(one, guid=f"{number}") for number, one in enumerate(old)]
    assert store(feed, *listed) == Counts(unchanged=3)
    edited = [replace(one, title="edited", digest="edited") for one in listed]
    assert store(feed, *edited) == Counts(unchanged=3)
    others = [replace(one, guid=f"other {one.guid}") for one in edited]
    assert store(feed, *others) == Counts(new=3)


def test_what_is_no_longer_kept_does_not_come_back_when_others_with_its_guid_do(feed, settings):
    settings.FEEDS_KEEP_ENTRIES = {"days": 30}
    store(feed, *read(shared(1, "one")))
    feed.entries.update(first_seen=NOW)
    assert storing.prune(feed) == 1
    assert store(feed, *read(shared(1, "one"), shared(2, "two"))) == Counts(1, unchanged=1)
    feed.entries.update(first_seen=NOW)
    assert storing.prune(feed) == 1
    assert store(feed, *read(shared(2, "edited"))) == Counts(unchanged=1)


def test_entries_are_kept_for_so_many_days_from_when_they_were_first_seen(
    feed, settings, monkeypatch
):
    settings.FEEDS_KEEP_ENTRIES = {"days": 30}
    store(feed, *dated(0, 1))
    assert (storing.prune(feed), feed.entries.count()) == (0, 2)
    later = clock.now() + timedelta(days=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert (storing.prune(feed), feed.entries.count()) == (2, 0)
    assert store(feed, *dated(0, 1, 2)) == Counts(new=1, unchanged=2)


def test_starred_entries_are_kept_in_any_case(feed, settings, monkeypatch):
    settings.FEEDS_KEEP_ENTRIES = {"days": 30, "number": 1}
    store(feed, *dated(0, 1))
    feed.entries.filter(guid="0").update(starred=True)
    later = clock.now() + timedelta(days=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    store(feed, *dated(2, 3))
    store(feed, *dated(4))
    assert guids(feed) == {"0", "3", "4"}


def test_entries_with_a_tag_of_their_own_are_kept_in_any_case(feed, settings, monkeypatch):
    settings.FEEDS_KEEP_ENTRIES = {"days": 30, "number": 1}
    tag = Tag.objects.create(name="to-read")
    feed.tags.add(tag)
    store(feed, *dated(0, 1))
    feed.entries.get(guid="0").tags.add(tag)
    later = clock.now() + timedelta(days=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    store(feed, *dated(2, 3))
    store(feed, *dated(4))
    assert guids(feed) == {"0", "3", "4"}


def test_starred_entries_take_no_place_of_others(feed, settings):
    settings.FEEDS_KEEP_ENTRIES = {"number": 1}
    store(feed, *dated(0, 1, 2))
    feed.entries.filter(guid="2").update(starred=True)
    store(feed, *dated(3))
    assert guids(feed) == {"1", "2", "3"}


def test_without_a_limit_of_days_a_poll_that_stores_nothing_asks_nothing(
    feed, django_assert_num_queries
):
    with django_assert_num_queries(0):
        assert storing.prune(feed) == 0


def test_the_tombstones_of_a_feed_are_limited_and_those_of_listed_entries_stay(
    feed, settings, monkeypatch
):
    monkeypatch.setattr(retention, "MOST_TOMBSTONES", 3)
    settings.FEEDS_KEEP_ENTRIES = {"number": 1}
    for first in range(0, 20, 2):
        store(feed, *dated(-1, first, first + 1))
    assert Tombstone.objects.count() == 3
    Feed.objects.update(keep_days=1)
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    for first in range(20, 40, 2):
        store(feed, *dated(-1, first, first + 1))
    assert "-1" not in guids(feed)
    assert Tombstone.objects.count() <= 3 + 1


def test_the_queries_of_a_poll_do_not_grow_with_its_entries():
    counts = []
    for many in (1, 40):
        feed = Feed.objects.create(url=f"{URL}?{many}")
        store(feed, *(entry(f"{i}", "old") for i in range(many)))
        with CaptureQueriesContext(connection) as queries:
            store(feed, *(entry(f"{i}", "new") for i in range(many)))
        counts.append(len(queries))
    assert counts[0] == counts[1]
