"""Which entry of a document is which stored one, by properties and by examples."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.keeping.matching import Identity, key, match, may_match

DATE = datetime(2025, 3, 4, 12, tzinfo=UTC)

hosts = st.sampled_from(
    ["a.example", "www.a.example", "b.example", "www.b.example", "b.example:81"]
)
paths = st.sampled_from(["", "/", "/1", "/2", "/?p=1", "/?p=2", "/1#2"])
urls = st.builds("{}://{}{}".format, st.sampled_from(["http", "https"]), hosts, paths)
guids = urls | st.sampled_from(["1", "2", "urn:x:1", "http://", "http://[", "tag:a.example,2025:1"])
dates = st.none() | st.integers(0, 3).map(lambda days: DATE + timedelta(days=days))
identities = st.builds(Identity, guids, urls | st.just(""), st.sampled_from(["", "x", "y"]), dates)
documents = st.lists(identities, max_size=8, unique_by=lambda one: one.guid)
edits = st.fixed_dictionaries({"title": st.text(max_size=3), "published": dates, "link": urls})


@given(documents)
def test_the_same_document_again_is_the_same_entries(document):
    assert match(document, document) == {place: place for place in range(len(document))}


@given(documents, documents, st.data())
def test_an_edit_never_makes_an_entry_another_one(stored, others, data):
    known = {one.guid for one in stored}
    edited = [replace(one, **data.draw(edits)) for one in stored]
    listed = [*edited, *(one for one in others if one.guid not in known)]
    found = match(listed, stored)
    assert [found[place] for place in range(len(stored))] == list(range(len(stored)))


@given(documents, documents)
def test_two_entries_of_a_document_never_become_one(listed, stored):
    found = match(listed, stored)
    assert len(set(found.values())) == len(found)


@given(documents, documents)
def test_entries_that_have_nothing_in_common_are_never_the_same(listed, stored):
    for new, old in match(listed, stored).items():
        one, other = listed[new], stored[old]
        same_link = bool(one.link) and one.link_parts == other.link_parts
        assert one.parts[1] == other.parts[1] or same_link


@given(documents, documents)
def test_with_another_title_and_date_only_the_guid_makes_an_entry_the_same(listed, stored):
    for new, old in match(listed, stored).items():
        one, other = listed[new], stored[old]
        if one.title != other.title and one.published != other.published:
            assert key(one) == key(other)


def one(guid: str, title: str = "", published: datetime | None = None, link: str = "") -> Identity:
    return Identity(guid, link, title, published)


def document(form: str, title: str = "Entry {}", date: datetime | None = DATE) -> list[Identity]:
    return [
        one(form.format(n), title.format(n), date and date + timedelta(days=n)) for n in range(3)
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("http://a.example/?p={}", "https://a.example/?p={}"),
        ("http://www.a.example/{}", "http://a.example/{}"),
        ("http://a.example:80/{}", "https://www.A.example/{}"),
        ("https://a.example/{}", "https://b.example/{}"),
    ],
)
@pytest.mark.parametrize("date", [DATE, None])
def test_a_whole_document_whose_guids_have_another_form_is_the_same(old, new, date):
    listed, stored = document(new, date=date), document(old, date=date)
    assert match(listed, stored) == {0: 0, 1: 1, 2: 2}
    assert may_match(listed, [(one.guid, one.link, one.title) for one in stored])
    untitled = [replace(one, title="") for one in listed]
    if match(untitled, stored):
        assert may_match(untitled, [(one.guid, one.link, one.title) for one in stored])


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("http://a.example/{}", "http://a.example:8080/{}"),
        ("http://a.example/a{}", "http://a.example/b{}"),
        ("http://a.example/{}", "http://a.example/{}/"),
        ("http://a.example/?p={}", "http://a.example/?q={}"),
        ("a.example/{}", "b.example/{}"),
        ("urn:uuid:{}", "urn:isbn:{}"),
    ],
)
def test_entries_that_differ_in_more_than_their_form_are_different(new, old):
    listed, stored = document(new, "new {}"), document(old, "old {}")
    assert match(listed, stored) == {}


def test_first_posts_of_two_blogs_of_a_planet_are_two_entries():
    hello = "Hello world!"
    later = DATE + timedelta(days=1)
    listed = [one("https://b.example/?p=1", hello, later), one("https://c.example/?p=3", "x")]
    assert match(listed, [one("https://a.example/?p=1", hello, DATE)]) == {}
    undated = [one("https://b.example/?p=1", hello), one("https://c.example/?p=3", "x")]
    assert match(undated, [one("https://a.example/?p=1", hello)]) == {}


def test_an_entry_that_gets_an_id_or_loses_it_is_the_same():
    link = "https://a.example/1"
    without, with_one = one(link, "A", link=link), one("42", "A", link=link)
    assert match([with_one], [without]) == match([without], [with_one]) == {0: 0}


def test_entries_with_new_ids_and_the_same_link_title_and_date_are_the_same():
    link = "https://a.example/1"
    old, new = one("1-abc", "A", DATE, link), one("1-def", "A", DATE, link)
    assert match([new], [old]) == {0: 0}
    assert match([replace(new, published=DATE + timedelta(days=1))], [old]) == {}
    assert match([replace(new, published=None)], [replace(old, published=None)]) == {}
    assert match([new, replace(new, guid="1-ghi")], [old]) == {}


def test_what_could_be_two_stored_entries_is_neither():
    stored = [one("http://a.example/1"), one("http://www.a.example/1")]
    assert match([one("https://a.example/1")], stored) == {}


TEXTS = st.sampled_from(
    [
        *("", "1", "http://a.example", "http://a.example/", "https://www.A.example:443/1?"),
        *(
            "http://u:p@a.example/1",
            "https://b.example/1",
            "http://a.example?x",
            "http://a.example/?x",
        ),
        *("https://a.example/1?#x", "http://www.a.example/1#x", "http://a.example/1/"),
    ]
)
IDENTITIES = st.builds(
    one, TEXTS.filter(bool), st.sampled_from(["A", "B"]), st.sampled_from([DATE, None]), TEXTS
)


@given(IDENTITIES, IDENTITIES)
def test_what_matches_is_what_may_match(listed, stored):
    if match([listed], [stored]) and listed.guid != stored.guid:
        assert may_match([listed], [(stored.guid, stored.link, stored.title)])


def test_what_is_new_in_all_cannot_match():
    links = [one(f"http://a.example/{n}", f"T{n}", DATE, f"http://a.example/{n}") for n in (1, 2)]
    assert not may_match(links[:1], [(links[1].guid, links[1].link, links[1].title)])
