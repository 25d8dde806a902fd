import logging

import pytest

from feeds import exceptions, sandbox
from feeds.models import Feed
from feeds.reading import parser
from feeds.reading.result import ParsedFeed
from feeds.tasks import fetch_rss
from tasks import registry
from tasks.exceptions import InvalidArguments
from tasks.transfer import bound, exported
from tests.feeds.documents import document, item, rss
from tests.feeds.polled import poll, polled
from tests.feeds.site import Site, answer

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed(site: Site, settings) -> Feed:
    settings.FEEDS_ALLOWED_HOSTS = [site.host_port]
    return Feed.objects.create(url=site.url())


def test_fetch_rss_is_a_registered_task_function():
    assert registry.get("feeds.fetch_rss").func is fetch_rss


def test_a_poll_stores_the_entries_of_a_feed_and_counts_them(site, feed):
    site.pages["/feed.xml"] = answer(body=document("rss20.xml"))
    assert poll(feed) == {"new": 3, "updated": 0, "unchanged": 0, "status": 200}
    feed.refresh_from_db()
    assert feed.title == "The Harbour & Tide Gazette"
    assert feed.entries.first().title == "New lighthouse opens"


def test_a_second_poll_of_a_feed_counts_new_updated_and_unchanged_entries(site, feed):
    site.pages["/feed.xml"] = answer(body=rss(item(1) + item(2)))
    poll(feed)
    site.pages["/feed.xml"] = answer(body=rss(item(3) + item(2, author="x") + item(1)))
    assert poll(feed) == {"new": 1, "updated": 1, "unchanged": 1, "status": 200}


def test_an_unchanged_feed_is_requested_with_its_validators_and_counts_nothing(site, feed):
    site.pages["/feed.xml"] = answer(body=rss(item(1)), ETag='"1"', Last_Modified="yesterday")
    poll(feed)
    site.pages["/feed.xml"] = answer(304)
    feed.refresh_from_db()
    assert poll(feed) == {"new": 0, "updated": 0, "unchanged": 0, "status": 304}
    assert site.requests[1]["If-None-Match"] == '"1"'
    assert site.requests[1]["If-Modified-Since"] == "yesterday"


def test_what_is_wrong_with_a_document_is_in_the_result_and_on_the_feed(site, feed, monkeypatch):
    monkeypatch.setattr(parser, "MAX_ENTRIES", 2)
    monkeypatch.setattr(sandbox, "parse_async", parsed_here)
    items = "".join(map(item, range(5)))
    site.pages["/feed.xml"] = answer(body=rss(items)[: -len("</channel></rss>")], ETag='"1"')
    result = poll(feed)
    assert "no element found" in result["defect"] or "unclosed" in result["defect"]
    assert result["dropped"] == 3
    feed.refresh_from_db()
    assert (feed.defect, feed.dropped) == (result["defect"], 3)
    site.pages["/feed.xml"] = answer(304)
    assert poll(feed).keys() == {"new", "updated", "unchanged", "status"}
    feed.refresh_from_db()
    assert feed.dropped == 3
    site.pages["/feed.xml"] = answer(body=rss(item(1)))
    poll(feed)
    feed.refresh_from_db()
    assert (feed.defect, feed.dropped) == ("", 0)


async def parsed_here(body: bytes, content_type: str, url: str) -> ParsedFeed:
    """Read a document in this process, where limits can be others."""
    return parser.parse(body, content_type, url)


def test_the_result_says_where_an_address_redirects_to_permanently(site, feed):
    site.pages |= {"/feed.xml": answer(301, Location="/n.xml?token=s3cr3t")}
    site.pages["/n.xml"] = answer(body=rss(item(1)))
    to = poll(feed)["redirects_to"]
    assert to.startswith(site.url("/n.xml?token="))
    assert "s3cr3t" not in to


def test_validators_of_a_feed_are_kept_only_if_the_document_could_be_stored(site, feed):
    site.pages["/feed.xml"] = answer(body=b"<html>no feed</html>", ETag='"1"')
    with pytest.raises(exceptions.NotAFeed):
        poll(feed)
    feed.refresh_from_db()
    assert feed.etag == ""


def test_relative_links_of_entries_are_resolved_against_the_final_address_of_the_feed(site, feed):
    site.pages["/feed.xml"] = answer(302, Location="/blog/feed.xml")
    site.pages["/blog/feed.xml"] = answer(body=rss(item(1, link="post")))
    poll(feed)
    assert feed.entries.get().link == site.url("/blog/post")


def test_a_permanent_redirect_of_a_feed_is_logged_and_its_address_kept(site, feed, caplog):
    site.pages["/feed.xml"] = answer(301, Location="/new.xml")
    site.pages["/new.xml"] = answer(body=rss())
    poll(feed)
    feed.refresh_from_db()
    assert feed.url == site.url()
    assert f"redirects permanently to {site.url('/new.xml')}" in caplog.text


def test_credentials_of_a_feed_are_neither_logged_nor_in_errors_nor_in_links(site, feed, caplog):
    caplog.set_level(logging.DEBUG)
    feed.url = site.url().replace("//", "//me:secret@")
    feed.save()
    site.pages["/feed.xml"] = answer(body=rss(item(1, link="post")))
    poll(feed)
    site.pages["/feed.xml"] = answer(500)
    with pytest.raises(exceptions.HttpStatus) as caught:
        poll(feed)
    assert "secret" not in caplog.text + str(caught.value) + feed.entries.get().link


def test_a_poll_of_a_feed_on_a_private_address_is_refused(site, feed, settings):
    settings.FEEDS_ALLOWED_HOSTS = []
    with pytest.raises(exceptions.RefusedAddress, match="FEEDS_ALLOWED_HOSTS"):
        poll(feed)


def test_a_poll_of_a_feed_that_was_removed_meanwhile_fails_with_its_id(site, feed):
    site.pages["/feed.xml"] = answer(body=rss(item(1)))
    copy = Feed.objects.get()
    feed.delete()
    with pytest.raises(exceptions.UnknownFeed, match=f"Feed {copy.pk}: it isn't stored"):
        poll(copy)


def test_the_job_of_a_feed_that_is_gone_says_so():
    with pytest.raises(InvalidArguments, match=r"feed 5 doesn't exist \(any more\)"):
        registry.get("feeds.fetch_rss").load_arguments([5], {})


def test_a_schedule_of_a_feed_is_left_out_of_an_export(redis_connection):
    _feed, schedule = polled("https://a.example/?token=hunter2")
    assert (schedule in bound(), schedule.name in exported("json")) == (True, False)
