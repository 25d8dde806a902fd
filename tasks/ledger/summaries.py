"""Summaries of runs by hour and over 7 days, which outlive the runs; housekeeping keeps them.

The hours of the runs that have ended since the last round are recomputed from the rows, so it makes
no difference how often, or by how many housekeepers at once, or where a killed one was interrupted.
Whatever retention deletes is added to its hour's `pruned` in the transaction that deletes it
(`delete_pruned`). So an hour is always the sum of its rows and of what retention has deleted.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import (
    Case,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    Max,
    Q,
    QuerySet,
    Sum,
    When,
)

from tasks import clock
from tasks.database import CHUNK, atomic, chunks, connection
from tasks.ledger.histograms import Bucket, Histogram, percentile, summed
from tasks.models import (
    HourlySummary,
    HourlyTotal,
    ScheduledTask,
    ScheduledTaskInstance,
    SummaryMark,
    WeeklySummary,
)
from tasks.reasons import LOST
from tasks.timing.catch_up import ON_TIME

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
# A run that starts more than this after its due is late.
LATE = ON_TIME
# How long the hours are kept.
KEPT = timedelta(days=14)
# A row may be written this long after the end that it says; later ones move the mark back.
OVERLAP = timedelta(minutes=2)
# How many ended runs are read, and how many hours are recomputed, in one step.
RUNS_AT_ONCE = 2_000
HOURS_AT_ONCE = 500
# How often a round begins, at most and at least, in seconds; and the part of the time that rounds
# may take.
ROUND_EVERY = 10.0
MOST_SELDOM = 300.0
SHARE = 0.05
COUNTS = ("finished", "failed", "lost", "missed", "skipped", "canceled", "late")
WRITTEN = (*COUNTS, "durations", "latenesses", "longest_lateness")
TABLE = HourlySummary._meta.db_table
Status = ScheduledTaskInstance.Status
# A schedule's primary key and the hour.
Hour = tuple[int, datetime]


def hour_of(instant: datetime) -> datetime:
    """Return the beginning of the hour, in UTC, in which an instant lies."""
    return instant.replace(minute=0, second=0, microsecond=0)


class Summaries:
    """Keeps all summaries, a bounded step at a time; it keeps nothing that a new one would need."""

    def __init__(self) -> None:
        self._next_round = 0.0
        # Which totals are to be added up, and which schedules' weeks; None for all of them.
        self._hours: set[datetime] | None = None
        self._schedules: set[int] | None = None
        # The hour for which all weeks were added up.
        self._week_of: datetime | None = None

    def steps(self) -> Iterator[None]:
        """Make a round if it is time, and yield wherever it can be interrupted.

        Rounds take no more than a small part of the time in all: what a busy system costs more,
        it gets less often.
        """
        begun = time.monotonic()
        if begun < self._next_round:
            return
        spent = 0.0
        for _step in self._round():
            spent += time.monotonic() - begun
            yield
            begun = time.monotonic()
        spent += time.monotonic() - begun
        self._next_round = time.monotonic() + min(max(ROUND_EVERY, spent / SHARE), MOST_SELDOM)

    def _round(self) -> Iterator[None]:
        yield from self._recompute_hours()
        yield from self._add_up_totals()
        yield from self._add_up_weeks()
        yield from _delete_old()

    def _recompute_hours(self) -> Iterator[None]:
        """Recompute the hours of the runs that have ended since the mark, and move the mark.

        Whoever writes an older end moves the mark back meanwhile: then the next round goes on from
        there. A mark that lies ahead was set before Redis's clock was set back.
        """
        now = clock.now()
        mark, _ = SummaryMark.objects.get_or_create(
            pk=SummaryMark.THE_ONLY, defaults={"through": now - KEPT}
        )
        through, position = mark.through, (min(mark.through, now) - OVERLAP, 0)
        is_done = False
        while not is_done:
            runs = _ended_after(position)
            is_done = len(runs) < RUNS_AT_ONCE
            touched = sorted({hour for run in runs if (hour := run.hour)[1] > now - KEPT})
            for hours in chunks(touched, HOURS_AT_ONCE):
                self._note(recompute(hours))
                yield
            if runs:
                position = (runs[-1].ended, runs[-1].pk)
            reached = min(max(position[0], through), now)
            if not SummaryMark.objects.filter(through=through).update(through=reached):
                return
            through = reached

    def _note(self, hours: Iterable[Hour]) -> None:
        if self._hours is not None:
            self._hours.update(hour for _, hour in hours)
        if self._schedules is not None:
            self._schedules.update(pk for pk, _ in hours)

    def _add_up_totals(self) -> Iterator[None]:
        if self._hours is None:
            kept = HourlySummary.objects.order_by("hour").values_list("hour", flat=True)
            self._hours = set(kept.distinct())
        while self._hours:
            add_up_total(min(self._hours))
            self._hours.remove(min(self._hours))
            yield

    def _add_up_weeks(self) -> Iterator[None]:
        """Add up the weeks of what has changed; of all schedules when another hour has begun."""
        hour = hour_of(clock.now())
        if self._week_of != hour:
            self._schedules, self._week_of = None, hour
        if self._schedules is None:
            self._schedules = set(ScheduledTask.objects.values_list("pk", flat=True).order_by())
        while self._schedules:
            pks = sorted(self._schedules)[:HOURS_AT_ONCE]
            add_up_weeks(pks)
            self._schedules.difference_update(pks)
            yield


class _Ended(NamedTuple):
    """What is read of a run that has ended."""

    pk: int
    parent_id: int
    due: datetime | None
    requested: datetime | None
    ended: datetime

    @property
    def hour(self) -> Hour:
        """The schedule and the hour under which the run is counted, whatever becomes of it."""
        instant = self.due or self.requested
        assert instant is not None
        return self.parent_id, hour_of(instant)


def _ended_after(position: tuple[datetime, int]) -> list[_Ended]:
    ended, pk = position
    runs = ScheduledTaskInstance.objects.filter(ended__gte=ended).exclude(ended=ended, pk__lte=pk)
    columns = runs.order_by("ended", "pk").values_list(*_Ended._fields)
    return [_Ended._make(row) for row in columns[:RUNS_AT_ONCE]]


def summarise() -> None:
    """Bring all summaries up to date."""
    for _step in Summaries().steps():
        pass


# Hours


def recompute(hours: list[Hour]) -> list[Hour]:
    """Write what came of these hours, given in order, by their rows and what was pruned.

    Returns those for which that was something else than before.
    """
    known = {(summary.schedule_id, summary.hour) for summary in _summaries(hours)}
    _insert([hour for hour in hours if hour not in known])
    with atomic():
        return _write(_locked(hours))


def delete_pruned(runs: QuerySet[ScheduledTaskInstance]) -> None:
    """Delete runs that have ended, and keep what came of them in their hours."""
    seen = [_Ended._make(row) for row in runs.order_by().values_list(*_Ended._fields)]
    oldest = clock.now() - KEPT
    hours = sorted({hour for run in seen if (hour := run.hour)[1] > oldest})
    changed = recompute(hours)  # Now each of them has its row.
    with atomic():
        ended = ScheduledTaskInstance.objects.ended().filter(pk__in=[run.pk for run in seen])
        pks = list(ended.order_by("pk").select_for_update().values_list("pk", flat=True))
        summaries = _locked(hours)
        pruned = {pk: _Tally.of_pruned(summary.pruned) for pk, summary in summaries.items()}
        _count(pruned, summaries, Q(schedule__runs__in=pks))
        for pk, summary in summaries.items():
            summary.pruned = pruned[pk].as_json()
        HourlySummary.objects.bulk_update(summaries.values(), ["pruned"], batch_size=100)
        ScheduledTaskInstance.objects.filter(pk__in=pks).delete()
        changed += _write(summaries)
    for at in {at for _pk, at in changed}:
        add_up_total(at)


@dataclass
class _Tally:
    """What came of some runs."""

    counts: Counter[str] = field(default_factory=Counter)
    durations: Counter[str] = field(default_factory=Counter)
    latenesses: Counter[str] = field(default_factory=Counter)
    longest: timedelta | None = None

    @classmethod
    def of_pruned(cls, pruned: dict[str, Any] | None) -> "_Tally":
        """Return what was pruned of an hour."""
        values = pruned or {}
        longest = values.get("longest")
        return cls(
            Counter(values.get("counts", {})),
            Counter(values.get("durations", {})),
            Counter(values.get("latenesses", {})),
            None if longest is None else timedelta(seconds=longest),
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "durations": dict(self.durations),
            "latenesses": dict(self.latenesses),
            "longest": None if self.longest is None else self.longest.total_seconds(),
        }

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a summary that hold it."""
        values: dict[str, Any] = {name: self.counts[name] for name in COUNTS}
        values |= {"durations": dict(self.durations), "latenesses": dict(self.latenesses)}
        return values | {"longest_lateness": self.longest}

    def add_group(self, group: "_Group") -> None:
        """Add runs that came to the same."""
        self.counts[group.status] += group.number
        self.counts["late"] += group.late
        if group.status == Status.FAILED and group.reason_code in LOST:
            self.counts["lost"] += group.number
        if group.duration is not None:
            self.durations[str(group.duration)] += group.number
        if group.lateness is not None:
            self.latenesses[str(group.lateness)] += group.number
        self.longest = max(filter(None, (self.longest, group.longest)), default=self.longest)


