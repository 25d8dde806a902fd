"""PURE: for how long nothing new is to be expected, by what the server and the document say.

That can make a feed be asked less often than its schedule says, never more often.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from feeds.asking import headers as http

# What is said to be fresh for longer is asked again nevertheless: nobody means a year.
LONGEST = timedelta(days=1)
# An occurrence that comes so little too early is asked: or what is fresh for just one interval
# would be asked at every second one only.
TOLERANCE = timedelta(minutes=1)


class Source(StrEnum):
    """Who says so."""

    MAX_AGE = "max-age"
    EXPIRES = "Expires"
    DOCUMENT = "document"


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
    return _fresh(span, Source.DOCUMENT)


def longest(*spans: Fresh | None) -> Fresh | None:
    """Return the longest of them; None if nobody says anything."""
    said = [fresh for fresh in spans if fresh is not None]
    return max(said, key=lambda fresh: fresh.span, default=None)


def _fresh(span: timedelta | None, source: Source) -> Fresh | None:
    return None if not span else Fresh(min(span, LONGEST), source)
