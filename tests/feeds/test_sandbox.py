import pytest

from feeds import sandbox
from feeds.exceptions import NotAFeed, TooCostly
from feeds.reading import parser
from tests.feeds.documents import URL, document, rss

RSS = "application/rss+xml"


@pytest.mark.parametrize("name", ["rss20.xml", "rss10.rdf", "atom.xml"])
def test_the_sandbox_reads_a_feed_as_the_parser_does(name):
    body = document(name)
    assert sandbox.parse(body, "text/xml", URL) == parser.parse(body, "text/xml", URL)


def test_the_sandbox_reports_a_document_that_is_not_a_feed():
    with pytest.raises(NotAFeed, match=f"{URL}: this is neither RSS nor Atom"):
        sandbox.parse(b"hello", "text/plain", URL)


@pytest.mark.parametrize(
    "body",
    [
        b"<?xml version='1.0'?>" + b"\n" * 200_000 + b"<rss version='2.0'></rss>",
        rss("<a>" * 1_500_000),
        rss(f"<item><author>{'a' * 200_000}</author></item>"),
    ],
    ids=["newlines", "depth", "author"],
)
def test_the_sandbox_gives_up_on_a_document_that_takes_too_long(body):
    with pytest.raises(TooCostly, match="takes more than 1 s"):
        sandbox.parse(body, RSS, URL, cpu_seconds=1)


def test_the_sandbox_gives_up_on_a_document_that_takes_too_much_memory():
    with pytest.raises(TooCostly, match="more than 10 s or 64 MiB"):
        sandbox.parse(rss("<item/>" * 500_000), RSS, URL, memory=64 * 2**20)
