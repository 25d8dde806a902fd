"""PURE: a feed whose address redirects permanently, and when that address becomes its own.

One redirect can be a mistake, or somebody in between. It has moved when several fetches were
redirected to the same place, over at least two days, permanently on every hop. It goes back when
as many fetches, over as long, have found no feed at its new address, unless it moved long ago: who
has the original address by then?
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

TIMES = 3
SPAN = timedelta(days=2)
BACK_WITHIN = timedelta(days=31)


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
    return _again(before, to, now)


def missed(before: Sighting | None, original: str, now: datetime) -> Sighting:
    """Count a fetch that found no feed at the new address: that leads to the original one."""
    return _again(before, original, now)


def can_go_back(moved_at: datetime | None, now: datetime) -> bool:
    """Return whether a feed may still go back; `moved_at` is None if it can't at all."""
    return moved_at is not None and now - moved_at <= BACK_WITHIN


def is_downgrade(here: str, to: str) -> bool:
    """Return whether that leads from https to http, where anybody in between can change it."""
    return urlsplit(here).scheme == "https" and urlsplit(to).scheme == "http"


def _again(before: Sighting | None, to: str, now: datetime) -> Sighting:
    if before is None or before.to != to:
        return Sighting(to, now, 1)
    return Sighting(to, before.since, before.times + 1)
