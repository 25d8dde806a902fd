"""Audits the ledger: what was due by the specs of all periods, beside the rows."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.utils import timezone

from tasks.database import CHUNK, chunks
from tasks.exceptions import SpecError
from tasks.models import ScheduledTask, ScheduledTaskInstance, SchedulePeriod
from tasks.runs.retries import awaits_retry
from tasks.timing import spec
from tasks.timing.instants import MICROSECOND
from tasks.timing.spec import spec_from_json

# One that is open for longer is overdue: a scheduler that is there has run it, or recorded it as
# missed, within a minute or so, unless it waits for the workers.
OVERDUE = timedelta(minutes=10)
# How many of the instants that are amiss a tally names.
NAMED = 10
Row = tuple[int, datetime, datetime | None, str, int, datetime | None]


# Checking


@dataclass
class Instants:
    """Due instants that are amiss: how many, and the first of them."""

    number: int = 0
    first: list[datetime] = field(default_factory=list)

    def add(self, due: datetime) -> None:
        self.number += 1
        if len(self.first) < NAMED:
            self.first.append(due)


@dataclass
class Tally:
    """What came of everything that was due by one schedule.

    `due` is the sum of the outcomes, of what is in flight, of what is overdue and of the missing.
    Without a row, a due instant is a hole if the books are closed over it: up to the schedule's
    `settled_through` each has its row. After that it is open, so in flight, but overdue after
    `OVERDUE`: it waits for a worker or a scheduler, which the rows can't tell apart. A stray is
    the row of an instant that was never due. What backfill ran outside of what was owed is due as
    well: it was asked for.
    """

    schedule: ScheduledTask
    due: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    overdue: Instants = field(default_factory=Instants)
    missing: Instants = field(default_factory=Instants)
    unexpected: Instants = field(default_factory=Instants)
    problem: str = ""

    @property
    def closes(self) -> bool:
        """Whether each due instant has its row or is in flight, and no row is too many."""
        amiss = (self.overdue, self.missing, self.unexpected)
        return not (any(instants.number for instants in amiss) or self.problem)


def tallies(pks: Iterable[int], begin: datetime | None = None) -> Iterator[Tally]:
    """Yield the tally of each of these schedules, of what was due from `begin` on.

    A schedule that is changed while it is counted is counted again; a deleted one is left out.
    """
    for chunk in chunks(pks, CHUNK):
        open_pks: list[int] = chunk
        counted: dict[int, Tally] = {}
        while open_pks:
            now = timezone.now()
            rows = ScheduledTask.objects.filter(pk__in=open_pks).select_related("calendar")
            schedules = list(rows.order_by("pk"))
            counted |= {tally.schedule.pk: tally for tally in _count(schedules, begin, now)}
            open_pks = _changed(schedules)
        yield from (counted[pk] for pk in chunk if pk in counted)


def _changed(schedules: list[ScheduledTask]) -> list[int]:
    """Return which of these have another period or other bounds by now."""
    fields = ("period_start", "pruned_until", "status")
    rows = ScheduledTask.objects.filter(pk__in=[schedule.pk for schedule in schedules])
    present = {row.pk: row for row in rows.only(*fields)}

    def bounds(schedule: ScheduledTask) -> tuple[Any, ...]:
        return schedule.period_start, schedule.pruned_until, schedule.is_live

    return [
        schedule.pk
        for schedule in schedules
        if schedule.pk in present and bounds(schedule) != bounds(present[schedule.pk])
    ]


def _count(
    schedules: list[ScheduledTask], begin: datetime | None, now: datetime
) -> Iterator[Tally]:
    pks = [schedule.pk for schedule in schedules]
    periods: dict[int, list[SchedulePeriod]] = defaultdict(list)
    active = SchedulePeriod.objects.filter(parent__in=pks, kind=SchedulePeriod.Kind.ACTIVE)
    for period in active.order_by("end"):
        periods[period.parent_id].append(period)
    may_wait = [
        schedule.pk for schedule in schedules if schedule.overlap == ScheduledTask.Overlap.WAIT
    ]
    running = ScheduledTaskInstance.objects.running().filter(parent__in=may_wait)
    busy = set(running.values_list("parent_id", flat=True))
    groups = groupby(_rows(pks, begin, now), key=itemgetter(0))
    pk, rows = next(groups, (None, iter(())))
    for schedule in schedules:
        after = max(
            filter(None, [schedule.pruned_until, begin and begin - MICROSECOND]), default=None
        )
        counter = _Counter(schedule, now, waits=schedule.pk in busy)
        mine: Iterator[Row] = iter(())
        if pk == schedule.pk:
            mine = (row for row in rows if after is None or row[1] > after)
        try:
            counter.count(_expected(schedule, periods[schedule.pk], after, now), mine)
        except (SpecError, ValueError, TypeError) as error:
            counter.tally.problem = str(error)
        if pk == schedule.pk:
            pk, rows = next(groups, (None, iter(())))
        yield counter.tally


def _rows(pks: list[int], begin: datetime | None, now: datetime) -> Iterator[Row]:
    """Yield the occurrences' rows, by schedule and due instant, without holding them all."""
    rows = ScheduledTaskInstance.objects.filter(parent__in=pks, due__lte=now)
    if begin is not None:
        rows = rows.filter(due__gte=begin)
    columns = ("parent_id", "due", "requested", "status", "attempt", "ended")
    return rows.order_by("parent_id", "due").values_list(*columns).iterator(2000)


