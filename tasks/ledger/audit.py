"""Audits the ledger: compares what was due, by the specs of all periods, with the rows."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import dropwhile, groupby
from operator import attrgetter
from typing import Any, NamedTuple

from tasks import clock
from tasks.database import CHUNK, chunks
from tasks.exceptions import SpecError
from tasks.ledger import digests
from tasks.ledger.digests import Digest, Recorded
from tasks.models import ScheduledTask, ScheduledTaskInstance, SchedulePeriod
from tasks.runs import holds
from tasks.runs.retries import awaits_retry
from tasks.timing import spec
from tasks.timing.instants import MICROSECOND
from tasks.timing.spec import Spec, spec_from_json

Status = ScheduledTaskInstance.Status
# The statuses of runs that may still be in flight: a failed one may be retried.
OPEN_STATUSES = (Status.RUNNING, Status.FAILED)
# What is open for longer is overdue: a working scheduler runs it, or records it as missed, within
# a minute or so, unless it waits for the workers.
OVERDUE = timedelta(minutes=10)
# What reading a spec that is invalid raises, also one that was valid before.
OF_A_BAD_SPEC = (SpecError, ValueError, TypeError)
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


@dataclass
class _Reading:
    """What is expected of a schedule, and from when on its rows are compared one by one.

    `parts` holds each spec with the bounds of its period. `recorded` is what was found before
    `after` without reading the rows.
    """

    schedule: ScheduledTask
    parts: list[tuple[Spec, datetime, datetime]]
    after: datetime | None
    recorded: Recorded | None = None
    problem: str = ""

    def expected(self, until: datetime) -> Iterator[datetime]:
        """Yield each expected due once, in order: over all ended periods and the present one."""
        after = self.after
        dues = heapq.merge(
            *(
                spec.dues(of, max(start, after or start), min(end, until))
                for of, start, end in self.parts
                if after is None or end > after
            )
        )
        # A first time that was still expected when its schedule changed is due by both specs.
        return (due for due, _ in groupby(dues))


def _count(
    schedules: list[ScheduledTask], begin: datetime | None, now: datetime
) -> Iterator[Tally]:
    """Yield the tally of each of these schedules, which are in order of their pks."""
    periods = _active_periods([schedule.pk for schedule in schedules])
    readings = [_reading(one, periods[one.pk], begin, now) for one in schedules]
    _settle([one for one in readings if not one.problem], now)
    waiting = _waiting(schedules)
    for reading, rows in _with_rows(readings, begin, now):
        schedule = reading.schedule
        count = _Count(schedule, now, waits=schedule.pk in waiting)
        if schedule.status != ScheduledTask.Status.DEATH:
            count.tally.problem = schedule.misfit()
        if reading.recorded is not None:
            count.add_recorded(reading.recorded.statuses)
        try:
            if not reading.problem:
                count.compare(reading.expected(now), rows)
        except OF_A_BAD_SPEC as error:
            reading.problem = str(error)
        count.tally.problem = reading.problem or count.tally.problem
        yield count.tally


def _reading(
    schedule: ScheduledTask, periods: list[SchedulePeriod], begin: datetime | None, now: datetime
) -> _Reading:
    bounds = [schedule.pruned_until, begin and begin - MICROSECOND]
    reading = _Reading(schedule, [], max(filter(None, bounds), default=None))
    try:
        reading.parts += ((spec_from_json(one.spec or {}), one.start, one.end) for one in periods)
        if schedule.is_live:
            reading.parts.append((schedule.spec(), schedule.period_start, now))
    except OF_A_BAD_SPEC as error:
        reading.problem = str(error)
    return reading


def _settle(readings: list[_Reading], now: datetime) -> None:
    """Have the rows that are settled not read one by one if their digest is that of the dues."""
    bounds = {
        one.schedule.pk: (one.after, min(one.schedule.settled_through, now)) for one in readings
    }
    found = digests.read([(pk, after, until) for pk, (after, until) in bounds.items()])
    if found is None:
        return
    for reading in readings:
        recorded, (_after, until) = found[reading.schedule.pk], bounds[reading.schedule.pk]
        with suppress(*OF_A_BAD_SPEC):  # The comparison says what is wrong.
            if not recorded.may_be_retried and recorded.digest == _digest(reading, until):
                reading.recorded, reading.after = recorded, max(until, reading.after or until)


def _digest(reading: _Reading, until: datetime) -> Digest:
    """Return the digest of what was due up to a time."""
    dues = reading.expected(until)
    if len(reading.parts) == 1 and (step := digests.steps_of(reading.parts[0][0])) is not None:
        first, until = next(dues, None), min(until, reading.parts[0][2])
        number = 0 if first is None else (until - first) // timedelta(seconds=step) + 1
        return Digest() if first is None else Digest.of_steps(first, step, number)
    return Digest.of(dues)


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


def _with_rows(
    readings: list[_Reading], begin: datetime | None, now: datetime
) -> Iterator[tuple[_Reading, Iterator[_Row]]]:
    """Yield each schedule's reading with its rows that are to be read, in order of their dues."""
    settled = [one for one in readings if one.recorded is not None]
    bounds = [(one.schedule.pk, one.after, now) for one in settled]
    tails = defaultdict(list)
    for row in map(_Row._make, digests.read_rows(bounds, _Row._fields)):
        tails[row.parent_id].append(row)
    others = [one.schedule.pk for one in readings if one.recorded is None]
    groups = groupby(_rows(others, begin, now), key=attrgetter("parent_id"))
    group = next(groups, None)
    for reading in readings:
        pk = reading.schedule.pk
        if reading.recorded is not None:
            yield reading, iter(tails[pk])
        elif group is not None and group[0] == pk:
            yield reading, _later(group[1], reading.after)
            group = next(groups, None)
        else:
            yield reading, iter(())


def _rows(pks: list[int], begin: datetime | None, now: datetime) -> Iterator[_Row]:
    """Yield the rows of occurrences, by schedule and due, without holding them all."""
    rows = ScheduledTaskInstance.objects.filter(parent__in=pks, due__lte=now)
    if begin is not None:
        rows = rows.filter(due__gte=begin)
    columns = rows.order_by("parent_id", "due").values_list(*_Row._fields)
    # A third of the time that _Row._make takes: there may be millions of rows.
    return map(partial(tuple.__new__, _Row), columns.iterator(2000))


def _later(rows: Iterator[_Row], after: datetime | None) -> Iterator[_Row]:
    """Yield the rows whose due is later than `after`, if that is given."""
    return rows if after is None else dropwhile(lambda row: row.due <= after, rows)


class _Count:
    """Counts what came of one schedule's occurrences.

    `waits`: its occurrences wait for a running run or for a hold to end, however long that takes.
    """

    def __init__(self, schedule: ScheduledTask, now: datetime, waits: bool) -> None:
        self.tally = Tally(schedule)
        self._now = now
        self._waits = waits

    def add_recorded(self, statuses: Mapping[str, int]) -> None:
        """Count rows of what was expected, by status; those that have failed aren't retried."""
        for status, number in statuses.items():
            self.tally.due += number
            if status == Status.RUNNING:
                self.tally.in_flight += number
            else:
                self.tally.outcomes[status] += number

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
