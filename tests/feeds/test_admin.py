from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from feeds.admin import FeedAdmin
from feeds.models import Entry, Feed, Subscription
from feeds.services import schedule_feed, tag_feed
from tasks.models import ScheduledTask, ScheduledTaskInstance, Tag, TagUser
from tests.feeds.polled import polled
from tests.tasks.pages import staff

pytestmark = pytest.mark.django_db

URL = "https://a.example/feed.xml"
FEEDS = "/admin/feeds/feed/"
ENTRIES = "/admin/feeds/entry/"


@pytest.fixture
def feed() -> Feed:
    feed, schedule = polled(URL)
    now = timezone.now()
    ScheduledTaskInstance.objects.create(
        parent=schedule, status="finished", requested=now, started=now, ended=now
    )
    return feed


def make_entry(feed: Feed, guid: str = "1", **values: Any) -> Entry:
    return Entry.objects.create(feed=feed, guid=guid, digest=guid, **values)


def page(client: Client, url: str, **data: str) -> str:
    response = client.get(url, data)
    assert response.status_code == 200
    return response.content.decode()


def change_page(thing: Feed | Entry) -> str:
    return reverse(f"admin:feeds_{type(thing).__name__.lower()}_change", args=[thing.pk])


# Feeds


def test_the_list_of_feeds_in_the_admin_shows_entries_schedule_and_last_run(admin_client, feed):
    make_entry(feed)
    text = page(admin_client, FEEDS)
    assert URL in text
    assert f'<a href="{ENTRIES}?feed__id__exact={feed.pk}">1</a>' in text
    assert reverse("admin:tasks_scheduledtask_page", args=[feed.schedule_id]) in text
    assert "every 15 minutes" in text
    assert "is-finished" in text


def test_the_page_of_a_feed_shows_the_next_due_as_the_other_pages_do(admin_client, feed):
    due = feed.schedule.next_due(timezone.now())
    text = page(admin_client, change_page(feed))
    assert f'<time class="sl-when" datetime="{due.isoformat()}"' in text
    assert str(due) not in text


def test_the_page_of_a_feed_says_until_when_it_is_pushed_or_why_not(admin_client, feed, settings):
    assert "ushed" not in page(admin_client, change_page(feed))
    settings.FEEDS_PUBLIC_URL = "https://jobs.example"
    assert "Not pushed: no hub is known of it." in page(admin_client, change_page(feed))
    until = timezone.now() + timedelta(days=1)
    known = Subscription.objects.create(
        feed=feed, hub="https://hub.example/", topic=feed.url, lease_end=until
    )
    text = page(admin_client, change_page(feed))
    assert f"Pushed by hub.example, until {until:%Y-%m-%d %H:%M}; nothing has come yet." in text
    known.pushed = known.ignored = timezone.now()
    known.ignored += timedelta(hours=1)
    known.failure = "the hub answered 500."
    known.save()
    text = page(admin_client, change_page(feed))
    assert "was not signed as agreed" in text
    assert "Renewing it has failed: the hub answered 500." in text
    assert known.key not in text
    assert known.secret not in text


@pytest.mark.parametrize("url", [FEEDS, ENTRIES])
def test_the_admin_lists_feeds_and_entries_with_the_same_queries_for_any_number(
    admin_client, feed, url
):
    counts = []
    for many in (1, 12):
        for number in range(many):
            make_entry(schedule_feed(f"{URL}?{many}-{number}"))
        with CaptureQueriesContext(connection) as queries:
            page(admin_client, url)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_page_of_feeds_reads_nothing_of_those_before_it(admin_client, feed, monkeypatch):
    monkeypatch.setattr(FeedAdmin, "list_per_page", 1)
    for number in range(2):
        make_entry(schedule_feed(f"{URL}?{number}"))
    with CaptureQueriesContext(connection) as queries:
        page(admin_client, f"{FEEDS}?p=3")
    skipping = [query["sql"] for query in queries if "OFFSET 2" in query["sql"]]
    assert len(skipping) == 1
    assert "feeds_entry" not in skipping[0]


def test_a_search_that_finds_nothing_searches_once(admin_client, feed):
    with CaptureQueriesContext(connection) as queries:
        assert URL not in page(admin_client, f"{FEEDS}?q=nowhere")
    assert sum("%nowhere%" in query["sql"] for query in queries) == 1


def test_each_feed_of_the_list_has_a_box_that_says_whose_it_is(admin_client, feed):
    box = f'class="action-select" name="_selected_action" value="{feed.pk}"'
    assert f'<input type="checkbox" {box} aria-label="Select {feed}">' in page(admin_client, FEEDS)


