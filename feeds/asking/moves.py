"""PURE: a feed whose address redirects permanently, and when that address becomes its own.

One redirect can be a mistake, or somebody in between. It has moved when several fetches were
redirected to the same place, over at least two days, permanently on every hop.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

TIMES = 3
SPAN = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a feed was redirected to, how often, and since when."""

    to: str
    since: datetime
    times: int

    def is_settled(self, now: datetime) -> bool:
        """Return whether that is enough for it to have moved."""
        return self.times >= TIMES and now - self.since >= SPAN


def seen(before: Sighting | None, here: str, to: str | None, now: datetime) -> Sighting | None:
    """Count a fetch that was redirected to `to`, None if it wasn't (permanently).

    Returns None if the feed doesn't go anywhere.
    """
    if to is None or to == here or is_downgrade(here, to):
        return None
    if before is None or before.to != to:
        return Sighting(to, now, 1)
    return Sighting(to, before.since, before.times + 1)


def is_downgrade(here: str, to: str) -> bool:
    """Return whether that leads from https to http, where anybody in between can change it."""
    return urlsplit(here).scheme == "https" and urlsplit(to).scheme == "http"
