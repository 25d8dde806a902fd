"""What a feed says about itself and its entries, besides their texts."""

import pytest

from feeds.exceptions import NotAFeed
from feeds.reading import hints, parser
from feeds.reading.enclosures import seconds, whole_number
from feeds.reading.parser import parse
from feeds.reading.result import Enclosure, ParsedEntry, ParsedFeed
from tests.feeds.documents import URL, item, rss

ATOM = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:media="http://search.yahoo.com/mrss/"'
MODULES = (
    'xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" '
    'xmlns:media="http://search.yahoo.com/mrss/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:sy="http://purl.org/rss/1.0/modules/syndication/" '
    'xmlns:atom="http://www.w3.org/2005/Atom"'
)


def read(items: str = "", head: str = "") -> ParsedFeed:
    body = f'<rss version="2.0" {MODULES}><channel>{head}{items}</channel></rss>'
    return parse(body.encode(), "", URL)


def only(items: str, head: str = "") -> ParsedEntry:
    (entry,) = read(items, head).entries
    return entry


def atom(entry: str, head: str = "", base: str = "") -> ParsedEntry:
    body = f"{ATOM} {base}>{head}<entry><id>a</id>{entry}</entry></feed>"
    (read,) = parse(body.encode(), "", URL).entries
    return read


# Bases


def test_an_xml_base_is_resolved_against_the_one_around_it_and_the_address_of_the_feed():
    entry = atom(
        '<link href="p/1"/>'
        '<content type="html" xml:base="c/">&lt;a href="d"&gt;x&lt;/a&gt;</content>',
        base='xml:base="/blog/"',
    )
    assert entry.link == "https://feeds.example/blog/p/1"
    assert 'href="https://feeds.example/blog/c/d"' in entry.content


def test_an_xml_base_inside_xhtml_counts_for_what_is_in_its_element():
    entry = atom(
        '<link href="https://a.example/post/"/><content type="xhtml">'
        '<div xmlns="http://www.w3.org/1999/xhtml"><a href="x">x</a>'
        '<p xml:base="http://b.example/c/"><a href="y">y</a><img src="z.png"/></p>'
        '<a href="w">w</a></div></content>'
    )
    for address in (
        "//a.example/post/x",
        "//b.example/c/y",
        "//b.example/c/z.png",
        "//a.example/post/w",
    ):
        assert address in entry.content


def test_an_xml_base_does_not_count_for_the_next_entry():
    entries = (
        '<entry xml:base="http://b.example/"><id>1</id><link href="x"/></entry>'
        '<entry><id>2</id><link href="y"/></entry>'
    )
    feed = parse(f"{ATOM}>{entries}</feed>".encode(), "", URL)
    assert [one.link for one in feed.entries] == ["http://b.example/x", "https://feeds.example/y"]


def test_without_an_xml_base_the_link_of_the_entry_is_the_base():
    entry = only(item(1, link="/posts/1/", description="&lt;a href='d'&gt;x&lt;/a&gt;"))
    assert 'href="https://feeds.example/posts/1/d"' in entry.summary


@pytest.mark.parametrize("base", ["javascript:alert(1)//", "data:text/html,", ""])
def test_an_xml_base_that_is_no_web_address_does_not_count(base):
    entry = atom('<link href="p/1"/>', base=f'xml:base="{base}"')
    assert entry.link == "https://feeds.example/p/1"


# Authors


def test_all_authors_of_an_entry_are_kept():
    people = (
        "<dc:creator>Ann</dc:creator><dc:creator>Bo</dc:creator><author>c@x.example (Cy)</author>"
    )
    assert only(f"<item>{people}</item>").author == "Ann, Bo, Cy"


