"""Looks at an address that a person is about to add: what feed is there, or which ones are near."""

import time
from dataclasses import dataclass

from feeds import sandbox
from feeds.asking.fetching import Response
from feeds.exceptions import FeedError, FoundFeed, NotAFeed, without_secrets
from feeds.interval import suggested_interval
from feeds.reading.discovery import well_known
from feeds.reading.result import ParsedFeed
from feeds.remote import PATIENCE, look_at
from tasks import clock

# How many addresses are tried where a feed often is.
GUESSES = 6


@dataclass(frozen=True, slots=True)
class Looked:
    """What is at an address: a feed, or a page with these feeds near it."""

    url: str
    feed: ParsedFeed | None = None
    found: tuple[FoundFeed, ...] = ()

    @property
    def interval(self) -> int | None:
        """How often the feed is worth polling, in seconds."""
        if self.feed is None:
            return None
        published = (entry.published or entry.updated for entry in self.feed.entries)
        return suggested_interval(published, clock.now())


def look(url: str) -> Looked:
    """Fetch an address and return what is there; raises a FeedError.

    If it is a web page that names no feed, some addresses are tried where one often is. All of it
    together takes hardly more than `PATIENCE`.
    """
    until = time.monotonic() + PATIENCE
    response = look_at(url, PATIENCE)
    try:
        return Looked(url, _parsed(response))
    except NotAFeed as error:
        found = error.found
        if not found and "html" in response.content_type.lower():
            found = _guessed(response.url, until)
        if not found:
            raise
        return Looked(url, found=found)


def _parsed(response: Response) -> ParsedFeed:
    url = without_secrets(response.url)
    return sandbox.parse(response.body, response.content_type, url)


def _guessed(url: str, until: float) -> tuple[FoundFeed, ...]:
    """Return the feeds at the addresses where one often is, each once."""
    found: dict[str, FoundFeed] = {}
    for guess in well_known(url)[:GUESSES]:
        patience = until - time.monotonic()
        if patience <= 0:
            break
        try:
            response = look_at(guess, patience)
            feed = _parsed(response)
        except FeedError:
            continue  # It was only a guess.
        # Several of them may lead to the same one.
        found.setdefault(response.url, FoundFeed(guess, feed.title, response.content_type))
    return tuple(found.values())
