"""What is paused, everything or queues."""

import time
from datetime import timedelta
from typing import NamedTuple

from tasks.broker.connection import once_a_page
from tasks.models import Hold


class HoldsSeen(NamedTuple):
    """What is paused, and how long the database took to say so."""

    holds: tuple[Hold, ...]
    round_trip: timedelta

    @property
    def queues(self) -> frozenset[str]:
        """The names of the queues that are paused; "" if everything is."""
        return frozenset(hold.queue for hold in self.holds)


def read_holds() -> HoldsSeen:
    """Return what is paused, in one query, read once for a page."""
    return once_a_page("holds", _read)


def _read() -> HoldsSeen:
    sent = time.monotonic()
    holds = tuple(Hold.objects.all())
    return HoldsSeen(holds, timedelta(seconds=time.monotonic() - sent))