@pytest.mark.parametrize(
    "head",
    [
        "<managingEditor>ann@x.example (Ann)</managingEditor>",
        "<itunes:author>Ann</itunes:author>",
        "<dc:creator>Ann</dc:creator>",
    ],
)
def test_an_entry_without_author_has_that_of_its_rss_feed(head):
    assert only(item(1), head).author == "Ann"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ann@a.photography (Ann)", "Ann"),
        ("Ann &lt;ann@a.example&gt;", "Ann"),
        ("Ann (ann@a.example)", "Ann"),
        ("ann@a.example", "ann@a.example"),
        ("Ann (editor)", "Ann (editor)"),
        ("mailto:ann@a.example Ann B", "Ann B"),
    ],
)
def test_the_author_of_an_rss_item_is_called_by_name(text, name):
    assert only(f"<item><author>{text}</author></item>").author == name


def test_a_person_without_a_name_is_called_by_the_email_address():
    assert atom("<author><email>a@x.example</email></author>").author == "a@x.example"


# Enclosures and images


def test_the_files_of_an_entry_are_kept_once_with_all_that_is_known_of_them():
    entry = only(
        '<item><enclosure url="/e.mp3" length="1,234" type="audio/mpeg"/>'
        '<enclosure url="/f.mp3" length="0" type="x"/>'
        '<media:content url="/e.mp3" fileSize="99" duration="61"/>'
        '<media:content url="/v.mp4" medium="video" fileSize="77" duration="5.5"/>'
        "<itunes:duration>1:02:03</itunes:duration></item>"
    )
    assert entry.enclosures == (
        Enclosure("https://feeds.example/e.mp3", "audio/mpeg", 1234, 61),
        Enclosure("https://feeds.example/f.mp3", "", None, None),
        Enclosure("https://feeds.example/v.mp4", "video/*", 77, 5),
    )


def test_the_duration_of_a_podcast_belongs_to_its_first_file():
    entry = only(
        '<item><enclosure url="/e.mp3" type="audio/mpeg"/>'
        "<itunes:duration>1:02:03</itunes:duration></item>"
    )
    assert [one.duration for one in entry.enclosures] == [3723]


def test_the_enclosure_of_an_atom_entry_is_a_link():
    entry = atom('<link rel="enclosure" href="/e.ogg" type="audio/ogg" length="5"/>')
    assert entry.enclosures == (Enclosure("https://feeds.example/e.ogg", "audio/ogg", 5),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("95", 95),
        ("95.7", 95),
        ("1:35", 95),
        ("0:01:35", 95),
        ("0", None),
        ("x", None),
        ("-5", None),
    ],
)
def test_a_duration_is_in_seconds(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("12 345", 12345), ("-1", None), ("9" * 50, None)])
def test_a_length_is_a_number_of_bytes(text, expected):
    assert whole_number(text) == expected


@pytest.mark.parametrize(
    "markup",
    [
        '<media:thumbnail url="/i.png"/>',
        '<media:group><media:thumbnail url="/i.png"/></media:group>',
        '<media:content url="/i.png" medium="image"/>',
        '<media:content url="/i.png" type="image/png"/>',
        '<itunes:image href="/i.png"/>',
    ],
)
def test_the_image_of_an_entry_is_kept(markup):
    assert only(f"<item><guid>1</guid>{markup}</item>").image == "https://feeds.example/i.png"


@pytest.mark.parametrize(
    "head", ["<image><url>/i.png</url><title>x</title></image>", '<itunes:image href="/i.png"/>']
)
def test_the_image_of_a_feed_is_kept(head):
    assert read(head=f"<title>T</title>{head}").image == "https://feeds.example/i.png"


# Links, languages, categories


def test_comments_of_an_atom_entry_are_its_replies():
    entry = atom('<link href="/1"/><link rel="replies" href="/1/comments"/>')
    assert (entry.link, entry.comments) == (
        "https://feeds.example/1",
        "https://feeds.example/1/comments",
    )


@pytest.mark.parametrize(
    ("head", "language"),
    [
        ("<language>en-US</language>", "en-us"),
        ("<language>pt_BR</language>", "pt-br"),
        ("<dc:language>ko</dc:language>", "ko"),
        ("<language>not a language</language>", ""),
    ],
)
def test_an_entry_has_the_language_of_its_feed(head, language):
    feed = read(item(1), head)
    assert (feed.language, feed.entries[0].language) == (language, language)


