"""PURE: for how long nothing new is to be expected, by what the server and the document say.

That can make a feed be asked less often than its schedule says, never more often. What they say is
believed so far and no further, because both are often mistaken. A server's “fresh for a year” is
meant for its pictures, and comes with the feed by accident: more than a day is never believed. What
a document says is meant for itself, but often in the wrong unit (`ttl` counts minutes): more than a
day is believed if its entries are as rare as that, up to a week.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from feeds.asking import headers as http
from feeds.interval import worth_asking_every

LONGEST = timedelta(days=1)
LONGEST_OF_DOCUMENT = timedelta(days=7)
# An occurrence that comes so little too early is asked: or what is fresh for just one interval
# would be asked at every second one only.
TOLERANCE = timedelta(minutes=1)


class Source(StrEnum):
    """Who says so."""

    MAX_AGE = "max-age"
    EXPIRES = "Expires"
    DOCUMENT = "document"
    ENTRIES = "entries"


@dataclass(frozen=True, slots=True)
class Fresh:
    """For how long a document is fresh, and who says so."""

    span: timedelta
    source: Source

    def until(self, now: datetime) -> datetime:
        """Return from when on it is to be asked again."""
        return now + self.span - min(self.span / 10, TOLERANCE)


def by_headers(headers: Mapping[str, str], now: datetime) -> Fresh | None:
    """Return for how long an answer is fresh by its headers; None if they don't say."""
    directives = http.cache_control(headers)
    if {"no-cache", "no-store"} & directives.keys():
        return None
    if "max-age" in directives:
        seconds = http.whole_seconds(directives["max-age"])
        age = http.whole_seconds(headers.get("Age", "")) or 0
        span = None if seconds is None else timedelta(seconds=max(seconds - age, 0))
        return _fresh(span, Source.MAX_AGE)
    return _fresh(http.expires(headers, now), Source.EXPIRES)


def by_document(update_seconds: int | None) -> Fresh | None:
    """Return for how long a document is fresh by what it says itself (`ttl`, `sy:update…`)."""
    span = None if update_seconds is None else timedelta(seconds=update_seconds)
    return _fresh(span, Source.DOCUMENT, LONGEST_OF_DOCUMENT)


def believed(
    update_seconds: int | None, published: Iterable[datetime | None], now: datetime
) -> int | None:
    """Return how much is believed of what a document says itself, by the dates of its entries."""
    if update_seconds is None:
        return None
    rare = worth_asking_every(published, now) or timedelta()
    longest = max(LONGEST, min(rare, LONGEST_OF_DOCUMENT))
    return min(update_seconds, int(longest.total_seconds()))


def by_entries(span: timedelta | None) -> Fresh | None:
    """Return for how long an adaptive feed is left alone by how often it publishes."""
    return _fresh(span, Source.ENTRIES)


def longest(*spans: Fresh | None) -> Fresh | None:
    """Return the longest of them; None if nobody says anything."""
    said = [fresh for fresh in spans if fresh is not None]
    return max(said, key=lambda fresh: fresh.span, default=None)


def _fresh(span: timedelta | None, source: Source, longest: timedelta = LONGEST) -> Fresh | None:
    return None if not span else Fresh(min(span, longest), source)
