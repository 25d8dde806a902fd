import pytest

from feeds.exceptions import FoundFeed, NotAFeed
from feeds.reading.discovery import feeds_of_page, well_known
from feeds.reading.parser import parse

URL = "https://site.example/blog/post"
RSS, ATOM = "application/rss+xml", "application/atom+xml"


def found(markup: str, url: str = URL) -> list[str]:
    return [one.url for one in feeds_of_page(f"<html><head>{markup}</head></html>", url)]


def test_the_feeds_of_a_page_are_those_it_names_in_its_order():
    page = (
        f'<link rel="alternate" type="{ATOM}" title=" News\n &amp; more " href="/atom">'
        f'<link rel="stylesheet" href="/x.css"><link rel="alternate" hreflang="de" href="/de">'
        f'<link rel="alternate" type="{RSS}" href="rss">'
    )
    assert feeds_of_page(page, URL) == (
        FoundFeed("https://site.example/atom", "News & more", ATOM),
        FoundFeed("https://site.example/blog/rss", "", RSS),
    )


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (
            2 * f'<link rel="alternate" type="{RSS}" href="/a">',
            ["/a"],
        ),
        (f"<LINK REL='Alternate Home' TYPE='{RSS}; charset=utf-8' HREF=/a>", ["/a"]),
        (f'<base href="https://site.example/c/"><link rel=alternate type={RSS} href=a>', ["/c/a"]),
        ('<link rel="feed" href="/a">', ["/a"]),
        (f'<a rel="alternate" type="{RSS}" href="/a">RSS</a>', ["/a"]),
        ('<link rel="alternate" type="application/feed+json" href="/a.json">', ["/a.json"]),
        ('<link rel="alternate" type="application/json" href="/wp-json/wp/v2/posts/1">', []),
        ('<link rel="alternate" type="text/html" href="/a">', []),
        (f'<link rel="alternate" type="{RSS}" href="javascript:alert(1)">', []),
        (f'<link rel="alternate" type="{RSS}" href="feed://site.example/a">', ["/a"]),
        (f'<link rel="alternate" type="{RSS}" href="feed:https://site.example/a">', ["/a"]),
        (f'<link rel="alternate" type="{RSS}">', []),
        (f'<link rel="alternate" type="{RSS}" href="{URL}">', []),
        (f'<!-- <link rel="alternate" type="{RSS}" href="/old"> -->', []),
    ],
)
def test_the_feeds_of_a_page_are_absolute_and_named_once(markup, expected):
    addresses = [one.replace("http:", "https:") for one in found(markup)]
    assert addresses == [f"https://site.example{path}" for path in expected]


def test_broken_markup_does_not_hide_the_feeds_of_a_page():
    assert found(f'<![x <p <link rel="alternate" type="{RSS}" href="/a">') in (
        [],
        ["https://site.example/a"],
    )


@pytest.mark.parametrize("page", ["<!DOCTYPE html><title>x</title>", "<html><head>", "<body>\n"])
def test_a_page_in_place_of_a_feed_is_not_one_and_names_its_feed(page):
    body = f'{page}<link rel="alternate" type="{RSS}" href="/feed?token=s3cret-value">'.encode()
    with pytest.raises(NotAFeed, match=r"Its feed is https://site\.example/feed\?token=•••"):
        parse(body, "text/html", URL)


def test_a_page_about_feeds_is_not_one():
    body = b"<html><body><pre>&lt;rss version='2.0'></pre><rss version='2.0'></rss></body></html>"
    with pytest.raises(NotAFeed):
        parse(body, "text/html", URL)


def test_the_well_known_addresses_are_of_the_folder_and_of_the_site():
    addresses = well_known(URL)
    assert addresses[:2] == ("https://site.example/blog/feed", "https://site.example/feed")
    assert "https://site.example/atom.xml" in addresses
    assert len(set(addresses)) == len(addresses)
    assert "https://site.example/feed" not in well_known("https://site.example/feed")
