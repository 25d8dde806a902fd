"""What happened at each time of a day at which a schedule was due: every due is accounted for."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Min

from tasks import clock
from tasks.exceptions import SpecError
from tasks.models import ScheduledTask, SchedulePeriod
from tasks.reports.lengths import LATENESS, duration, since
from tasks.timing import spec
from tasks.timing.instants import DAY, MICROSECOND
from tasks.timing.spec import Spec, spec_from_json
from tasks.timing.zones import start_of_day

HOUR = timedelta(hours=1)
# A day with more dues than this, one a minute, is shown hour by hour.
MANY = 1_440
# At most this many dues are read: one a second in a repeated hour's two.
MOST = 7_200
Kind = SchedulePeriod.Kind


class Unrecorded(StrEnum):
    """What became of a due that has no row, or why nothing was due."""

    WAITING = "waiting"
    TO_COME = "to_come"
    MISSING = "missing"
    DELETED = "deleted"
    PAUSED = "paused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Window:
    """The part of time that is looked at: a day, or one of its hours."""

    begin: datetime
    end: datetime
    day: date
    hour: int | None = None


class DayRun(NamedTuple):
    """What is read of a run: a day may have more than a thousand. Its reason has no secrets."""

    pk: int
    status: str
    attempt: int
    lateness: timedelta | None
    duration: timedelta | None
    reason: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One due and what became of it; or a span, up to `until`, in which nothing was due."""

    at: datetime
    state: str
    run: DayRun | None = None
    until: datetime | None = None
    note: str = ""


def window_of(schedule: ScheduledTask, day: date, hour: int | None, zone: ZoneInfo) -> Window:
    """Return a day of a zone's calendar; one of its hours if too much is due for a whole day.

    Without an `hour` it is the first that has a row, or is expected to; a day without any is shown
    as a whole. Hours are counted from the beginning of the day, which has 23 or 25 if the clocks
    change.
    """
    whole = Window(start_of_day(day, zone), start_of_day(day + DAY, zone), day)
    if not _is_dense(schedule, whole.begin, whole.end):
        return whole
    starts = hours_of(day, zone)
    if hour is None:
        first = _first_due(schedule, whole)
        if first is None:
            return whole
        hour = (first - whole.begin) // HOUR
    number = min(max(hour, 0), len(starts) - 1)
    begin = starts[number]
    return Window(begin, min(begin + HOUR, whole.end), day, number)


