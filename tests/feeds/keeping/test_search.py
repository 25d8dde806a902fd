"""Full-text search over entries, on either database."""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds.keeping import search as searching
from feeds.keeping.search import search
from feeds.models import Entry, Feed
from feeds.reading.words import MAX_WORDS, searchable, terms

pytestmark = pytest.mark.django_db

LETTERS = "abcdefghijklmnopqrst"


@pytest.fixture
def feed() -> Feed:
    return Feed.objects.create(url="https://a.example/feed.xml")


def make(feed: Feed, title: str = "", **values: Any) -> Entry:
    guid = f"{Entry.objects.count()}"
    return Entry.objects.create(feed=feed, guid=guid, digest="", title=title, **values)


def found(text: str) -> set[str]:
    return set(search(text).values_list("title", flat=True))


@pytest.mark.parametrize(
    "text",
    ["lighthouse", "LIGHT", "light ferry", '"the old lighthouse"', "Grace", "islands", "vapeur"],
)
def test_an_entry_is_found_by_its_title_author_text_and_categories(feed, text):
    make(
        feed,
        "The old lighthouse",
        author="Grace Hopper",
        summary="<p>Ferry à vapeur</p>",
        content='<p>No <b>long</b>er<br>dark <a href="https://hidden.example/">there</a></p>',
        categories=["Islands & seas"],
    )
    make(feed, "Another")
    assert found(text) == {"The old lighthouse"}


@pytest.mark.parametrize(
    "text",
    [
        *("house", "strong", "href", "hidden", "br", "light rocket"),
        *('"old the lighthouse"', '"light"x', "ong", "!", '"', ""),
    ],
)
def test_an_entry_is_not_found_by_its_markup_parts_of_words_or_half_of_the_words(feed, text):
    make(
        feed,
        "The old lighthouse",
        content='<p><strong>No</strong> longer<br>dark <a href="https://hidden.example/">x</a></p>',
    )
    assert found(text) == set()


def test_the_index_follows_each_write(feed):
    first, second = make(feed, "lighthouse"), make(feed, "ferry")
    Entry.objects.filter(pk=first.pk).update(title="windmill")
    assert (found("lighthouse"), found("windmill")) == (set(), {"windmill"})
    Entry.objects.bulk_create(
        [Entry(feed=feed, guid=second.guid, digest="", title="harbour")],
        update_conflicts=True,
        unique_fields=["feed", "guid"],
        update_fields=["title"],
    )
    assert (found("ferry"), found("harbour")) == (set(), {"harbour"})
    feed.delete()
    assert found("harbour") == set()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite knows no languages.")
def test_other_forms_of_a_word_are_found_where_the_language_is_known(feed):
    make(feed, "Zwei Häuser", language="de-AT")
    make(feed, "Drei Häuser")
    make(feed, "A library", language="en")
    assert found("haus") == {"Zwei Häuser"}
    assert found("the libraries") == {"A library"}


odd = st.text(st.sampled_from("ab \"'*:&|!()^-+{}[]\\%_~<>,.;\0\ud800é한"), max_size=12) | st.text()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(odd)
def test_no_text_is_an_error(feed, text):
    assert search(text).count() == 0


@given(st.lists(odd), st.lists(odd))
def test_what_is_searched_can_be_stored_and_is_limited(texts, more):
    words = searchable(texts, more)
    words.encode()
    assert "\0" not in words
    assert len(words) <= MAX_WORDS


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('two "old  phrases" here', [("two", False), ("old phrases", True), ("here", False)]),
        ('"left open', [("left open", True)]),
        ("“curly quotes” - ! \0", [("curly quotes", True)]),
        (" ".join("abcdefghijklmnopqrstuvwxyz"), [(letter, False) for letter in LETTERS]),
    ],
)
def test_a_text_is_read_as_words_and_phrases(text, wanted):
    assert terms(text) == wanted


def test_a_very_long_entry_can_be_stored_and_found(feed):
    words = " ".join(f"wörd{n}한" for n in range(60_000))
    make(feed, "long", content=f"<p>{words}</p>")
    assert found("wörd17한") == {"long"}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL alters tables in place.")
def test_a_table_that_a_migration_has_made_anew_gets_its_index_again(feed):
    with connection.cursor() as cursor:
        for name in searching.WRITES:
            cursor.execute(f"DROP TRIGGER {searching.INDEX}_{name}")
    make(feed, "lighthouse")
    assert found("lighthouse") == set()
    call_command("migrate", verbosity=0)
    assert found("lighthouse") == {"lighthouse"}
    Entry.objects.update(title="windmill")
    assert (found("lighthouse"), found("windmill")) == (set(), {"windmill"})
