from datetime import UTC, datetime

import pytest

from feeds.exceptions import NotAFeed
from feeds.reading import parser
from feeds.reading.identity import digest
from feeds.reading.markup import MAX_HTML, safe_html, without_images
from feeds.reading.parser import parse
from feeds.reading.result import MAX_TEXT, ParsedEntry
from feeds.reading.text import plain_text, web_link
from tests.feeds.documents import URL, document, item, rss

RSS = "application/rss+xml"
ACTIVE = "script: <script onerror= onload= style= <form <iframe <meta".split()


def only_entry(items: str) -> ParsedEntry:
    (entry,) = parse(rss(items), RSS, URL).entries
    return entry


def content(html: str) -> str:
    return only_entry(item(1, description=f"<![CDATA[{html}]]>")).summary


# Formats


def test_an_rss_feed_is_read():
    feed = parse(document("rss20.xml"), RSS, URL)
    lighthouse = feed.entries[0]
    assert (feed.title, feed.link) == ("The Harbour & Tide Gazette", "https://gazette.example/")
    assert [entry.guid for entry in feed.entries[:2]] == [
        "gazette-1042",
        "https://gazette.example/2025/ferry",
    ]
    assert lighthouse.title == "New lighthouse opens"
    assert lighthouse.link == "https://gazette.example/2025/lighthouse?ref=feed&lang=en"
    assert lighthouse.author == "Mina Park"
    assert lighthouse.published == datetime(2025, 3, 4, 9, tzinfo=UTC)
    assert lighthouse.summary == "It shines since Monday."
    assert "<b>Monday</b>" in lighthouse.content


def test_an_rdf_feed_is_read_in_its_own_encoding():
    feed = parse(document("rss10.rdf"), "application/rdf+xml", URL)
    assert feed.title == "Café Archive"
    assert [entry.title for entry in feed.entries] == ["Letters from Göteborg", "Harbour maps"]
    assert feed.entries[0].guid == "https://archive.example/a/17"
    assert feed.entries[0].author == "Jörg"
    assert feed.entries[1].updated == datetime(2024, 10, 30, 12, tzinfo=UTC)


def test_an_atom_feed_is_read():
    feed = parse(document("atom.xml"), "application/atom+xml", "https://notes.example/atom.xml")
    note = feed.entries[0]
    assert (feed.title, feed.link) == ("Field notes", "https://notes.example/")
    assert note.title == "Why a <table> is not a chair"
    assert note.link == "https://notes.example/notes/8"
    assert note.author == "Ada, Bo"
    assert note.published == datetime(2025, 2, 10, 13, tzinfo=UTC)
    assert note.updated == datetime(2025, 2, 11, 6, 30, tzinfo=UTC)
    assert note.summary == "1 &lt; 2, and tables &amp; chairs."
    assert '<a href="https://notes.example/notes/7"' in note.content
    assert feed.entries[1].title == "한국어 제목"


def test_a_feed_without_entries_is_a_feed():
    assert parse(rss(), RSS, URL).entries == ()


@pytest.mark.parametrize(
    "body", [b"", b"hello", b"<html><title>x</title><p>y</html>", b'{"version": "1"}', b"\0\1\2"]
)
def test_a_document_that_is_neither_rss_nor_atom_is_not_a_feed(body):
    with pytest.raises(NotAFeed, match="neither RSS nor Atom"):
        parse(body, "text/html", URL)


def test_a_broken_feed_with_entries_is_read_as_far_as_possible():
    body = rss(item(1) + item(2))[:-16] + b"<broken"
    assert [entry.guid for entry in parse(body, RSS, URL).entries] == ["item-1", "item-2"]


def test_half_an_entry_at_the_end_of_a_feed_is_left_for_the_next_poll():
    feed = parse(rss(item(1) + item(2))[:-30], RSS, URL)
    assert [entry.guid for entry in feed.entries] == ["item-1"]
    assert "cut off" in feed.defect


def test_a_broken_feed_without_entries_is_a_feed_with_a_defect():
    feed = parse(b'<?xml version="1.0"?><rss version="2.0"><channel><title>x</title>', RSS, URL)
    assert (feed.title, feed.entries) == ("x", ())
    assert "no element found" in feed.defect


