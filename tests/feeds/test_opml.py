import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds import opml
from feeds.exceptions import BadOpml
from feeds.opml import Outline

A, B = "https://a.example/feed.xml", "https://b.example/?x=1&y=2"


def document(body: str, head: str = "") -> bytes:
    start = f'<?xml version="1.0" encoding="UTF-8"?>{head}<opml version="1.0">'
    return f"{start}<head><title>x</title></head><body>{body}</body></opml>".encode()


def test_feeds_of_nested_folders_have_a_tag_of_each_folder():
    read = opml.read(
        document(
            '<outline text="News"><outline text="East Asia &amp; Pacific">'
            f'<outline type="rss" text="A" xmlUrl="{A}"/></outline>'
            '<outline text="B" xmlUrl="https://b.example/"/></outline>'
            '<outline text="C" title="See" xmlUrl="https://c.example/"/>'
        )
    )
    assert read == [
        Outline(A, "A", ("News", "East-Asia-Pacific")),
        Outline("https://b.example/", "B", ("News",)),
        Outline("https://c.example/", "See"),
    ]


@pytest.mark.parametrize(
    "attributes",
    [
        f'xmlurl="{A}" type="rss" text="A"',
        f'XMLURL="{A}" TEXT="A"',
        f'type="rss" url=" {A} " text="A"',
    ],
)
def test_the_attributes_of_a_feed_are_read_as_other_readers_write_them(attributes):
    assert opml.read(document(f"<outline {attributes}/>")) == [Outline(A, "A")]


def test_an_address_with_bare_ampersands_is_read_as_it_is_meant():
    read = opml.read(document(f'<outline text="A &amp; B" xmlUrl="{B}"/>'))
    assert read == [Outline(B, "A & B")]


def test_a_feed_without_address_is_among_the_feeds_so_that_it_can_be_refused():
    assert opml.read(document('<outline type="rss" text="A" xmlUrl=""/>')) == [Outline("", "A")]


def test_what_is_neither_feed_nor_folder_is_left_out():
    assert opml.read(document('<outline type="link" url="https://x.example/" text="x"/>')) == []


def test_an_outline_knows_its_line():
    [one] = opml.read(document(f'\n\n<outline xmlUrl="{A}"/>'))
    assert one.line == 3


@pytest.mark.parametrize(
    ("body", "head", "message"),
    [
        ("<outline", "", "not proper XML: line 1"),
        ("", "<!DOCTYPE opml>", "document type"),
        ("", '<!DOCTYPE opml [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>', "document type"),
        ("", '<!DOCTYPE opml SYSTEM "http://a.example/x.dtd">', "document type"),
        ("<outline text='x'>" * 101 + "</outline>" * 101, "", "nested more than 100"),
        ("x" * (10 * 2**20), "", "larger than 10 MiB"),
    ],
)
def test_a_document_that_is_broken_or_an_attack_is_refused(body, head, message):
    with pytest.raises(BadOpml, match=message):
        opml.read(document(body, head))


def test_a_document_that_is_something_else_is_refused():
    with pytest.raises(BadOpml, match="begins with <html>"):
        opml.read(b"<html><body/></html>")
    with pytest.raises(BadOpml, match="can't be read"):
        opml.read(b'<?xml version="1.0" encoding="nonsense"?><opml/>')


def test_a_document_has_so_many_feeds_at_most(monkeypatch):
    monkeypatch.setattr(opml, "MAX_FEEDS", 2)
    with pytest.raises(BadOpml, match="more than 2 feeds"):
        opml.read(document(f'<outline xmlUrl="{A}"/>' * 3))


def test_a_feed_is_written_into_the_folder_of_each_of_its_tags():
    text = opml.write([Outline(A, "A", ("news", "eu")), Outline(B, "B")]).decode()
    lines = [line.strip() for line in text.splitlines()[6:]]
    feed = f'<outline type="rss" text="A" title="A" xmlUrl="{A}" />'
    assert lines[:6] == [
        '<outline text="eu" title="eu">',
        feed,
        "</outline>",
        '<outline text="news" title="news">',
        feed,
        "</outline>",
    ]
    assert 'xmlUrl="https://b.example/?x=1&amp;y=2"' in lines[6]


outlines = st.builds(
    Outline,
    st.integers(1, 6).map("https://a.example/{}?a&b".format),
    st.text(min_size=0, max_size=20).map(lambda text: " ".join(text.split())),
    st.lists(st.sampled_from(["a", "b", "c-d", "한국어"]), unique=True).map(
        lambda t: tuple(sorted(t))
    ),
)


@given(st.lists(outlines, unique_by=lambda one: one.url))
def test_what_is_written_is_read_and_written_again_as_the_same(feeds):
    first = opml.write(feeds)
    merged: dict[str, Outline] = {}
    for one in opml.read(first):
        tags = merged[one.url].tags if one.url in merged else ()
        merged[one.url] = Outline(one.url, one.title, (*tags, *one.tags))
    assert opml.write(merged.values()) == first