class _Group(NamedTuple):
    """Runs of one hour that came to the same."""

    summary: int
    status: str
    reason_code: str | None
    duration: int | None
    lateness: int | None
    number: int
    late: int
    longest: timedelta | None


def _locked(hours: list[Hour]) -> dict[int, HourlySummary]:
    """Lock the summaries of these hours until the transaction ends, always in the same order."""
    locked = _summaries(hours).select_for_update(of=("self",)).order_by("schedule_id", "hour")
    wanted = set(hours)
    return {row.pk: row for row in locked if (row.schedule_id, row.hour) in wanted}


def _summaries(hours: list[Hour]) -> QuerySet[HourlySummary]:
    """Return the summaries of these hours, and perhaps more: of each schedule in any of them."""
    schedules, instants = {pk for pk, _ in hours}, {hour for _, hour in hours}
    return HourlySummary.objects.filter(schedule__in=schedules, hour__in=instants)


def _write(summaries: dict[int, HourlySummary]) -> list[Hour]:
    """Write the locked summaries that aren't the sum of their rows and of what was pruned.

    Returns the hours of these.
    """
    tallies = {pk: _Tally.of_pruned(summary.pruned) for pk, summary in summaries.items()}
    _count(tallies, summaries)
    rows, changed = [], []
    for pk, summary in summaries.items():
        values = tallies[pk].fields
        if any(getattr(summary, name) != value for name, value in values.items()):
            rows.append([*(_adapted(name, value) for name, value in values.items()), pk])
            changed.append((summary.schedule_id, summary.hour))
    _update(rows)
    return changed


