"""The feeds of a web page: those that it names, and where else one may be."""

import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser

from feeds.exceptions import FoundFeed
from feeds.reading.text import clean_text, web_link

__all__ = ["FoundFeed", "feeds_of_page", "well_known"]

MAX_PAGE = 500_000  # characters in which the head of a page ends
MAX_FOUND = 50
_TYPES = frozenset(
    "application/rss+xml application/atom+xml application/rdf+xml application/feed+json "
    "application/json application/xml text/xml application/x-rss+xml application/x.atom+xml "
    "application/x-atom+xml application/rss application/atom text/rss text/atom".split()
)
_NAMES = ("feed", "feed/", "rss", "rss.xml", "atom.xml", "feed.xml", "index.xml", "feed.json")
_OF_A_SITE = ("feeds/posts/default", "?feed=rss2", "blog/feed", "rss/")


def feeds_of_page(page: str, url: str) -> tuple[FoundFeed, ...]:
    """Return the feeds that an HTML page from `url` names, in its order, each once."""
    reader = _PageReader()
    with suppress(AssertionError):  # its way to say that markup is too broken
        reader.feed(page[:MAX_PAGE])
    base = web_link(reader.base, url) or url
    found: dict[str, FoundFeed] = {}
    for link in reader.links:
        address = _feed_address(link.get("href", ""), base)
        if address and _is_feed(link, address):
            title = clean_text(link.get("title", ""))
            found.setdefault(address, FoundFeed(address, title, link.get("type", "").lower()))
    found.pop(url, None)
    return tuple(found.values())[:MAX_FOUND]


def well_known(url: str) -> tuple[str, ...]:
    """Return the addresses where the feed of a page often is, the likelier first."""
    return tuple(dict.fromkeys(address for address in _guesses(url) if address != url))


def _guesses(url: str) -> Iterator[str]:
    folder = urllib.parse.urljoin(url.partition("?")[0].partition("#")[0], ".")
    site = urllib.parse.urljoin(url, "/")
    for name in _NAMES:
        yield from (web_link(name, base) for base in (folder, site))
    for name in _OF_A_SITE:
        yield web_link(name, site)


class _PageReader(HTMLParser):
    """Collects the links of a page that may be to a feed."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.links: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        if tag == "base":
            self.base = self.base or values.get("href", "")
        elif tag in ("link", "a") and "rel" in values:
            self.links.append(values)


def _feed_address(link: str, base: str) -> str:
    link = link.strip()
    for scheme in ("feed://", "feed:"):
        if link.lower().startswith(scheme):
            rest = link[len(scheme) :]
            link = rest if rest.startswith(("http:", "https:")) else f"http://{rest.lstrip('/')}"
    return web_link(link, base)


def _is_feed(link: dict[str, str], address: str) -> bool:
    kinds = link["rel"].lower().split()
    media_type = link.get("type", "").partition(";")[0].strip().lower()
    if "feed" in kinds and media_type in ("", *_TYPES):
        return True
    # WordPress names its programming interface in the same way.
    is_interface = media_type == "application/json" and "wp-json" in address
    return "alternate" in kinds and media_type in _TYPES and not is_interface
