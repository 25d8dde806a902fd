"""The secrets in the addresses of feeds: on no page, in no output, and revealed on record."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from feeds.exceptions import without_secrets
from feeds.models import Entry, Feed
from feeds.services import schedule_feed

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "hunter2-hunter2"
URL = f"https://me:{SECRET}@feeds.example/x?page=3&token={SECRET}"
MASKED = "https://•••@feeds.example/x?page=3&token=•••"
FEEDS = reverse("admin:feeds_feed_changelist")
ENTRIES = reverse("admin:feeds_entry_changelist")
VIEW = ("view_feed", "view_entry", "view_scheduledtask")


@pytest.fixture
def feed() -> Feed:
    """Return a feed whose own texts hold its secret too."""
    feed = schedule_feed(URL)
    feed.link = f"https://feeds.example/?token={SECRET}"
    feed.save()
    html = f'<a href="https://feeds.example/1?token={SECRET}">one</a>'
    Entry.objects.create(feed=feed, guid=feed.link, link=feed.link, summary=html, content=html)
    return feed


def viewer(client, *permissions):
    user = User.objects.create_user("somebody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


def page(feed: Feed, name: str = "change") -> str:
    return reverse(f"admin:feeds_feed_{name}", args=[feed.pk])


@pytest.mark.parametrize("permissions", [VIEW, (*VIEW, "delete_feed", "reveal_secrets")])
def test_no_page_shows_the_secrets_of_a_feed(client, feed, permissions):
    client = viewer(client, *permissions)
    entry = reverse("admin:feeds_entry_change", args=[feed.entries.get().pk])
    schedule = reverse("admin:tasks_scheduledtask_change", args=[feed.schedule.pk])
    for url in (FEEDS, ENTRIES, page(feed), page(feed, "history"), page(feed, "delete"), entry):
        response = client.get(url)
        assert response.status_code in (200, 403), url
        assert SECRET not in response.content.decode(), url
    assert SECRET not in client.get(schedule).content.decode()
    assert "feeds.example/x?page=3&amp;token=•••" in client.get(page(feed)).content.decode()


def test_the_secrets_of_a_feed_cannot_be_searched_or_filtered_by(client, feed):
    client = viewer(client, *VIEW)
    assert list(client.get(FEEDS, {"q": "hunter2"}).context_data["cl"].result_list) == []
    for column in ("url", "final_url", "moving_to", "original_url"):
        assert client.get(f"{FEEDS}?{column}__contains=hunter").status_code == 400
    assert client.get(f"{ENTRIES}?link__contains=hunter").status_code == 400
    assert client.get(f"{ENTRIES}?feed__url__contains=hunter").status_code == 400


def test_the_address_of_a_feed_is_revealed_on_record(client, feed):
    client = viewer(client, *VIEW, "reveal_secrets")
    assert page(feed, "reveal") in client.get(page(feed)).content.decode()
    shown = client.post(page(feed, "reveal")).content.decode()
    assert URL.replace("&", "&amp;") in shown
    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_repr) == ("somebody", MASKED)
    assert SECRET not in entry.change_message


def test_the_address_of_a_feed_is_not_revealed_to_others(client, feed):
    client = viewer(client, *VIEW, "change_feed", "delete_feed")
    assert client.post(page(feed, "reveal")).status_code == 403
    assert client.get(page(feed, "reveal")).status_code == 302


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://a.example/x?page=3#top", "https://a.example/x?page=3#top"),
        (f"https://a.example/x?page=3&token={SECRET}#top", "https://a.example/x"),
    ],
)
def test_links_in_a_feed_do_not_inherit_the_secret_of_its_address(url, base):
    assert without_secrets(url) == base
