"""Documents that could not be read are kept for a while."""

from datetime import timedelta

import pytest

from feeds.keeping import documents
from feeds.models import FailedDocument, Feed
from feeds.storing import keep_document
from tasks import clock

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed() -> Feed:
    return Feed.objects.create(url="https://a.example/feed.xml")


def bodies() -> set[bytes]:
    return {document.body for document in FailedDocument.objects.all()}


def test_a_document_is_kept_with_the_reason_and_without_secrets_in_it(feed):
    why = "https://a.example/?token=abcdef: \0this is not a feed"
    keep_document(feed, b"<html>\xff\0", "text/html", why)
    document = FailedDocument.objects.get()
    assert (document.body, document.size) == (b"<html>\xff\0", 8)
    assert document.content_type == "text/html"
    assert "not a feed" in document.why
    assert "abcdef" not in document.why


def test_the_same_document_again_is_kept_once_with_the_latest_reason(feed):
    keep_document(feed, b"same", "", "first")
    keep_document(feed, b"same", "", "second")
    assert FailedDocument.objects.get().why == "second"


def test_of_a_long_document_only_the_beginning_is_kept(feed, monkeypatch):
    monkeypatch.setattr(documents, "MOST_BYTES", 3)
    keep_document(feed, b"12345", "x" * 9_999, "")
    document = FailedDocument.objects.get()
    assert (document.body, document.size) == (b"123", 5)


def test_only_the_latest_documents_of_a_feed_are_kept_and_only_some_of_all(feed, monkeypatch):
    monkeypatch.setattr(documents, "MOST", 4)
    other = Feed.objects.create(url="https://b.example/")
    keep_document(other, b"first", "", "")
    keep_document(other, b"other", "", "")
    for number in range(5):
        keep_document(feed, b"%d" % number, "", "")
    assert bodies() == {b"other", b"2", b"3", b"4"}


def test_documents_are_forgotten_after_some_days(feed, monkeypatch):
    keep_document(feed, b"old", "", "")
    later = clock.now() + timedelta(days=8)
    monkeypatch.setattr(clock, "now", lambda: later)
    keep_document(feed, b"new", "", "")
    assert bodies() == {b"new"}


def test_the_documents_of_a_feed_go_with_it(feed):
    keep_document(feed, b"1", "", "")
    feed.delete()
    assert not FailedDocument.objects.exists()