def test_the_language_of_a_feed_decides_about_its_dates():
    dates = "<pubDate>03/04/2024</pubDate>"
    entries = [
        only(f"<item>{dates}</item>", f"<language>{tag}</language>") for tag in ("en-us", "de")
    ]
    assert [entry.published and entry.published.month for entry in entries] == [3, 4]


def test_the_categories_of_an_entry_are_kept_once():
    entry = only(
        "<item><category>a &amp; b</category><category>c</category><category>c</category></item>"
    )
    assert entry.categories == ("a & b", "c")
    assert atom('<category term="t" label="Label"/>').categories == ("Label",)


# Hints


def test_a_feed_says_when_it_is_not_worth_asking_again():
    feed = read(
        head="<ttl>90</ttl><skipHours><hour>0</hour><hour>24</hour><hour>7</hour><hour>x</hour>"
        "</skipHours><skipDays><day>Sunday</day><day>monday </day><day>x</day></skipDays>"
    )
    assert (feed.update_seconds, feed.skip_hours, feed.skip_days) == (5400, (0, 7), (0, 6))


@pytest.mark.parametrize(
    ("ttl", "period", "frequency", "expected"),
    [
        ("60", "", "", 3600),
        ("", "hourly", "", 3600),
        ("", "daily", "2", 43200),
        (" 60 ", "Daily", "24", 3600),
        ("5", "hourly", "1", 3600),
        ("0", "", "", None),
        ("-5", "never", "x", None),
        ("x", "hourly", "0", 3600),
        ("999999999", "", "", 365 * 86400),
    ],
)
def test_the_longer_of_two_hints_counts(ttl, period, frequency, expected):
    assert hints.update_seconds(ttl, period, frequency) == expected


def test_the_syndication_module_is_read():
    head = "<sy:updatePeriod>\n daily </sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency>"
    assert read(head=head).update_seconds == 21600


def test_the_hub_and_the_own_address_of_a_feed_are_kept():
    head = (
        '<atom:link rel="hub" href="https://hub.example/"/>'
        '<atom:link rel="self" href="https://feeds.example/self"/><link>https://x.example/</link>'
    )
    feed = read(head=head)
    assert (feed.hub, feed.self_link) == ("https://hub.example/", "https://feeds.example/self")
    assert feed.link == "https://x.example/"


# Too much


def test_of_too_many_entries_the_newest_are_kept_and_the_others_counted(monkeypatch):
    monkeypatch.setattr(parser, "MAX_ENTRIES", 2)
    days = [3, 1, 2]
    items = "".join(item(day, pubDate=f"{day} Feb 2024 10:00:00 GMT") for day in days)
    feed = read(items)
    assert [entry.guid for entry in feed.entries] == ["item-3", "item-2"]
    assert feed.dropped == 1


@pytest.mark.parametrize(
    ("days", "kept"),
    [
        ([1, 2, None, 3, 4], ["item-3", "item-4"]),
        ([4, 3, None, 2, 1], ["item-0", "item-1"]),
        ([1, 2, 3, None, 4], ["item-3", "item-4"]),
        ([1, 2, 3, None, None], ["item-3", "item-4"]),
        ([None, 1, 2, 3], ["item-2", "item-3"]),
        ([None, 3, 2, 1], ["item-0", "item-1"]),
        ([None, None, None], ["item-0", "item-1"]),
    ],
)
def test_entries_without_a_date_count_as_new_as_their_neighbours(monkeypatch, days, kept):
    monkeypatch.setattr(parser, "MAX_ENTRIES", 2)
    dates = [{"pubDate": f"{day} Feb 2024 10:00:00 GMT"} if day else {} for day in days]
    feed = read("".join(item(number, **date) for number, date in enumerate(dates)))
    assert [entry.guid for entry in feed.entries] == kept


