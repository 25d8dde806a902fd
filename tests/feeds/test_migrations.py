"""What migrations do with rows that an older version has stored."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from feeds.keeping.documents import keep_document
from feeds.keeping.search import search
from feeds.models import Entry, Feed, Tombstone

BEFORE = ("feeds", "0003_tags")


@pytest.fixture
def latest() -> Iterator[None]:
    """Leave the database as it was."""
    yield
    call_command("migrate", verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_entries_of_an_older_version_are_kept_and_found(latest: None):
    executor = MigrationExecutor(connection)
    executor.migrate([BEFORE])
    apps = executor.loader.project_state([BEFORE]).apps
    feed = apps.get_model("feeds", "Feed").objects.create(url="https://a.example/")
    old = apps.get_model("feeds", "Entry")
    texts = {"content": "<p>The old <b>light</b>house</p>", "summary": ""}
    old.objects.bulk_create(
        old(feed=feed, guid=f"{number}", digest="", title=f"{number}", **texts)
        for number in range(501)
    )
    call_command("migrate", verbosity=0)
    assert search('"old lighthouse"').count() == Entry.objects.count() == 501
    entry = Entry.objects.get(guid="500")
    assert (entry.starred, entry.categories, entry.published_text) == (False, [], "")


@pytest.mark.django_db(transaction=True)
def test_an_older_version_can_add_entries_and_delete_feeds_while_it_is_replaced(latest: None):
    call_command("migrate", verbosity=0)
    apps = MigrationExecutor(connection).loader.project_state([BEFORE]).apps
    feed = apps.get_model("feeds", "Feed").objects.create(url="https://a.example/")
    old = apps.get_model("feeds", "Entry")
    old.objects.create(feed=feed, guid="1", digest="", title="Lighthouse")
    assert search("lighthouse").get().enclosures == []
    Tombstone.objects.create(feed_id=feed.pk, key=1)
    keep_document(Feed.objects.get(), b"", "", "")
    assert feed.delete()
