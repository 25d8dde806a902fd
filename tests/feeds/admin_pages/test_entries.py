"""The pages of entries: search, filters, stars, and what an entry says in a frame of its own."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from feeds.admin_pages import feed_filter
from feeds.admin_pages.periods import OFFERED, period
from feeds.models import Entry, Feed
from feeds.services import tag_feed
from tasks.models import Tag, TagUser
from tests.feeds.polled import polled
from tests.tasks.pages import rows_of, staff

pytestmark = pytest.mark.django_db

ENTRIES = reverse("admin:feeds_entry_changelist")
NAMES = reverse("admin:feeds_entry_feeds")
PUBLISHED = datetime(2025, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def feed() -> Feed:
    return Feed.objects.create(url="https://a.example/feed.xml", title="News")


def make(feed: Feed, title: str = "", **values: Any) -> Entry:
    guid = f"{Entry.objects.count()}"
    return Entry.objects.create(feed=feed, guid=guid, digest="", title=title, **values)


def page_of(entry: Entry, page: str = "change") -> str:
    return reverse(f"admin:feeds_entry_{page}", args=[entry.pk])


def text(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def titles(client: Client, **query: Any) -> list[str]:
    return [entry.title for entry in rows_of(client.get(f"{ENTRIES}?{urlencode(query)}"))]


def filter_of(client: Client, title: str, **query: Any) -> Any:
    response: Any = client.get(f"{ENTRIES}?{urlencode(query)}")
    changes = response.context_data["cl"]
    [spec] = [spec for spec in changes.filter_specs if spec.title == title]
    return spec, [choice["display"] for choice in spec.choices(changes)]


# The list


def test_entries_are_searched_by_their_words(admin_client, feed):
    make(feed, "Lighthouse", content="<p>It is <b>dark</b></p>")
    make(feed, "Ferry")
    assert titles(admin_client, q="light dark") == ["Lighthouse"]
    assert titles(admin_client, q="  ") == ["Ferry", "Lighthouse"]
    assert titles(admin_client, q="\"' OR 1=1 -- * &") == []


def test_secrets_in_the_text_of_an_entry_are_not_found_letter_by_letter(admin_client, feed):
    make(feed, "Lighthouse", content="<p>https://a.example/?token=abcdefgh dark</p>")
    assert titles(admin_client, q="dark") == ["Lighthouse"]
    assert titles(admin_client, q="abcd") == []


def test_entries_are_filtered_by_a_part_of_the_name_of_their_feed_or_its_key(admin_client, feed):
    other = Feed.objects.create(url="https://b.example/", title="Newsletter")
    make(feed, "Lighthouse")
    make(other, "Ferry")
    assert titles(admin_client, feed="letter") == ["Ferry"]
    assert titles(admin_client, feed="News") == ["Lighthouse"]  # which is all of its name
    assert titles(admin_client, feed="new") == ["Ferry", "Lighthouse"]
    assert titles(admin_client, feed__id__exact=other.pk) == ["Ferry"]
    assert titles(admin_client, feed__id__exact="x") == titles(admin_client, feed="x") == []


def test_the_filter_by_feed_keeps_what_else_is_chosen_and_lists_no_feeds(admin_client, feed):
    Feed.objects.bulk_create(
        Feed(url=f"https://b.example/{n}", title=f"Feed {n}") for n in range(50)
    )
    make(feed, published=PUBLISHED)
    query = {"q": "light", "published": "2025", "feed": "News"}
    spec, _choices = filter_of(admin_client, "feed", **query)
    assert sorted(spec.others) == [("published", "2025"), ("q", "light")]
    assert "Feed 7" not in text(admin_client, f"{ENTRIES}?{urlencode(query)}")


def test_from_an_entry_one_comes_back_to_the_list_as_it_was_filtered(admin_client, feed):
    entry = make(feed, "One")
    rows = admin_client.get(ENTRIES, {"feed": "ews", "starred__exact": "0"}).content.decode()
    way_back = urlencode({"_changelist_filters": "feed=ews&starred__exact=0"})
    assert f'href="{page_of(entry)}?{way_back}"' in rows
    assert f'href="{page_of(entry)}"' in admin_client.get(ENTRIES).content.decode()


def test_names_of_feeds_are_suggested_while_one_is_typed(admin_client, feed, monkeypatch):
    monkeypatch.setattr(feed_filter, "SUGGESTED", 2)
    for number in range(3):
        Feed.objects.create(url=f"https://b.example/{number}", title=f"Blog {number}")
    assert admin_client.get(NAMES, {"q": "blog"}).json() == {"names": ["Blog 0", "Blog 1"]}
    assert admin_client.get(NAMES, {"q": "new"}).json() == {"names": ["News"]}


@pytest.mark.parametrize(
    ("name", "found"),
    [("2025", "dcba"), ("2025-03", "cba"), ("2025-03-04", "ba"), ("2024", ""), ("2025-04", "d")],
)
def test_entries_are_filtered_by_a_year_a_month_or_a_day(admin_client, feed, name, found):
    for title, day in (("a", 4), ("b", 4), ("c", 31)):
        make(feed, title, published=PUBLISHED.replace(day=day, hour=23))
    make(feed, "d", published=PUBLISHED.replace(month=4, day=1, hour=0))
    assert titles(admin_client, published=name) == list(found)


@pytest.mark.parametrize(
    "name", ["", "x", "2025-13", "2025-02-30", "0001", "9999", "2025-1", "٢٠٢٥"]
)
def test_a_period_that_is_none_is_refused(admin_client, feed, name):
    assert period(name) is None
    assert admin_client.get(ENTRIES, {"published": name}).status_code == 302


def test_the_filter_by_date_offers_years_then_months_then_days(admin_client, feed):
    make(feed, published=PUBLISHED)
    make(feed, published=PUBLISHED.replace(year=2023))
    assert filter_of(admin_client, "published")[1] == ["Any time", "2025", "2024", "2023"]
    _spec, months = filter_of(admin_client, "published", published="2025")
    assert months[:4] + months[-1:] == ["Any time", "2025", "Jan", "Feb", "Dec"]
    _spec, days = filter_of(admin_client, "published", published="2024-02")
    assert days[:4] + days[-1:] == ["Any time", "2024", "Feb", "1", "29"]
    make(feed, published=PUBLISHED.replace(year=1950))
    assert len(filter_of(admin_client, "published")[1]) == OFFERED + 1


def test_no_query_of_the_list_goes_through_the_dates_of_all_entries(admin_client, feed):
    for number in range(3):
        make(feed, published=PUBLISHED - timedelta(days=400 * number))
    with CaptureQueriesContext(connection) as queries:
        text(admin_client, f"{ENTRIES}?published=2025")
        text(admin_client, ENTRIES)
    assert not [query for query in queries if "DISTINCT" in query["sql"].upper()]


# Stars


def test_entries_are_starred_from_the_list_and_found_by_their_star(admin_client, feed):
    first, second = make(feed, "first"), make(feed, "second")
    chosen = {"_selected_action": [first.pk, second.pk]}
    admin_client.post(ENTRIES, chosen | {"action": "star"})
    assert Entry.objects.filter(starred=True).count() == 2
    admin_client.post(ENTRIES, {"action": "unstar", "_selected_action": first.pk})
    assert titles(admin_client, starred__exact=1) == ["second"]


def test_an_entry_is_starred_on_its_page_by_a_post_only(admin_client, feed):
    entry = make(feed)
    for post, starred in ((False, False), (True, True), (True, False)):
        send = admin_client.post if post else admin_client.get
        assert send(page_of(entry, "star")).url == page_of(entry)
        entry.refresh_from_db()
        assert entry.starred is starred


def test_whoever_may_only_see_entries_does_not_star_them(client, feed):
    entry = make(feed)
    client.force_login(staff("view_entry"))
    assert "Star: keep" not in text(client, page_of(entry)) + text(client, ENTRIES)
    assert client.post(page_of(entry, "star")).status_code == 403
    client.post(ENTRIES, {"action": "star", "_selected_action": entry.pk})
    assert not Entry.objects.filter(starred=True).exists()


def test_a_limited_person_sees_and_stars_only_entries_of_feeds_with_their_tags(client):
    (mine, _), (other, _) = polled("https://a.example/"), polled("https://b.example/")
    Feed.objects.filter(pk=other.pk).update(title="Hidden")
    tag = Tag.objects.create(name="mine")
    tag_feed(mine, [tag])
    user = staff("view_entry", "change_entry")
    TagUser.objects.create(tag=tag, user_id=user.pk)
    client.force_login(user)
    hidden, seen = make(other, "hidden"), make(mine, "seen")
    assert titles(client) == ["seen"]
    assert titles(client, feed__id__exact=other.pk) == titles(client, feed="Hidden") == []
    assert client.get(NAMES, {"q": "hid"}).json() == {"names": []}
    for page in ("star", "frame"):
        assert client.post(page_of(hidden, page)).status_code == 404
    client.post(ENTRIES, {"action": "star", "_selected_action": [hidden.pk, seen.pk]})
    assert list(Entry.objects.filter(starred=True)) == [seen]


# Tags


def tag_names(entry: Entry) -> set[str]:
    return {tag.name for tag in entry.tags.all()}


def test_entries_are_tagged_from_the_list_and_found_by_their_tag(admin_client, feed):
    first, second = make(feed, "first"), make(feed, "second")
    chosen = {"_selected_action": [first.pk, second.pk]}
    for _ in range(2):
        admin_client.post(ENTRIES, chosen | {"action": "give_tag", "tag": "to-read, eu"})
    admin_client.post(
        ENTRIES, {"action": "take_tag", "_selected_action": first.pk, "tag": "to-read"}
    )
    assert (tag_names(first), tag_names(second)) == ({"eu"}, {"to-read", "eu"})
    assert titles(admin_client, tag="to-read") == ["second"]
    assert ">to-read</span>" in text(admin_client, ENTRIES)


def test_the_list_offers_only_tags_that_an_entry_has(admin_client, feed):
    for name in ("used", "of-a-feed"):
        Tag.objects.create(name=name)
    make(feed).tags.add(Tag.objects.get(name="used"))
    _spec, choices = filter_of(admin_client, "tag")
    assert choices == ["All", "used"]


def test_an_entry_is_tagged_on_its_page_by_a_post_only(admin_client, feed):
    entry = make(feed)
    admin_client.get(page_of(entry, "tag"), {"tag": "eu", "give_tag": "yes"})
    assert not tag_names(entry)
    answer = admin_client.post(page_of(entry, "tag"), {"tag": "eu", "give_tag": "yes"})
    assert answer.url == page_of(entry)
    assert tag_names(entry) == {"eu"}
    assert "Take the tag “eu” away" in text(admin_client, page_of(entry))
    admin_client.post(page_of(entry, "tag"), {"tag": "eu", "take_tag": "yes"})
    assert not tag_names(entry)
    admin_client.post(page_of(entry, "tag"), {"tag": "two words", "give_tag": "yes"})
    assert not tag_names(entry)


def test_whoever_may_only_see_entries_does_not_tag_them(client, feed):
    entry = make(feed)
    Tag.objects.create(name="eu")
    client.force_login(staff("view_entry"))
    assert "Give tag" not in text(client, page_of(entry)) + text(client, ENTRIES)
    assert client.post(page_of(entry, "tag"), {"tag": "eu"}).status_code == 403
    client.post(ENTRIES, {"action": "give_tag", "_selected_action": entry.pk, "tag": "eu"})
    assert not tag_names(entry)


def test_a_tag_of_an_entry_shows_it_to_nobody_else(client, feed):
    tag = Tag.objects.create(name="mine")
    entry = make(feed)
    entry.tags.add(tag)
    user = staff("view_entry", "change_entry")
    TagUser.objects.create(tag=tag, user_id=user.pk)
    client.force_login(user)
    assert titles(client) == []
    assert client.post(page_of(entry, "tag"), {"tag": "mine"}).status_code == 404


# What an entry says


def test_the_page_of_an_entry_shows_its_text_in_a_frame_without_scripts_forms_and_origin(
    admin_client, feed
):
    entry = make(feed, content="<p>Since <b>Monday</b></p>")
    response = admin_client.get(page_of(entry))
    frame = response.content.decode().partition("<iframe")[2].partition(">")[0]
    assert f'src="{page_of(entry, "frame")}"' in frame
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame
    assert "frame-src 'self'" in response["Content-Security-Policy"]
    assert "frame-src" not in admin_client.get(ENTRIES)["Content-Security-Policy"]


def test_the_frame_has_a_policy_of_its_own_that_allows_nothing_but_a_stylesheet(admin_client, feed):
    entry = make(feed, content="<p>Since <b>Monday</b></p><img src='https://a.example/1.png'>")
    response = admin_client.get(page_of(entry, "frame"))
    policy = dict(part.split(None, 1) for part in response["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'self'",
        "sandbox": "allow-popups allow-popups-to-escape-sandbox",
    }
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert response["Referrer-Policy"] == "no-referrer"
    shown = response.content.decode()
    assert "<p>Since <b>Monday</b></p>" in shown
    assert "1.png" not in shown


def test_the_images_of_an_entry_are_loaded_only_on_request(admin_client, feed):
    entry = make(feed, content="<img src='https://a.example/1.png'>")
    offered = text(admin_client, page_of(entry))
    assert 'href="?images=1"' in offered
    assert "?images=1" in text(admin_client, f"{page_of(entry)}?images=1").partition("<iframe")[2]
    response = admin_client.get(f"{page_of(entry, 'frame')}?images=1")
    assert "1.png" in response.content.decode()
    assert "img-src http: https:;" in response["Content-Security-Policy"]
    assert "images=1" not in text(admin_client, page_of(make(feed, content="<p>None</p>")))


def test_what_was_stored_unsafe_is_shown_safe_and_without_secrets(admin_client, feed):
    html = "<script>x()</script><p onclick='x()'>https://me:secret@a.example/</p><form><input>"
    shown = text(admin_client, page_of(make(feed, content=html), "frame"))
    assert not [bad for bad in ("<script", "onclick", "secret", "<form", "<input") if bad in shown]


def test_text_fields_of_an_entry_are_escaped(admin_client, feed):
    entry = make(
        feed,
        "<b>1</b>",
        author="<i>2</i>",
        link='https://a.example/"><b>',
        categories=["<u>3</u>"],
        enclosures=[{"url": 'https://a.example/"><b>', "type": "<b>4</b>", "length": 5}],
        starred=True,
    )
    shown = text(admin_client, page_of(entry)) + text(admin_client, ENTRIES)
    assert not [bad for bad in ("<b>1", "<i>2", '"><b>', "<u>3", "<b>4") if bad in shown]


def test_entries_are_read_only_in_the_admin(admin_client, feed):
    entry = make(feed)
    assert admin_client.get(reverse("admin:feeds_entry_add")).status_code == 403
    assert admin_client.post(page_of(entry), {"title": "x"}).status_code == 403
    assert admin_client.post(page_of(entry, "delete"), {"post": "yes"}).status_code == 403


def test_an_entry_without_a_title_is_called_by_how_it_begins(admin_client, feed):
    make(feed, content="<p>Since Monday</p>")
    assert "Since Monday" in text(admin_client, ENTRIES)


def test_the_pages_of_entries_take_the_same_queries_for_any_number(
    admin_client, feed, django_assert_max_num_queries
):
    for number in range(20):
        make(Feed.objects.create(url=f"https://b.example/{number}"), f"Light {number}")
    entry = make(feed, content="<p>x</p>")
    text(admin_client, ENTRIES)
    for url in (ENTRIES, f"{ENTRIES}?q=light&feed=x", page_of(entry), page_of(entry, "frame")):
        with django_assert_max_num_queries(16):
            text(admin_client, url)