def _insert(hours: list[Hour]) -> None:
    """Insert summaries without any runs for these hours, unless others do so now."""
    columns = ", ".join(("schedule_id", "hour", *COUNTS, "durations", "latenesses"))
    empty = ", ".join([*("0" for _ in COUNTS), "'{}'", "'{}'"])
    rows = [(pk, connection.ops.adapt_datetimefield_value(hour)) for pk, hour in hours]
    _execute(
        f"INSERT INTO {TABLE} ({columns}) VALUES (%s, %s, {empty}) ON CONFLICT DO NOTHING",
        (
            f"INSERT INTO {TABLE} ({columns}) SELECT schedule_id, hour, {empty}",
            "ON CONFLICT DO NOTHING",
        ),
        ("schedule_id", "hour"),
        rows,
    )


def _update(rows: list[Any]) -> None:
    """Update summaries, given by the values of what is written, and the key at the end."""
    one = ", ".join(f"{name} = %s" for name in WRITTEN)
    many = ", ".join(f"{name} = new.{name}" for name in WRITTEN)
    _execute(
        f"UPDATE {TABLE} SET {one} WHERE id = %s",
        (f"UPDATE {TABLE} SET {many}", f"WHERE {TABLE}.id = new.id"),
        (*WRITTEN, "id"),
        rows,
    )


def _execute(
    each: str, all_at_once: tuple[str, str], columns: Sequence[str], rows: list[Any]
) -> None:
    """Execute a statement for many rows: a tenth of the time that `bulk_create` takes.

    SQLite executes it for each of them. PostgreSQL takes all at once, in a third of the time: the
    rows are `new`, between the two parts of the statement.
    """
    if not rows:
        return
    with atomic(), connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            cursor.executemany(each, rows)
            return
        fields = {field.column: field for field in HourlySummary._meta.concrete_fields}
        arrays = ", ".join(f"%s::{fields[name].db_type(connection)}[]" for name in columns)
        new = f"unnest({arrays}) AS new({', '.join(columns)})"
        values = [list(column) for column in zip(*rows, strict=True)]
        cursor.execute(f"{all_at_once[0]} FROM {new} {all_at_once[1]}", values)


def _adapted(name: str, value: Any) -> Any:
    """Return a value as the database takes it."""
    if isinstance(value, int):
        return value
    field: Any = HourlySummary._meta.get_field(name)
    return field.get_db_prep_save(value, connection)


