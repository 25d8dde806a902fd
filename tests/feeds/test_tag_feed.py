"""The Atom feed of the entries of all feeds with a tag."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from feeds import parsing, syndication
from feeds.models import Entry, Feed
from feeds.reading.result import ParsedFeed
from tasks.models import Tag, TagUser
from tests.tasks.pages import staff

pytestmark = pytest.mark.django_db

URL = "/feeds/tag/sea/ships/"
PUBLISHED = datetime(2025, 3, 4, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def public(settings: LazySettings) -> None:
    """Let everybody read what has the tag."""
    settings.FEEDS_PUBLIC_TAGS = ["sea/ships"]


@pytest.fixture
def tag() -> Tag:
    return Tag.objects.create(name="sea/ships")


@pytest.fixture
def feed(tag: Tag) -> Feed:
    feed = Feed.objects.create(url="https://a.example/feed.xml", title="Harbour <news>")
    feed.tags.add(tag)
    return feed


def make(feed: Feed, title: str = "", ago: int = 0, **values: Any) -> Entry:
    values = {"digest": title, "published": PUBLISHED - timedelta(hours=ago)} | values
    return Entry.objects.create(feed=feed, guid=f"{Entry.objects.count()}", title=title, **values)


def read(client: Client) -> ParsedFeed:
    response = client.get(URL)
    assert response.status_code == 200
    return parsing.parse(response.content, response["Content-Type"], "http://testserver/")


def test_the_entries_of_all_feeds_with_a_tag_are_one_feed(client, tag, feed):
    other = Feed.objects.create(url="https://b.example/")
    other.tags.add(tag)
    make(Feed.objects.create(url="https://c.example/"), "untagged")
    make(feed, "A & <b>", 1, link="https://a.example/1", content="<p>Text</p>", author="Grace")
    make(other, "B", 0, summary="<p>Short</p>")
    found = read(client)
    assert found.title == "sea/ships"
    assert [entry.title for entry in found.entries] == ["B", "A & <b>"]
    entry = found.entries[1]
    assert (entry.link, entry.summary) == ("https://a.example/1", "<p>Text</p>")
    assert (entry.author, entry.published) == ("Grace", PUBLISHED - timedelta(hours=1))


def test_an_entry_keeps_its_id_in_the_feed_of_a_tag_when_it_changes(client, feed):
    entry = make(feed, "A")
    before = read(client).entries[0].guid
    Entry.objects.filter(pk=entry.pk).update(title="B", guid="other", changed=PUBLISHED)
    assert read(client).entries[0].guid == before


def test_the_feed_of_a_tag_shows_no_secrets(client, feed):
    secret = "https://a.example/?token=abcdefgh"
    Feed.objects.update(link=secret, url=f"{secret}&x=1")
    files = [{"url": secret, "type": "audio/mpeg"}]
    make(feed, secret, link=secret, content=f'<a href="{secret}">x</a>', enclosures=files)
    assert "abcdefgh" not in client.get(URL).content.decode()


def test_the_feed_of_a_tag_is_only_for_whom_it_is_meant(client, tag, feed, settings):
    assert client.get("/feeds/tag/other/").status_code == 404
    assert client.get(URL).status_code == 200
    settings.FEEDS_PUBLIC_TAGS = ["other"]
    assert client.get(URL).status_code == 404
    user = staff("view_entry")
    client.force_login(user)
    assert client.get(URL)["Cache-Control"] == "private"
    TagUser.objects.create(tag=Tag.objects.create(name="theirs"), user_id=user.pk)
    assert client.get(URL).status_code == 404
    user.user_permissions.clear()
    TagUser.objects.all().delete()
    assert client.get(URL).status_code == 404


def test_a_request_for_an_unchanged_feed_of_a_tag_is_answered_with_304(client, feed):
    make(feed, "A")
    first = client.get(URL)
    for header, validator in (("if-none-match", "ETag"), ("if-modified-since", "Last-Modified")):
        again = client.get(URL, headers={header: first[validator]})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]


@pytest.mark.parametrize("change", ["new", "edited", "deleted", "renamed feed", "untagged"])
def test_a_changed_feed_of_a_tag_is_sent(client, feed, change):
    entry = make(feed, "A")
    before = {"if-none-match": client.get(URL)["ETag"]}
    match change:
        case "new":
            make(feed, "B")
        case "edited":
            Entry.objects.update(digest="edited")
        case "deleted":
            entry.delete()
        case "renamed feed":
            Feed.objects.update(title="Renamed")
        case "untagged":
            feed.tags.clear()
    assert client.get(URL, headers=before).status_code == 200


def test_the_feed_of_a_tag_takes_a_few_queries_and_an_unchanged_one_two(
    client, feed, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr(syndication, "LATEST", 10)
    for number in range(20):
        make(feed, f"{number}", number)
    with django_assert_num_queries(4):
        assert len(read(client).entries) == 10
    etag = client.get(URL)["ETag"]
    with django_assert_num_queries(2):
        assert client.get(URL, headers={"if-none-match": etag}).status_code == 304
