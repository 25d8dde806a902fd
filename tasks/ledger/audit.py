"""Audits the ledger: compares what was due, by the specs of all periods, with the rows."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import dropwhile, groupby
from operator import attrgetter
from typing import Any, NamedTuple

from tasks import clock
from tasks.database import CHUNK, chunks
from tasks.exceptions import SpecError
from tasks.models import ScheduledTask, ScheduledTaskInstance, SchedulePeriod
from tasks.runs import holds
from tasks.runs.retries import awaits_retry
from tasks.timing import spec
from tasks.timing.instants import MICROSECOND
from tasks.timing.spec import spec_from_json

Status = ScheduledTaskInstance.Status
# The statuses of runs that may still be in flight: a failed one may be retried.
OPEN_STATUSES = (Status.RUNNING, Status.FAILED)
# What is open for longer is overdue: a working scheduler runs it, or records it as missed, within
# a minute or so, unless it waits for the workers.
OVERDUE = timedelta(minutes=10)
# How many dues of one kind a tally names.
NAMED = 10


@dataclass
class Dues:
    """How many dues there are, and the first of them."""

    number: int = 0
    first: list[datetime] = field(default_factory=list)

    def add(self, due: datetime) -> None:
        self.number += 1
        if len(self.first) < NAMED:
            self.first.append(due)


@dataclass
class Tally:
    """What came of everything that was due by one schedule.

    `due` is the sum of the outcomes, of what is in flight, of what is overdue and of what is
    missing. An occurrence without a row is missing if the schedule is settled through its due.
    Later ones are open: in flight, but overdue after `OVERDUE`. Those wait for a worker or a
    scheduler, which the rows can't tell apart. A row that was never due is unexpected, unless
    it was requested: what backfill ran beyond what was expected counts as due.
    """

    schedule: ScheduledTask
    due: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    overdue: Dues = field(default_factory=Dues)
    missing: Dues = field(default_factory=Dues)
    unexpected: Dues = field(default_factory=Dues)
    problem: str = ""

    @property
    def closes(self) -> bool:
        """Whether each due has its row or is in flight, and no row is unexpected."""
        findings = (self.overdue, self.missing, self.unexpected)
        return not (any(dues.number for dues in findings) or self.problem)


class _Row(NamedTuple):
    """The columns of an occurrence's row that are read."""

    parent_id: int
    due: datetime
    requested: datetime | None
    status: str
    attempt: int
    ended: datetime | None
    reason_code: str | None


def tallies(pks: Iterable[int], begin: datetime | None = None) -> Iterator[Tally]:
    """Yield the tally of each of these schedules, of what was due from `begin` on.

    A schedule that is changed while it is counted is counted again; a deleted one is left out.
    """
    for chunk in chunks(pks, CHUNK):
        open_pks: list[int] = chunk
        counted: dict[int, Tally] = {}
        while open_pks:
            now = clock.now()
            rows = ScheduledTask.objects.filter(pk__in=open_pks).select_related("calendar")
            schedules = list(rows.order_by("pk"))
            counted |= {tally.schedule.pk: tally for tally in _count(schedules, begin, now)}
            open_pks = _changed(schedules)
        yield from (counted[pk] for pk in chunk if pk in counted)


def _changed(schedules: list[ScheduledTask]) -> list[int]:
    """Return the schedules whose period or bounds have changed meanwhile."""
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
    """Yield the tally of each of these schedules, which are in order of their pks."""
    pks = [schedule.pk for schedule in schedules]
    periods = _active_periods(pks)
    waiting = _waiting(schedules)
    for schedule, rows in _with_rows(schedules, _rows(pks, begin, now)):
        bounds = [schedule.pruned_until, begin and begin - MICROSECOND]
        after = max(filter(None, bounds), default=None)
        count = _Count(schedule, now, waits=schedule.pk in waiting)
        if schedule.status != ScheduledTask.Status.DEATH:
            count.tally.problem = schedule.misfit()
        try:
            count.compare(
                _expected(schedule, periods[schedule.pk], after, now), _later(rows, after)
            )
        except (SpecError, ValueError, TypeError) as error:
            count.tally.problem = str(error)
        yield count.tally


