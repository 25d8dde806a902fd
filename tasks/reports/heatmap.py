"""Trouble by hour: schedules × hours, over 7 days."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from tasks import clock
from tasks.ledger.summaries import WEEK, hour_of
from tasks.models import HourlySummary
from tasks.reports.lengths import since
from tasks.reports.scope import Schedules
from tasks.reports.weeks import count_weeks

HOUR = timedelta(hours=1)
ROWS = 10
# An index has the weeks in this order.
TROUBLE = F("week__failed") + F("week__missed")


@dataclass(frozen=True, slots=True)
class Cell:
    """What came of one schedule's runs of one hour."""

    finished: int
    failed: int
    lost: int
    missed: int
    skipped: int
    canceled: int
    late: int
    longest_lateness: timedelta | None


@dataclass(frozen=True, slots=True)
class Row:
    """One schedule and its hours; an hour in which nothing was due has no cell."""

    schedule_pk: int
    name: str
    cells: Mapping[datetime, Cell]

    @property
    def failed(self) -> int:
        return sum(cell.failed for cell in self.cells.values())

    @property
    def missed(self) -> int:
        return sum(cell.missed for cell in self.cells.values())

    @property
    def late(self) -> int:
        return sum(cell.late for cell in self.cells.values())


@dataclass(frozen=True, slots=True)
class Heatmap:
    """The hours, in UTC, from the oldest to the present one, and a page of schedules."""

    hours: tuple[datetime, ...]
    rows: tuple[Row, ...]
    total: int


def heatmap(schedules: Schedules, page: int = 1, per_page: int = ROWS) -> Heatmap:
    """Return a page of the schedules with their last 168 hours, the worst first, in three queries.

    Worst is what failed or was missed most in these 7 days, then what was late most. Schedules
    without any runs in them are left out. `total` is the number of schedules on all pages.
    """
    present = hour_of(clock.now())
    hours = tuple(present - number * HOUR for number in reversed(range(WEEK // HOUR)))
    ranked = schedules.filter(week__isnull=False).order_by(
        TROUBLE.desc(), "-week__late", "name", "pk"
    )
    first = (page - 1) * per_page
    shown = dict(ranked.values_list("pk", "name")[first : first + per_page])
    cells: dict[int, dict[datetime, Cell]] = defaultdict(dict)
    names = tuple(Cell.__dataclass_fields__)
    rows = HourlySummary.objects.filter(schedule__in=shown, hour__gte=hours[0])
    for pk, after, *values in rows.values_list("schedule", since(hours[0], "hour"), *names):
        cells[pk][hours[0] + after] = Cell(*values)
    return Heatmap(
        hours=hours,
        rows=tuple(Row(pk, name, cells[pk]) for pk, name in shown.items()),
        total=sum(counted.with_week for counted in count_weeks(schedules).values()),
    )