def _expected(
    schedule: ScheduledTask, periods: list[SchedulePeriod], after: datetime | None, now: datetime
) -> Iterator[datetime]:
    """Yield each instant that was owed, once, in order: over all periods and the present one."""
    parts = [(spec_from_json(period.spec or {}), period.start, period.end) for period in periods]
    if schedule.is_live:
        parts.append((schedule.spec(), schedule.period_start, now))
    dues = heapq.merge(
        *(
            spec.dues(of, max(start, after or start), min(end, now))
            for of, start, end in parts
            if after is None or end > after
        )
    )
    # A first time that was still owed when its schedule changed is due by both specs.
    return (due for due, _ in groupby(dues))


class _Counter:
    """Counts one schedule: lays what was owed beside the rows, both in order.

    `waits` tells that its occurrences wait for a run that is going on, however long.
    """

    def __init__(self, schedule: ScheduledTask, now: datetime, waits: bool) -> None:
        self.tally = Tally(schedule)
        self._now = now
        self._waits = waits

    def count(self, owed: Iterator[datetime], rows: Iterator[Row]) -> None:
        due = next(owed, None)
        for row in rows:
            while due is not None and due < row[1]:
                self._add_unrecorded(due)
                due = next(owed, None)
            if due == row[1]:
                self._add_row(row)
                due = next(owed, None)
            elif row[2] is not None:
                self._add_row(row)
            else:
                self.tally.unexpected.add(row[1])
        while due is not None:
            self._add_unrecorded(due)
            due = next(owed, None)

    def _add_unrecorded(self, due: datetime) -> None:
        self.tally.due += 1
        schedule = self.tally.schedule
        if not schedule.is_live or due <= max(schedule.period_start, schedule.settled_through):
            self.tally.missing.add(due)
        elif due > self._now - OVERDUE or self._waits:
            self.tally.in_flight += 1
        else:
            self.tally.overdue.add(due)

    def _add_row(self, row: Row) -> None:
        self.tally.due += 1
        if row[3] == ScheduledTaskInstance.Status.RUNNING or self._awaits_retry(row):
            self.tally.in_flight += 1
        else:
            self.tally.outcomes[row[3]] += 1

    def _awaits_retry(self, row: Row) -> bool:
        _, due, requested, status, attempt, ended = row
        schedule = self.tally.schedule
        if status != ScheduledTaskInstance.Status.FAILED or attempt > schedule.retries:
            return False
        return awaits_retry(
            ScheduledTaskInstance(
                parent=schedule, due=due, requested=requested, attempt=attempt, ended=ended
            )
        )