def test_adding_a_feed_in_the_admin_schedules_it(admin_client, django_capture_on_commit_callbacks):
    assert "every 15 minutes" in page(admin_client, reverse("admin:feeds_feed_add"))
    with django_capture_on_commit_callbacks(execute=True):
        answer = admin_client.post(reverse("admin:feeds_feed_add"), {"url": "HTTPS://A.example/x"})
    assert answer.status_code == 302
    schedule = ScheduledTask.objects.get()
    assert schedule.interval == 900
    assert Feed.objects.get(url="https://a.example/x").schedule == schedule


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://a.example/", "starts with http:// or https://"),
        ("https://A.example/feed.xml#top", "already exists"),
        ("", "required"),
    ],
)
def test_an_invalid_or_known_address_of_a_feed_is_reported_at_the_field(
    admin_client, feed, url, message
):
    answer = admin_client.post(reverse("admin:feeds_feed_add"), {"url": url})
    assert message in str(answer.context["adminform"].form.errors["url"])
    assert Feed.objects.count() == 1


def test_the_page_of_a_feed_shows_no_credentials(admin_client):
    feed = schedule_feed("https://me:secret@a.example/")
    text = page(admin_client, change_page(feed))
    assert "https://•••@a.example/" in text
    assert "secret" not in text + page(admin_client, FEEDS)


def test_nothing_but_the_tags_of_a_feed_can_be_changed(admin_client, feed):
    admin_client.post(change_page(feed), {"url": "https://evil.example/"})
    feed.refresh_from_db()
    assert "evil" not in feed.url


def test_a_feed_without_schedule_is_shown_in_the_admin(admin_client, feed):
    feed.schedule.delete()
    assert "not scheduled" in page(admin_client, FEEDS)
    assert "not scheduled" in page(admin_client, change_page(feed))


def test_deleting_a_feed_in_the_admin_shows_counts_and_deletes_all_of_it(admin_client, feed):
    make_entry(feed, title="A title")
    url = reverse("admin:feeds_feed_delete", args=[feed.pk])
    asked = page(admin_client, url)
    assert "Entries: 1" in asked
    assert "A title" not in asked
    admin_client.post(url, {"post": "yes"})
    assert [model.objects.count() for model in (Feed, Entry, ScheduledTask)] == [0, 0, 0]


def test_deleting_feeds_from_the_admin_list_deletes_their_schedules(admin_client, feed):
    data = {"action": "delete_selected", "_selected_action": feed.pk, "post": "yes"}
    admin_client.post(FEEDS, data)
    assert [model.objects.count() for model in (Feed, ScheduledTask)] == [0, 0]


def test_a_feed_is_not_deleted_without_the_permission(client, django_user_model, feed):
    user = django_user_model.objects.create_user("reader", is_staff=True)
    client.force_login(user)
    answer = client.post(reverse("admin:feeds_feed_delete", args=[feed.pk]), {"post": "yes"})
    assert answer.status_code == 403
    assert Feed.objects.exists()


def test_a_tag_by_a_key_that_no_database_holds_is_an_error_of_the_form(admin_client, feed):
    answer = admin_client.post(change_page(feed), {"tags": ["99999999999999999999"]})
    assert answer.status_code == 200
    assert "tags" in answer.context_data["adminform"].form.errors


def test_the_tags_of_a_feed_are_saved_and_given_to_its_schedule(admin_client: Client):
    feed, schedule = polled(URL)
    old, new, own = (Tag.objects.create(name=name) for name in ("old", "new", "own"))
    tag_feed(feed, [old])
    schedule.tags.add(own)
    assert admin_client.post(change_page(feed), {"tags": [new.pk]}).status_code == 302
    assert set(feed.tags.all()) == {new}
    assert set(schedule.tags.all()) == {new, own}


def test_a_limited_person_drops_no_tag_that_they_do_not_see(client: Client):
    feed, _schedule = polled(URL)
    mine, hidden = (Tag.objects.create(name=name) for name in ("mine", "hidden"))
    tag_feed(feed, [mine, hidden])
    user = staff("view_feed", "change_feed")
    TagUser.objects.create(tag=mine, user_id=user.pk)
    client.force_login(user)
    page = change_page(feed)
    form = client.get(page).context["adminform"].form
    assert list(form.fields["tags"].queryset) == [mine]
    assert client.post(page, {"tags": []}).status_code == 302
    assert set(feed.tags.all()) == {mine, hidden}


def test_a_limited_person_adds_a_feed_with_their_tag(client: Client):
    mine = Tag.objects.create(name="mine")
    user = staff("view_feed", "add_feed")
    TagUser.objects.create(tag=mine, user_id=user.pk)
    client.force_login(user)
    data = {"url": URL}
    assert client.post(reverse("admin:feeds_feed_add"), data).status_code == 302
    feed = Feed.objects.get()
    assert feed.schedule is not None
    assert list(feed.tags.all()) == list(feed.schedule.tags.all()) == [mine]
