"""PURE: a feed of which the server says that it is gone, 410.

It is asked once a day from the first time on. It is gone for good when the server has said so
several times, over at least two days, and nothing else in between.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

EVERY = timedelta(days=1)
# So little too early is on time: else a daily schedule would be asked at every second occurrence.
TOLERANCE = timedelta(minutes=1)
TIMES = 3
SPAN = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Gone:
    """How often the server has said so, and since when."""

    since: datetime
    times: int

    def is_for_good(self, now: datetime) -> bool:
        """Return whether that is enough; `now` is the last time that it said so."""
        return self.times >= TIMES and now - self.since >= SPAN


def said_again(before: Gone | None, now: datetime) -> Gone:
    """Count an answer 410; `before` is None if it is the first."""
    return Gone(now, 1) if before is None else Gone(before.since, before.times + 1)


def asked_again(now: datetime) -> datetime:
    """Return when a feed is asked again that is said to be gone now."""
    return now + EVERY - TOLERANCE