def test_a_feed_that_breaks_feedparser_is_refused():
    items = "<item><textinput><name>x</name></textinput></item>"
    with pytest.raises(NotAFeed, match="can't be read"):
        parse(rss(items), RSS, URL)


def test_feed_elements_named_like_keys_of_feedparser_do_no_harm():
    names = ["published_parsed", "content", "title_detail", "summary_detail", "id", "authors"]
    entry = only_entry("<item>" + "".join(f"<{n}>x</{n}><{n} a='b'/>" for n in names) + "</item>")
    assert entry.published is None


@pytest.mark.parametrize("content_type", ["text/xml", "text/html", "text/plain", "", "x"])
def test_a_content_type_without_charset_does_not_make_a_feed_ascii(content_type):
    body = rss(item(1, title="한국어"))
    assert parse(body, content_type, URL).entries[0].title == "한국어"


def test_a_feed_is_decoded_by_the_charset_of_its_content_type():
    body = b'<rss version="2.0"><channel><item><title>\xe9</title></item></channel></rss>'
    assert parse(body, "text/xml; charset=iso-8859-1", URL).entries[0].title == "é"


def test_external_entities_of_a_feed_are_not_read():
    body = (
        b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss version="2.0"><channel>'
        b"<item><title>a&x;b</title></item></channel></rss>"
    )
    assert "root" not in parse(body, RSS, URL).entries[0].title


# Texts


def test_markup_is_stripped_from_the_titles_of_entries():
    title = "&lt;b onclick='x'&gt;A &amp;amp; B&lt;/b&gt;"
    assert only_entry(item(1, title=title)).title == "A & B"


def test_control_characters_and_lone_surrogates_are_stripped_from_entries():
    body = rss(item("a\x00b", title="c\x00d\x1b\x9f &amp;#0;\ud800e\tf"))
    (entry,) = parse(body, RSS, URL).entries
    texts = entry.guid + entry.title
    assert not [char for char in texts if char < " " or "\x7f" <= char <= "\x9f"]
    texts.encode()


@pytest.mark.parametrize("reference", ["&amp;#1;", "&amp;#x9f;", "&amp;#xD800;", "&amp;#0;"])
def test_references_to_control_characters_are_stripped_from_entries(reference):
    entry = only_entry(item(1, title=f"a{reference}b", description=f"&lt;p&gt;a{reference}b"))
    assert not {"\x00", "\x01", "\x9f", "\ud800"} & set(entry.title + entry.summary)


def test_long_texts_of_entries_are_cut():
    entry = only_entry(item(1, title="x" * 10_000, author="y" * 10_000))
    assert len(entry.title) == len(entry.author) == MAX_TEXT
    assert entry.title.endswith("…")


def test_plain_text_leaves_comparisons_alone():
    assert plain_text("1 < 2 and 4 > 3 <br>&amp; so on") == "1 < 2 and 4 > 3 & so on"


# HTML


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)">x</a>',
        '<a href="jav&#x09;ascript:alert(1)">x</a>',
        '<a href="&#1;javascript:alert(1)">x</a>',
        '<iframe src="//evil.example"></iframe>',
        "<svg><script>alert(1)</script></svg>",
        "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
        '<p style="background:url(//evil.example)">x</p>',
        '<form action="//evil.example"><input name="a"></form>',
        '<img src="data:image/svg+xml,<svg onload=alert(1)>">',
        "<meta http-equiv=refresh content='0;url=//evil.example'>",
    ],
)
def test_nothing_active_is_left_in_the_html_of_entries(hostile):
    cleaned = content(f"before {hostile} after").lower()
    assert "before" in cleaned
    assert not [trace for trace in ACTIVE if trace in cleaned]


def test_relative_links_in_the_html_of_entries_become_absolute():
    entry = only_entry(
        item(1, link="https://a.example/b/c", description="&lt;a href='d'&gt;x&lt;/a&gt;")
    )
    assert 'href="https://a.example/b/d"' in entry.summary