def hours_of(day: date, zone: ZoneInfo) -> list[datetime]:
    """Return when each hour of a day begins: `Window.hour` is its place here."""
    begin, end = start_of_day(day, zone), start_of_day(day + DAY, zone)
    # Where the clocks change by half an hour, the last one is only that long.
    return [begin + number * HOUR for number in range(max(-((begin - end) // HOUR), 1))]


def _first_due(schedule: ScheduledTask, window: Window) -> datetime | None:
    """Return the first due of a window that has a row, or is expected to have one."""
    runs = schedule.runs.filter(due__gte=window.begin, due__lt=window.end)
    recorded = runs.aggregate(first=Min("due"))["first"]
    expected = next(_expected(schedule, _periods(schedule, window), window), None)
    return min((due for due in (recorded, expected) if due is not None), default=None)


def _is_dense(schedule: ScheduledTask, begin: datetime, end: datetime) -> bool:
    if schedule.runs.filter(due__gte=begin, due__lt=end).order_by()[: MANY + 1].count() > MANY:
        return True
    with suppress(SpecError):
        dues = spec.dues(schedule.spec(), begin - MICROSECOND, end - MICROSECOND)
        return next(islice(dues, MANY, None), None) is not None
    return False


def account(schedule: ScheduledTask, window: Window) -> list[Entry]:
    """Return each due of a window with what became of it, in order, and the spans without dues."""
    now = clock.now()
    periods = _periods(schedule, window)
    entries = {due: Entry(due, run.status, run) for due, run in _runs(schedule, window, now)}
    waiting = set(
        schedule.requests.filter(due__gte=window.begin, due__lt=window.end).values_list(
            "due", flat=True
        )
    )
    for due in islice(_expected(schedule, periods, window), MOST):
        if due not in entries:
            entries[due] = Entry(due, _unrecorded(schedule, due, now, due in waiting))
    spans = list(_spans(schedule, periods, window, now))
    return sorted([*entries.values(), *spans], key=lambda entry: entry.at)


def _periods(schedule: ScheduledTask, window: Window) -> list[SchedulePeriod]:
    """Return the past periods that a window has a part of, in order."""
    touched = schedule.periods.filter(start__lt=window.end, end__gte=window.begin)
    return list(touched.order_by("start"))


def _runs(
    schedule: ScheduledTask, window: Window, now: datetime
) -> Iterator[tuple[datetime, DayRun]]:
    runs = schedule.runs.filter(due__gte=window.begin, due__lt=window.end).order_by("due")
    reasons = dict(_reasons(schedule, runs))
    read = ("pk", "status", "attempt", LATENESS, duration(now), since(window.begin, "due"))
    begin = window.begin.astimezone(UTC)
    for pk, status, attempt, late, took, after in runs.values_list(*read)[:MOST]:
        yield begin + after, DayRun(pk, status, attempt, late, took, reasons.get(pk, ""))


def _reasons(schedule: ScheduledTask, runs: Any) -> Iterator[tuple[int, str]]:
    """Yield the reasons of those runs that have one: most have finished without."""
    given = runs.exclude(reason="", reason_code=None)
    for run in given.only("parent", "reason", "reason_code", "reason_values", "arguments")[:MOST]:
        run.parent = schedule
        yield run.pk, run.masked(run.reason_in_words())


def _expected(
    schedule: ScheduledTask, periods: list[SchedulePeriod], window: Window
) -> Iterator[datetime]:
    """Yield the dues of the active periods in a window; those of the present one also to come."""
    for period in periods:
        if period.kind == Kind.ACTIVE:
            with suppress(SpecError, ValueError, TypeError):
                past = spec_from_json(period.spec or {})
                yield from _dues(past, window, period.start, period.end)
    if schedule.is_live:
        with suppress(SpecError):
            yield from _dues(schedule.spec(), window, schedule.period_start, window.end)


def _dues(of: Spec, window: Window, after: datetime, until: datetime) -> Iterator[datetime]:
    return spec.dues(
        of, max(after, window.begin - MICROSECOND), min(until, window.end - MICROSECOND)
    )


def _unrecorded(schedule: ScheduledTask, due: datetime, now: datetime, is_requested: bool) -> str:
    if is_requested:
        return Unrecorded.WAITING
    if due > now:
        return Unrecorded.TO_COME
    if schedule.pruned_until is not None and due <= schedule.pruned_until:
        return Unrecorded.DELETED
    return Unrecorded.MISSING if due <= schedule.settled_through else Unrecorded.WAITING


def _spans(
    schedule: ScheduledTask, periods: list[SchedulePeriod], window: Window, now: datetime
) -> Iterator[Entry]:
    """Yield the parts of a window in which the schedule was paused or had ended."""
    parts = [
        (Unrecorded.PAUSED if period.kind == Kind.PAUSED else Unrecorded.ENDED, period)
        for period in periods
        if period.kind != Kind.ACTIVE
    ]
    for state, period in parts:
        yield _span(state, window, period.start, period.end, period.note_in_words())
    if schedule.is_live or schedule.period_start >= window.end or window.begin > now:
        return
    is_paused = schedule.status == ScheduledTask.Status.PAUSED
    state = Unrecorded.PAUSED if is_paused else Unrecorded.ENDED
    note = schedule.note if is_paused else ""
    yield _span(state, window, schedule.period_start, window.end, note)


def _span(state: str, window: Window, start: datetime, end: datetime, note: str) -> Entry:
    return Entry(max(start, window.begin), state, until=min(end, window.end), note=note)
