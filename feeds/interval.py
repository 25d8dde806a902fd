"""PURE: suggests how often a feed is worth polling, from how often it publishes."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from statistics import median

HOUR = 3_600
# What people may choose from, in seconds.
CHOICES = (900, 1_800, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR)
LATEST = 20


def suggested_interval(published: Iterable[datetime | None], now: datetime) -> int:
    """Return an interval in seconds: the longest that is at most half of what lies between entries.

    Of a feed with fewer than two dates nothing is known: it is polled as any new one. One that has
    been silent is polled by its silence.
    """
    known = sorted({at for at in published if at is not None and at <= now}, reverse=True)[:LATEST]
    if len(known) < 2:
        return CHOICES[0]
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(known)]
    usual = max(median(gaps), (now - known[0]).total_seconds() / 2)
    return max((choice for choice in CHOICES if 2 * choice <= usual), default=CHOICES[0])
