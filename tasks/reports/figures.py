"""The figures of the last 24 hours, with the change against the 24 hours before."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import F, Max, Sum

from tasks import clock
from tasks.ledger.histograms import Histogram, percentile, summed
from tasks.ledger.summaries import hour_of
from tasks.models import HourlySummary, HourlyTotal
from tasks.reports.scope import Schedules, is_everything, of

HOUR = timedelta(hours=1)
HOURS = 24
COUNTS = ("finished", "failed", "lost", "missed", "skipped", "canceled", "late")


@dataclass(frozen=True, slots=True)
class Figure:
    """A count of the last 24 hours, and of the 24 hours before."""

    now: int
    before: int

    @property
    def change(self) -> int:
        return self.now - self.before

    @property
    def percent(self) -> int | None:
        """The change in percent of what it was before; None if that was nothing."""
        return round(100 * self.change / self.before) if self.before else None


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What came of everything that was due, or requested, since `since`.

    `runs` are those that started and ended: finished, failed (with the lost) or cancelled. `late`
    started more than `tasks.ledger.summaries.LATE` after their due. The lateness is that of the
    first attempts of occurrences; None if there were none.
    """

    since: datetime
    runs: Figure
    finished: Figure
    failed: Figure
    lost: Figure
    missed: Figure
    skipped: Figure
    canceled: Figure
    late: Figure
    median_lateness: timedelta | None
    p95_lateness: timedelta | None
    longest_lateness: timedelta | None


def day_figures(schedules: Schedules) -> DayFigures:
    """Return the figures of these schedules, in two queries.

    They are read from the hourly summaries, so what retention has deleted counts. The last 24
    hours are this hour so far and the 23 whole ones before. The 24 hours before are as long: of
    the hour of yesterday that corresponds to this one, as large a part counts as has passed of
    this one.
    """
    now = clock.now()
    begin = hour_of(now) - (HOURS - 1) * HOUR
    part = (now - hour_of(now)) / HOUR
    hours = _hours(schedules, begin - HOURS * HOUR)
    day = [one for hour, one in hours.items() if hour >= begin]
    present = _sum(one.counts for one in day)
    before = _sum(one.counts for hour, one in hours.items() if hour < begin - HOUR)
    partial = hours[begin - HOUR].counts if begin - HOUR in hours else Counter()
    figures = {
        name: Figure(present[name], before[name] + round(part * partial[name])) for name in COUNTS
    }
    ran = [figures[name] for name in ("finished", "failed", "canceled")]
    latenesses = _latenesses(schedules, begin)
    return DayFigures(
        since=begin,
        runs=Figure(sum(one.now for one in ran), sum(one.before for one in ran)),
        median_lateness=percentile(latenesses, 0.5),
        p95_lateness=percentile(latenesses, 0.95),
        longest_lateness=max((one.longest for one in day if one.longest is not None), default=None),
        **figures,
    )


class _Hour(NamedTuple):
    counts: Counter[str]
    longest: timedelta | None


def _hours(schedules: Schedules, begin: datetime) -> dict[datetime, _Hour]:
    """Return the counts of each hour from `begin` on, and its longest lateness."""
    if is_everything(schedules):
        rows: Any = HourlyTotal.objects.filter(hour__gte=begin)
        rows = rows.values("hour", *COUNTS, longest=F("longest_lateness"))
    else:
        rows = HourlySummary.objects.filter(of(schedules, "schedule"), hour__gte=begin)
        sums: Any = {name: Sum(name) for name in COUNTS}
        rows = rows.order_by().values("hour").annotate(**sums, longest=Max("longest_lateness"))
    return {row.pop("hour"): _Hour(longest=row.pop("longest"), counts=Counter(row)) for row in rows}


def _sum(counts: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def _latenesses(schedules: Schedules, begin: datetime) -> Histogram:
    if is_everything(schedules):
        rows: Any = HourlyTotal.objects.all()
    else:
        rows = HourlySummary.objects.filter(of(schedules, "schedule"))
    [latenesses] = summed(rows.filter(hour__gte=begin).order_by(), "latenesses").values() or [{}]
    return latenesses
