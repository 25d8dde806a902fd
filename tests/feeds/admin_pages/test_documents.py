"""The pages of documents that could not be read."""

import pytest
from django.urls import reverse

from feeds.models import FailedDocument, Feed
from feeds.services import tag_feed
from feeds.storing import keep_document
from tasks.models import Tag, TagUser
from tests.feeds.polled import polled
from tests.tasks.pages import rows_of, staff

pytestmark = pytest.mark.django_db

DOCUMENTS = reverse("admin:feeds_faileddocument_changelist")
BODY = b"<script>alert(1)</script>\0\xff\x1b[31m <a href='https://a.example/?token=abcdefgh'>"


@pytest.fixture
def document() -> FailedDocument:
    feed = Feed.objects.create(url="https://a.example/feed.xml", title="News")
    keep_document(feed, BODY, "text/html", "this is neither RSS nor Atom")
    return FailedDocument.objects.get()


def page_of(document: FailedDocument) -> str:
    return reverse("admin:feeds_faileddocument_change", args=[document.pk])


def test_a_document_that_could_not_be_read_is_shown_as_text_without_secrets(admin_client, document):
    response = admin_client.get(page_of(document))
    shown = response.content.decode()
    assert response["Content-Type"].startswith("text/html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;���[31m" in shown
    assert "this is neither RSS nor Atom" in shown
    assert not [bad for bad in ("<script>alert", "abcdefgh", "\0", "\x1b") if bad in shown]


def test_documents_are_listed_without_reading_them(
    admin_client, document, django_assert_max_num_queries
):
    admin_client.get(DOCUMENTS)
    with django_assert_max_num_queries(11):
        assert rows_of(admin_client.get(DOCUMENTS)) == [document]


def test_documents_are_shown_only_to_whoever_has_the_permission(client, document):
    client.force_login(staff("view_entry", "view_feed"))
    assert client.get(DOCUMENTS).status_code == client.get(page_of(document)).status_code == 403


def test_a_limited_person_sees_only_documents_of_feeds_with_their_tags(client, document):
    mine, _schedule = polled("https://b.example/")
    tag = Tag.objects.create(name="mine")
    tag_feed(mine, [tag])
    keep_document(mine, b"mine", "", "")
    user = staff("view_faileddocument")
    TagUser.objects.create(tag=tag, user_id=user.pk)
    client.force_login(user)
    assert [one.feed for one in rows_of(client.get(DOCUMENTS))] == [mine]
    assert client.get(page_of(document)).status_code == 302