def test_too_deeply_nested_html_becomes_text():
    deep = "<div>" * 300 + "5 &lt; 6" + "</div>" * 300
    assert safe_html(deep, URL) == "5 &lt; 6"


def test_html_that_grows_with_its_nesting_becomes_text():
    assert safe_html("".join(f"<p><b a={i}>x" for i in range(1000)), URL) == "x" * 1000


def test_html_of_many_paragraphs_is_not_deeply_nested():
    assert safe_html("<p>x" * 1000, URL).count("<p>") == 1000


def test_long_html_is_cut():
    assert len(safe_html("x" * 2 * MAX_HTML, URL)) == MAX_HTML


def test_the_html_of_a_whole_feed_is_bounded(monkeypatch):
    monkeypatch.setattr(parser, "MAX_ALL_HTML", 100)
    entries = parse(rss("".join(item(i, description="x" * 60) for i in range(4))), RSS, URL).entries
    assert [len(entry.summary) for entry in entries] == [60, 60, 0, 0]


def test_images_can_be_left_out_of_html():
    assert without_images('a<img src="https://a.example/x.png">b') == "ab"


# Links


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("/x?a=1&b=2", "https://feeds.example/x?a=1&b=2"),
        (" \n https://a.example/x y \n", "https://a.example/x%20y"),
        ("//b.example/x", "https://b.example/x"),
        ("javascript:alert(1)", ""),
        ("java\tscript:alert(1)", ""),
        ("\x01javascript:alert(1)", ""),
        ("JAVASCRIPT:alert(1)", ""),
        ("data:text/html,x", ""),
        ("file:///etc/passwd", ""),
        ("http://", ""),
        ("http://[::1", ""),
        ("", ""),
        ("https://a.example/" + "x" * 3000, ""),
    ],
)
def test_only_web_links_of_feeds_are_kept(link, expected):
    assert web_link(link, URL) == expected


def test_an_enclosure_is_the_link_of_an_entry_without_one():
    entry = parse(document("rss20.xml"), RSS, URL).entries[2]
    assert entry.link == "https://gazette.example/img/week9.jpg"


# Identity and change


def test_the_guid_of_an_entry_does_not_depend_on_the_address_of_the_feed():
    here, there = (parse(rss(item(1)), RSS, url).entries[0] for url in (URL, "https://b.example/"))
    assert here.guid == there.guid == "item-1"


def test_the_link_identifies_an_entry_without_a_guid():
    assert only_entry("<item><link>/a</link></item>").guid == "https://feeds.example/a"


def test_the_content_identifies_an_entry_without_guid_and_link():
    entry = only_entry("<item><title>a</title><description>b</description></item>")
    assert entry.guid == digest("a b")


def test_a_long_guid_of_an_entry_is_replaced_by_its_hash():
    one, other = (only_entry(item("x" * 600 + end)).guid for end in "ab")
    assert one != other
    assert len(one) < 100


def test_the_digest_of_an_entry_stays_when_nothing_changes():
    assert only_entry(item(1)).digest == only_entry(item(1)).digest


@pytest.mark.parametrize(
    "change",
    [
        {"title": "x"},
        {"link": "https://a.example/"},
        {"author": "x"},
        {"description": "x"},
        {"pubDate": "Sun, 02 Mar 2025 08:00:00 GMT"},
    ],
)
def test_the_digest_changes_with_the_entry(change):
    assert only_entry(item(1, **change)).digest != only_entry(item(1)).digest


def test_only_a_limited_number_of_entries_of_a_feed_is_read(monkeypatch):
    monkeypatch.setattr(parser, "MAX_ENTRIES", 2)
    feed = parse(rss(item(1) + item(2) + item(3)), RSS, URL)
    assert [entry.guid for entry in feed.entries] == ["item-1", "item-2"]
    assert feed.dropped == 1


@pytest.mark.parametrize(
    "date", ["Sun, 02 Mar 0001 08:00:00 GMT", "9999-12-31T23:59:59Z", "tomorrow", "x" * 1000, ""]
)
def test_impossible_dates_of_entries_are_left_out(date):
    assert only_entry(item(1, pubDate=date)).published is None
