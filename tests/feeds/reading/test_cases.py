"""Documents as they are in the wild, each with the right value of what it is about.

They are in `data/cases`, and lie at the same address as those of people who reported them did.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from feeds.exceptions import FoundFeed, NotAFeed
from feeds.reading.parser import parse
from feeds.reading.result import Enclosure, ParsedFeed
from tests.feeds.documents import DATA, document

URL = "http://site.example/feeds/all.xml"
SITE = "http://site.example"


def read(name: str, content_type: str = "application/xml") -> ParsedFeed:
    return parse(document(f"cases/{name}"), content_type, URL)


def each(field: str) -> Callable[[ParsedFeed], list[Any]]:
    return lambda feed: [getattr(entry, field) for entry in feed.entries]


def html(feed: ParsedFeed) -> str:
    return feed.entries[0].content or feed.entries[0].summary


def count(feed: ParsedFeed) -> int:
    return len(feed.entries)


NOOPENER = 'rel="noopener noreferrer"'
ZERO_TO_TWO = [f"{SITE}/{number}" for number in range(3)]

CASES: list[tuple[str, Callable[[ParsedFeed], Any], Any]] = [
    ("json-feed.json", each("guid"), ["1"]),
    ("json-feed.json", each("published"), [datetime(2024, 2, 3, 2, 5, 6, tzinfo=UTC)]),
    ("json-feed.json", html, "a &lt; b"),
    ("xmlbase-content.xml", html, f'<a href="http://other.example/blog/pic.png" {NOOPENER}>x</a>'),
    ("xmlbase-link.xml", each("link"), ["http://other.example/p/1"]),
    ("relative-image.xml", html, f'<img src="{SITE}/posts/one/a.png">'),
    ("same-guid.xml", each("guid"), [f"0 {link}" for link in ZERO_TO_TWO]),
    ("empty-guid.xml", each("guid"), ZERO_TO_TWO),
    ("author-inherit.xml", each("author"), ["Ann"]),
    ("author-source.xml", each("author"), ["Bob"]),
    ("source-title.xml", each("guid"), ["a"]),
    ("source-title.xml", each("title"), ["mine"]),
    ("source-title.xml", each("link"), [f"{SITE}/1"]),
    ("source-title.xml", each("updated"), [datetime(2024, 1, 1, tzinfo=UTC)]),
    ("base64-content.xml", html, ""),
    ("base64-atom03.xml", each("title"), ["Big news"]),
    ("title-text.xml", each("title"), ["Use <b> &amp; co"]),
    ("title-html.xml", each("title"), ["A big & old"]),
    ("title-rss-lt.xml", each("title"), ["Is 3 < 5 and 7 > 2?"]),
    ("title-rss-tagname.xml", each("title"), ["How the <canvas> element works"]),
    (
        "title-none.xml",
        each("title"),
        ["Only a text of some length without any title at all"],
    ),
    ("link-newline.xml", each("link"), [f"{SITE}/a"]),
    ("link-protocol-relative.xml", each("link"), ["http://cdn.example/a"]),
    ("link-spaces.xml", each("link"), [f"{SITE}/a%20b"]),
    ("link-origlink.xml", each("link"), [f"{SITE}/real"]),
    ("link-alternate-html.xml", each("link"), [f"{SITE}/1"]),
    (
        "link-enclosure-only.xml",
        each("enclosures"),
        [(Enclosure(f"{SITE}/e.mp3", "audio/mpeg", length=123),)],
    ),
    ("link-atprotocol.xml", each("link"), [f"{SITE}/post"]),
    ("guid-markup.xml", each("guid"), ["abc"]),
    ("categories.xml", each("categories"), [("News",)]),
    ("comments.xml", each("comments"), [f"{SITE}/c"]),
    ("bom-space.xml", count, 1),
    ("junk-before.xml", count, 1),
    ("junk-after.xml", count, 1),
    ("space-cp1251.xml", each("title"), ["Привет"]),
    ("lying-decl.xml", each("title"), ["Привет"]),
    ("cp1252-in-utf8.xml", each("title"), ["It’s"]),
    ("mixed-bytes.xml", each("title"), ["é", "’"]),
    ("gb2312-gbk.xml", each("title"), ["镕"]),
    ("utf16-nobom.xml", each("title"), ["é"]),
    ("ctrl.xml", each("title"), ["ab"]),
    ("nulref.xml", each("title"), ["ab"]),
    ("nbsp-entity.xml", each("title"), ["a b"]),
    ("bare-amp.xml", each("title"), ["Fish & Chips"]),
    ("bare-amp.xml", each("link"), [f"{SITE}/?a=1&copy=2"]),
    ("truncated.xml", each("title"), ["one"]),
    ("unbound-prefix.xml", lambda feed: (feed.title, feed.entries), ("T", ())),
    ("unbound-prefix.xml", lambda feed: feed.defect, "unbound prefix (line 1)"),
    ("amp-empty.xml", lambda feed: (feed.title, feed.entries), ("Fish & Chips", ())),
    ("ns-space.xml", each("author"), ["Ann"]),
    ("rss090.xml", each("title"), ["one"]),
    ("rss090-empty.xml", count, 0),
    ("cdf-empty.xml", lambda feed: (feed.title, feed.link), ("C", "http://c.example/")),
    ("xhtml-svg.xml", html, "ab"),
    ("media-desc.xml", html, "Long words"),
    ("media-desc.xml", each("image"), [f"{SITE}/t.jpg"]),
    ("plain-in-html.xml", lambda feed: html(feed)[:26], "line one\nline two &amp; a "),
    ("content-and-desc.xml", each("content"), ["<p>full</p>"]),
    ("content-and-desc.xml", each("summary"), ["short"]),
    (
        "iframe.xml",
        html,
        f'<p>Before</p><p><a href="https://www.youtube.com/embed/abc" {NOOPENER}>'
        "https://www.youtube.com/embed/abc</a></p>",
    ),
    ("srcset.xml", html, f'<img src="{SITE}/l.jpg">'),
    ("js-obf.xml", html, f"<a {NOOPENER}>x</a>"),
    ("rel-noopener.xml", html, f'<a href="http://a.example/" {NOOPENER}>x</a>'),
]

DATES = {
    "pm": datetime(2023, 12, 17, 18, 55, tzinfo=UTC),
    "zonename": datetime(2024, 7, 24, 22, tzinfo=UTC),
    "unix": datetime(2024, 2, 3, 22, 40, tzinfo=UTC),
    "slashes": datetime(2024, 6, 29, 15, 7, 41, tzinfo=UTC),
    "offset-z": datetime(2024, 11, 8, 21, 20, tzinfo=UTC),
    "german": datetime(2024, 1, 23, 7, tzinfo=UTC),
    "german2": datetime(2024, 3, 27, 23, tzinfo=UTC),
    "french": datetime(2024, 7, 3, 15, 9, 58, tzinfo=UTC),
    "italian": datetime(2023, 1, 7, 20, 44, 32, tzinfo=UTC),
    "ordinal": datetime(2024, 9, 16, 13, 16, 28, tzinfo=UTC),
    "usam": datetime(2023, 11, 16, 10, 57, tzinfo=UTC),
    "usslash": datetime(2014, 9, 16, 0, 20, tzinfo=UTC),
    "military": datetime(2024, 2, 5, 10, tzinfo=UTC),
    "gmtcolon": datetime(2024, 2, 5, 8, tzinfo=UTC),
    "frac": datetime(2024, 2, 2, 22, 35, 6, tzinfo=UTC),
    "twodigit": datetime(2024, 2, 3, 10, tzinfo=UTC),
    "sec60": datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC),
    "wrongday": None,
    "year1": None,
    "cst": datetime(2024, 2, 5, 16, tzinfo=UTC),
    "cest": datetime(2024, 8, 5, 8, tzinfo=UTC),
    "bst": datetime(2024, 8, 5, 9, tzinfo=UTC),
    "jst": datetime(2024, 8, 5, 1, tzinfo=UTC),
    "aest": datetime(2024, 8, 5, 0, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("name", "value", "expected"), [pytest.param(*case, id=case[0]) for case in CASES]
)
def test_a_document_from_the_wild_has_its_right_value(name, value, expected):
    assert value(read(name)) == expected


@pytest.mark.parametrize("name", DATES)
def test_a_date_from_the_wild_is_the_instant_that_it_means(name):
    assert [entry.published for entry in read(f"date-{name}.xml").entries] == [DATES[name]]


def test_a_date_from_the_wild_is_kept_as_it_stands():
    (entry,) = read("date-wrongday.xml").entries
    assert entry.published_text == "Sun, 30 Feb 2024 10:00:00 GMT"


def test_the_bytes_of_a_document_go_before_the_charset_of_its_header():
    (entry,) = read("bad-header-charset.xml", "text/xml; charset=iso-8859-1").entries
    assert entry.title == "Grüße"


def test_an_entry_without_guid_and_link_stays_the_same_with_another_date():
    (before,), (after,) = read("noguid-a.xml").entries, read("noguid-b.xml").entries
    assert before.guid == after.guid
    assert before.published != after.published


def test_a_web_page_in_place_of_a_feed_names_its_feed():
    with pytest.raises(NotAFeed, match=r"Its feed is http://site\.example/feed") as raised:
        read("html-page.html", "text/html")
    assert raised.value.found == (FoundFeed(f"{SITE}/feed", "", "application/rss+xml"),)


def test_every_document_from_the_wild_has_its_test():
    named = {case[0] for case in CASES} | {f"date-{name}.xml" for name in DATES}
    named |= {"bad-header-charset.xml", "noguid-a.xml", "noguid-b.xml", "html-page.html"}
    named |= {"scheme-a.xml", "scheme-b.xml"}  # what is stored decides: tests/feeds/keeping
    assert {path.name for path in (DATA / "cases").iterdir()} == named