def _count(tallies: dict[int, _Tally], summaries: dict[int, HourlySummary], *conditions: Q) -> None:
    """Add to the tallies, by the keys of the summaries, their runs that meet the conditions.

    A run counts by its due; a manual run by when it was requested.
    """
    hours = [summary.hour for summary in summaries.values()]
    if not hours:
        return
    first, last = min(hours), max(hours)
    for when, condition in (("due", Q()), ("requested", Q(schedule__runs__due=None))):
        instant = f"schedule__runs__{when}"
        of_hour = Q(**{f"{instant}__gte": F("hour"), f"{instant}__lt": F("hour") + HOUR})
        # PostgreSQL can't tell from the above that an index leads to few runs.
        of_hour &= Q(**{f"{instant}__gte": first, f"{instant}__lt": last + HOUR})
        ended = Q(schedule__runs__ended__isnull=False)
        rows = HourlySummary.objects.filter(of_hour, condition, ended, *conditions, pk__in=tallies)
        for row in _grouped(rows):
            group = _Group._make(row)
            tallies[group.summary].add_group(group)


def _grouped(rows: QuerySet[HourlySummary]) -> QuerySet[Any, Any]:
    """Return the runs of hours in groups of those that came to the same.

    A later attempt says nothing about lateness, nor does a run that somebody requested.
    """
    run = {
        name: F(f"schedule__runs__{name}")
        for name in ("status", "reason_code", "started", "ended", "due")
    }
    finished = Q(schedule__runs__status=Status.FINISHED)
    punctual = Q(
        schedule__runs__attempt=1,
        schedule__runs__started__isnull=False,
        schedule__runs__due__isnull=False,
        schedule__runs__requested=None,
    )
    late = punctual & Q(schedule__runs__started__gt=run["due"] + LATE)
    lateness = ExpressionWrapper(run["started"] - run["due"], DurationField())
    groups = rows.order_by().values_list(
        "pk",
        run["status"],
        run["reason_code"],
        Case(When(finished, then=Bucket(run["ended"], run["started"]))),
        Case(When(punctual, then=Bucket(run["started"], run["due"]))),
    )
    return groups.annotate(
        number=Count("schedule__runs"),
        late=Count("schedule__runs", filter=late),
        longest=Max(Case(When(punctual, then=lateness))),
    )


# What is added up from the hours


def add_up_total(hour: datetime) -> None:
    """Write the total of one hour; whoever does so at the same time waits."""
    HourlyTotal.objects.bulk_create([HourlyTotal(hour=hour)], ignore_conflicts=True)
    with atomic():
        HourlyTotal.objects.select_for_update().get(hour=hour)
        rows = HourlySummary.objects.filter(hour=hour)
        values = rows.aggregate(**_sums())
        latenesses = summed(rows, "latenesses").get(None, {})
        HourlyTotal.objects.filter(hour=hour).update(**values, latenesses=latenesses)


def add_up_weeks(pks: Iterable[int]) -> None:
    """Write the weekly summaries of these schedules.

    Housekeepers that do so at the same time read the same hours within moments, and the next round
    reads again what has changed.
    """
    pks = list(pks)
    rows = HourlySummary.objects.filter(schedule__in=pks, hour__gt=clock.now() - WEEK)
    durations = summed(rows, "durations", by="schedule")
    sums: Any = rows.order_by().values("schedule").annotate(**_sums())
    weeks = [_week(row, durations.get(row["schedule"], {})) for row in sums]
    with atomic():
        WeeklySummary.objects.filter(schedule__in=pks).delete()
        WeeklySummary.objects.bulk_create(weeks, ignore_conflicts=True)


def _week(row: dict[str, Any], durations: Histogram) -> WeeklySummary:
    expected = row["finished"] + row["failed"] + row["missed"]
    return WeeklySummary(
        schedule_id=row.pop("schedule"),
        success=row["finished"] / expected if expected else None,
        p50=percentile(durations, 0.5),
        p95=percentile(durations, 0.95),
        **row,
    )


def _sums() -> dict[str, Any]:
    sums: dict[str, Any] = {name: Sum(name, default=0) for name in COUNTS}
    return sums | {"longest_lateness": Max("longest_lateness")}


def _delete_old() -> Iterator[None]:
    oldest = hour_of(clock.now() - KEPT)
    HourlyTotal.objects.filter(hour__lt=oldest).delete()
    old = HourlySummary.objects.filter(hour__lt=oldest).order_by()
    while pks := list(old.values_list("pk", flat=True)[:CHUNK]):
        HourlySummary.objects.filter(pk__in=pks).delete()
        yield
