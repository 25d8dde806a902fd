"""How many schedules are due in each minute around a time: whether a chosen time is a busy one.

It is read while somebody types, so it costs little and says roughly: at most so many rows are read,
and excluded dates and jitter don't count. An interval of a few minutes is due in many of them, and
is left out.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q

from tasks.exceptions import SpecError
from tasks.models import ScheduledTask
from tasks.reports.scope import Schedules
from tasks.timing import spec as specs
from tasks.timing.instants import MICROSECOND, MINUTE
from tasks.timing.spec import Spec

# How far from the time a free minute is looked for.
NEAR = timedelta(minutes=30)
# From how many others on a minute is busy.
BUSY = 5
# What is due more often than this, in seconds, isn't counted.
FREQUENT = 600
INTERVALS_READ, EXPRESSIONS_READ = 10_000, 1_000


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many others are due in the minute of a time, and which minute near it is the emptiest."""

    others: int
    emptiest: datetime
    others_then: int

    @property
    def is_busy(self) -> bool:
        """Whether another minute is worth to be told of."""
        return self.others >= BUSY and self.others_then <= self.others // 2


def crowd_at(time: datetime, schedules: Schedules) -> Crowd:
    """Return how many of these schedules are due in the minute of a time, in two queries."""
    minute = time.replace(second=0, microsecond=0)
    begin, end = minute - NEAR, minute + NEAR
    ended = Q(end__isnull=False, end__lt=begin) | Q(start__isnull=False, start__gt=end)
    live = schedules.filter(status__in=ScheduledTask.LIVE).exclude(ended).order_by()
    counts = Counter(_of_intervals(live, begin, end)) + _of_expressions(live, begin, end)
    here = NEAR // MINUTE
    emptiest = min(range(2 * here), key=lambda at: (counts[at], abs(at - here), at < here))
    return Crowd(counts[here], begin + emptiest * MINUTE, counts[emptiest])


def _of_intervals(live: Schedules, begin: datetime, end: datetime) -> Iterator[int]:
    """Yield for each due of an interval, and for each single time, in which minute it is."""
    coming = Q(interval__gte=FREQUENT, first__lt=end) | Q(
        interval=None, first__gte=begin, first__lt=end
    )
    rows: Any = live.filter(coming, cron="").values_list("first", "interval")
    span = (end - begin).total_seconds()
    for first, interval in rows[:INTERVALS_READ]:
        at, step = (first - begin).total_seconds(), interval or span
        at = at % step if at < 0 else at
        while at < span:
            yield int(at // 60)
            at += step


def _of_expressions(live: Schedules, begin: datetime, end: datetime) -> Counter[int]:
    """Count the dues of cron expressions: many schedules share one, which is played once."""
    rows: Any = live.exclude(cron="").values_list("cron", "timezone").annotate(number=Count("pk"))
    counts: Counter[int] = Counter()
    for cron, zone, number in rows.order_by("-number")[:EXPRESSIONS_READ]:
        with suppress(SpecError):  # It says so on its row (R7).
            for due in specs.dues(Spec(cron=cron, timezone=zone), begin - MICROSECOND, end):
                counts[(due - begin) // MINUTE] += number
    return counts
