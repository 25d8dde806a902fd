"""PURE: how often a feed is worth polling, from how often it publishes."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

HOUR = 3_600
# What people may choose from, in seconds.
CHOICES = (900, 1_800, HOUR, 2 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR)
# However rarely a feed publishes, an adaptive one is asked once a day: when it publishes again,
# that isn't seen much later.
LONGEST = timedelta(days=1)
# By how many of its newest entries that is judged.
LATEST = 20


def worth_asking_every(published: Iterable[datetime | None], now: datetime) -> timedelta | None:
    """Return half of what usually lies between a feed's entries; None if that isn't known.

    Of one that has been silent for longer, it is a quarter of the silence.
    """
    known = sorted({at for at in published if at is not None and at <= now}, reverse=True)[:LATEST]
    if len(known) < 2:
        return None
    gaps = [(later - earlier).total_seconds() for later, earlier in pairwise(known)]
    usual = max(median(gaps), (now - known[0]).total_seconds() / 2)
    return timedelta(seconds=usual / 2)


def suggested_interval(published: Iterable[datetime | None], now: datetime) -> int:
    """Return the longest interval to choose, in seconds, at which a feed is asked often enough.

    A feed of which nothing is known is polled as any new one.
    """
    often_enough = worth_asking_every(published, now) or timedelta()
    fitting = (choice for choice in CHOICES if timedelta(seconds=choice) <= often_enough)
    return max(fitting, default=CHOICES[0])


def adapted_interval(
    published: Iterable[datetime | None], interval: timedelta, now: datetime
) -> timedelta | None:
    """Return how long an adaptive feed is left alone; None if its schedule's interval is right."""
    span = min(worth_asking_every(published, now) or timedelta(), LONGEST)
    return span if span > interval else None