def _active_periods(pks: list[int]) -> dict[int, list[SchedulePeriod]]:
    """Return, by schedule, the ended periods in which something was expected."""
    found: dict[int, list[SchedulePeriod]] = defaultdict(list)
    active = SchedulePeriod.objects.filter(parent__in=pks, kind=SchedulePeriod.Kind.ACTIVE)
    for period in active.order_by("end"):
        found[period.parent_id].append(period)
    return found


def _waiting(schedules: list[ScheduledTask]) -> set[int]:
    """Return which of these schedules have occurrences that wait for a running run, or a hold."""
    may_wait = [
        schedule.pk for schedule in schedules if schedule.overlap == ScheduledTask.Overlap.WAIT
    ]
    running = ScheduledTaskInstance.objects.running().filter(parent__in=may_wait)
    held = holds.read().among({schedule.queue for schedule in schedules})
    return {
        *running.values_list("parent_id", flat=True),
        *(schedule.pk for schedule in schedules if schedule.queue in held),
    }


def _rows(pks: list[int], begin: datetime | None, now: datetime) -> Iterator[_Row]:
    """Yield the rows of occurrences, by schedule and due, without holding them all."""
    rows = ScheduledTaskInstance.objects.filter(parent__in=pks, due__lte=now)
    if begin is not None:
        rows = rows.filter(due__gte=begin)
    columns = rows.order_by("parent_id", "due").values_list(*_Row._fields)
    # A third of the time that _Row._make takes: there may be millions of rows.
    return map(partial(tuple.__new__, _Row), columns.iterator(2000))


def _with_rows(
    schedules: list[ScheduledTask], rows: Iterator[_Row]
) -> Iterator[tuple[ScheduledTask, Iterator[_Row]]]:
    """Yield each schedule with its rows; both are in order of the schedules' pks."""
    groups = groupby(rows, key=attrgetter("parent_id"))
    group = next(groups, None)
    for schedule in schedules:
        if group is not None and group[0] == schedule.pk:
            yield schedule, group[1]
            group = next(groups, None)
        else:
            yield schedule, iter(())


def _later(rows: Iterator[_Row], after: datetime | None) -> Iterator[_Row]:
    """Yield the rows whose due is later than `after`, if that is given."""
    return rows if after is None else dropwhile(lambda row: row.due <= after, rows)


def _expected(
    schedule: ScheduledTask, periods: list[SchedulePeriod], after: datetime | None, now: datetime
) -> Iterator[datetime]:
    """Yield each expected due once, in order: over all ended periods and the present one."""
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
    # A first time that was still expected when its schedule changed is due by both specs.
    return (due for due, _ in groupby(dues))


class _Count:
    """Counts what came of one schedule's occurrences.

    `waits`: its occurrences wait for a running run or for a hold to end, however long that takes.
    """

    def __init__(self, schedule: ScheduledTask, now: datetime, waits: bool) -> None:
        self.tally = Tally(schedule)
        self._now = now
        self._waits = waits

    def compare(self, expected: Iterator[datetime], rows: Iterator[_Row]) -> None:
        """Count the expected dues and the rows, both in order of their dues."""
        due = next(expected, None)
        for row in rows:
            while due is not None and due < row.due:
                self._add_unrecorded(due)
                due = next(expected, None)
            if due == row.due:
                self._add_row(row)
                due = next(expected, None)
            elif row.requested is not None:
                self._add_row(row)
            else:
                self.tally.unexpected.add(row.due)
        while due is not None:
            self._add_unrecorded(due)
            due = next(expected, None)

    def _add_unrecorded(self, due: datetime) -> None:
        self.tally.due += 1
        schedule = self.tally.schedule
        if not schedule.is_live or due <= max(schedule.period_start, schedule.settled_through):
            self.tally.missing.add(due)
        elif due > self._now - OVERDUE or self._waits:
            self.tally.in_flight += 1
        else:
            self.tally.overdue.add(due)

    def _add_row(self, row: _Row) -> None:
        self.tally.due += 1
        if row.status in OPEN_STATUSES and self._is_in_flight(row):
            self.tally.in_flight += 1
        else:
            self.tally.outcomes[row.status] += 1

    def _is_in_flight(self, row: _Row) -> bool:
        schedule = self.tally.schedule
        if row.status == Status.RUNNING:
            return True
        if row.attempt > schedule.retries:
            return False
        return awaits_retry(
            ScheduledTaskInstance(
                parent=schedule,
                due=row.due,
                requested=row.requested,
                attempt=row.attempt,
                ended=row.ended,
                reason_code=row.reason_code,
            )
        )