def test_a_feed_says_that_its_texts_are_too_long(monkeypatch):
    monkeypatch.setattr(parser, "MAX_ALL_HTML", 50)
    feed = read(item(1, description="x" * 60) + item(2, description="y"))
    assert feed.defect == "its last entries are without their text: it is too long"


# Broken XML


@pytest.mark.parametrize(
    ("broken", "title"),
    [
        ("AT&T", "AT&T"),
        ("a & b &amp; c", "a & b & c"),
        ("caf&eacute;", "café"),
        ("a &nosuch; b", "a &nosuch; b"),
        ("a&#x1F;b", "ab"),
        ("1 < 2", "1 < 2"),
        ("<![CDATA[a & b &nbsp; c]]>", "a & b c"),
        ("<x:y>a</x:y>b", "ab"),
    ],
)
def test_broken_text_is_read_as_it_is_meant(broken, title):
    feed = parse(rss(f"<item><guid>1</guid><title>{broken}</title></item>"), "", URL)
    assert [entry.title for entry in feed.entries] == [title]
    assert feed.defect or "CDATA" in broken


def test_entries_that_nobody_closed_are_read():
    body = b"<rss><channel><item><guid>1</guid><item><guid>2</guid></channel></rss>"
    assert [entry.guid for entry in parse(body, "", URL).entries] == ["1", "2"]


@pytest.mark.parametrize(
    "body",
    [
        f"{ATOM}><title>T</title><entry><id>1</id><title>&amp;</title></entry><entry><id>2</id>",
        '<rss version="2.0"><channel><title>T</title><item><guid>1</guid></item><item><guid>2',
        '<atom:feed xmlns:atom="http://www.w3.org/2005/Atom"><atom:title>T</atom:title>'
        "<atom:entry><atom:id>1</atom:id></atom:entry><atom:entry><atom:id>2",
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns="http://purl.org/rss/1.0/"><channel><title>T</title></channel>'
        '<item rdf:about="1"></item><item rdf:about="2"><ti',
    ],
    ids=["atom", "rss", "prefixed", "rdf"],
)
def test_the_whole_entries_of_a_feed_that_is_cut_off_are_kept(body):
    feed = parse(body.encode(), "", URL)
    assert (feed.title, [entry.guid for entry in feed.entries]) == ("T", ["1"])
    assert feed.defect.startswith("it is cut off")


def test_a_prefix_that_nobody_declared_means_what_it_usually_does():
    texts = "<content:encoded>full</content:encoded><dc:creator>Ann</dc:creator>"
    body = f'<rss version="2.0"><channel><item>{texts}</item></channel></rss>'
    feed = parse(body.encode(), "", URL)
    assert [(one.content, one.author) for one in feed.entries] == [("full", "Ann")]
    assert "prefix" in feed.defect


def test_a_feed_after_comments_and_a_stylesheet_is_read():
    head = b'<!-- <rss> --><?xml version="1.0"?><?xml-stylesheet href="x.xsl"?><!-- a -->'
    assert parse(head + b'<rss version="2.0"/>', "", URL).defect == ""


def test_entities_that_a_feed_declares_are_read():
    body = (
        b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY pub "The publisher">]>'
        b'<rss version="2.0"><channel><title>&pub; & co</title></channel></rss>'
    )
    assert parse(body, "", URL).title == "The publisher & co"


def test_an_rdf_document_that_is_no_feed_is_not_one():
    body = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF>'
    with pytest.raises(NotAFeed):
        parse(body, "", URL)


def test_the_items_of_a_cdf_channel_are_read():
    body = (
        b'<CHANNEL HREF="http://c.example/" BASE="http://c.example/"><TITLE>C</TITLE>'
        b'<ITEM HREF="http://c.example/1" LASTMOD="2024-02-03T12:00"><TITLE>One</TITLE>'
        b"<ABSTRACT>Text</ABSTRACT></ITEM></CHANNEL>"
    )
    (entry,) = parse(body, "", URL).entries
    assert (entry.title, entry.link, entry.summary) == ("One", "http://c.example/1", "Text")
