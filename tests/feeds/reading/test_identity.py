import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feeds.reading.identity import Signs, guids
from feeds.reading.parser import parse
from tests.feeds.documents import URL, item, rss

RSS = "application/rss+xml"
WORDS = st.text("abcé 1&<", min_size=1, max_size=12).map(str.strip).filter(bool)
DATES = st.datetimes().map(lambda instant: instant.strftime("%a, %d %b %Y %H:%M:%S GMT"))


def escaped(text: str) -> str:
    return text.replace("&", "&amp;amp;").replace("<", "&amp;lt;")


def guid_of(items: str) -> str:
    (entry,) = parse(rss(items), RSS, URL).entries
    return entry.guid


def guids_of(items: str) -> list[str]:
    return [entry.guid for entry in parse(rss(items), RSS, URL).entries]


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=6))
def test_the_same_document_twice_has_the_same_entries(values):
    body = rss(
        "".join(
            item(escaped(guid), title=escaped(title), description=escaped(text))
            for guid, title, text in values
        )
    )
    assert parse(body, RSS, URL) == parse(body, RSS, URL)


@given(WORDS, WORDS, DATES)
def test_an_entry_with_a_guid_stays_the_same_whatever_is_edited(title, text, date):
    link = "<link>https://a.example/1</link>"
    edited = f"<title>{escaped(title)}</title><description>{escaped(text)}</description>"
    before = f"<item><guid>g</guid>{link}<title>a</title></item>"
    after = f"<item><guid>g</guid>{link}{edited}<pubDate>{date}</pubDate></item>"
    assert guid_of(before) == guid_of(after) == "g"


@given(WORDS, DATES)
def test_an_entry_with_a_link_only_stays_the_same_whatever_is_edited(title, date):
    link = "<link>https://a.example/1</link>"
    after = f"<item>{link}<title>{escaped(title)}</title><pubDate>{date}</pubDate></item>"
    assert guid_of(after) == guid_of(f"<item>{link}</item>")


@given(DATES, DATES)
def test_an_entry_without_guid_and_link_stays_the_same_whatever_its_date(before, after):
    text = "<title>a</title><description>b</description>"
    assert guid_of(f"<item>{text}<pubDate>{before}</pubDate></item>") == guid_of(
        f"<item>{text}<pubDate>{after}</pubDate></item>"
    )


@given(st.lists(st.builds(Signs, id=WORDS | st.just(""), link=WORDS | st.just(""), text=WORDS)))
def test_entries_are_the_same_only_if_guid_and_link_are(entries):
    assume(all(" " not in entry.id + entry.link for entry in entries))
    found = guids(entry.forms for entry in entries)
    for one, guid in zip(entries, found, strict=True):
        for other, other_guid in zip(entries, found, strict=True):
            if one.id and other.id and (one.id, one.link) != (other.id, other.link):
                assert guid != other_guid


def test_entries_that_are_the_same_in_guid_link_title_and_content_are_one():
    twice = item(1, link="/1", pubDate="Sat, 03 Feb 2024 10:00:00 GMT") + item(1, link="/1")
    assert guids_of(twice) == ["item-1", "item-1"]


@pytest.mark.parametrize("guid", ["<guid>g</guid>", "<guid>https://a.example/status</guid>", ""])
@pytest.mark.parametrize("link", ["<link>https://a.example/status</link>", ""])
def test_entries_that_share_guid_and_link_differ_by_title_and_content_not_by_date(guid, link):
    texts = [
        "<title>up</title>",
        "<title>down</title>",
        "<title>up</title><description>again</description>",
    ]
    dates = [f"<pubDate>Sat, 0{day} Feb 2024 10:00:00 GMT</pubDate>" for day in (3, 4)]
    before, after = (
        guids_of("".join(f"<item>{guid}{link}{text}{date}</item>" for text in texts))
        for date in dates
    )
    assert len(set(before)) == 3
    assert before == after


def test_a_text_of_broken_characters_can_identify_an_entry():
    body = b"""{"version": "https://jsonfeed.org/version/1", "items": [{"title": "a\\ud800"}]}"""
    assert len(parse(body, "application/json", URL).entries) == 1


def test_the_guids_of_other_entries_stay_beside_one_that_is_repeated():
    items = item(1, link="/a") + item(1, link="/b") + item(2)
    assert guids_of(items)[2] == "item-2"


@pytest.mark.parametrize(
    "guid",
    [
        "<guid>abc</guid>",
        "<guid>\n  abc  </guid>",
        "<guid><![CDATA[abc]]></guid>",
        "<guid><span><b>abc</b></span></guid>",
        "<guid><br/>abc</guid>",
        "<guid isPermaLink='true'>abc</guid>",
    ],
)
def test_the_text_of_a_guid_is_what_counts(guid):
    assert guid_of(f"<item>{guid}<title>x</title></item>") == "abc"


def test_the_id_of_an_atom_entry_does_not_depend_on_an_xml_base():
    body = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xml:base="{}"><entry><id>a/1</id></entry></feed>'
    )
    read = [
        parse(body.format(base).encode(), "", URL).entries[0].guid
        for base in ("http://a.example/", "https://b.example/x/")
    ]
    assert read == ["a/1", "a/1"]


def test_a_guid_that_is_a_name_is_no_link():
    (entry,) = parse(rss("<item><guid>abc</guid></item>"), RSS, URL).entries
    assert entry.link == ""


def test_a_guid_that_is_an_address_is_the_link_of_an_entry_without_one():
    (entry,) = parse(rss("<item><guid>http://a.example/1</guid></item>"), RSS, URL).entries
    assert entry.link == "http://a.example/1"
