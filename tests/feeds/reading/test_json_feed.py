import json
from datetime import UTC, datetime
from typing import Any

import pytest

from feeds.exceptions import NotAFeed
from feeds.reading.parser import parse
from feeds.reading.result import Enclosure, ParsedFeed

URL = "https://site.example/feed.json"
VERSION = "https://jsonfeed.org/version/1.1"


def read(items: Any = (), **feed: Any) -> ParsedFeed:
    values = {"version": VERSION, "title": "J", "items": items} | feed
    return parse(json.dumps(values).encode(), "application/feed+json", URL)


def test_a_json_feed_is_read():
    item = {
        "id": "1",
        "url": "/1",
        "title": "One & all",
        "content_html": '<p onclick="x">a <a href="b">b</a></p>',
        "summary": "s <",
        "image": "i.png",
        "date_published": "2024-02-03T12:00:00Z",
        "date_modified": "2024-02-04T12:00:00+01:00",
        "authors": [{"name": "Ann"}, {"name": "Bo"}],
        "tags": ["x", "y", "x"],
        "language": "de-AT",
        "attachments": [
            {
                "url": "/e.mp3",
                "mime_type": "audio/mpeg",
                "size_in_bytes": 12,
                "duration_in_seconds": 90.5,
            }
        ],
    }
    feed = read(
        [item],
        home_page_url="https://site.example/",
        feed_url=URL,
        icon="/i.png",
        language="en",
        hubs=[{"type": "WebSub", "url": "https://hub.example/"}],
    )
    (entry,) = feed.entries
    assert (feed.title, feed.link, feed.self_link) == ("J", "https://site.example/", URL)
    assert (feed.image, feed.language) == ("https://site.example/i.png", "en")
    assert feed.hub == "https://hub.example/"
    assert (entry.guid, entry.link, entry.title) == ("1", "https://site.example/1", "One & all")
    assert entry.content == (
        '<p>a <a href="https://site.example/b" rel="noopener noreferrer">b</a></p>'
    )
    assert entry.summary == "s &lt;"
    assert entry.published == datetime(2024, 2, 3, 12, tzinfo=UTC)
    assert entry.updated == datetime(2024, 2, 4, 11, tzinfo=UTC)
    assert (entry.author, entry.categories, entry.language) == ("Ann, Bo", ("x", "y"), "de-at")
    assert entry.image == "https://site.example/i.png"
    assert entry.enclosures == (
        Enclosure("https://site.example/e.mp3", "audio/mpeg", length=12, duration=90),
    )


def test_a_json_feed_of_version_1_has_one_author_who_is_inherited():
    feed = read(
        [{"id": "1"}, {"id": "2", "author": {"name": "Bo"}}],
        version="https://jsonfeed.org/version/1",
        author={"name": "Ann"},
    )
    assert [entry.author for entry in feed.entries] == ["Ann", "Bo"]


def test_a_json_feed_may_have_numbers_as_ids():
    assert [entry.guid for entry in read([{"id": 1}, {"id": 2}]).entries] == ["1", "2"]


def test_an_external_link_is_the_link_of_a_json_item_without_one():
    (entry,) = read([{"id": "1", "external_url": "https://a.example/"}]).entries
    assert entry.link == "https://a.example/"


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_json_feed_is_read_in_its_charset(charset):
    body = f'{{"version": "{VERSION}", "title": "Größe", "items": []}}'.encode(charset)
    assert parse(body, "", URL).title == "Größe"


@pytest.mark.parametrize("items", [None, {}, "x", [1, None, "x", []], [{}], [{"id": []}]])
def test_values_of_other_types_do_not_break_a_json_feed(items):
    assert read(items, authors="x", hubs=[1], language=[], title={}).title == ""


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{}",
        b'{"version": 1}',
        b'{"version": "1.1", "items": []}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_other_json_is_not_a_feed(body):
    with pytest.raises(NotAFeed):
        parse(body, "application/json", URL)
