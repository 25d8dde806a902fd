"""What comes next by a spec, with what people stumble over: clock changes and excluded dates."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from tasks.timing import spec as timing
from tasks.timing.instants import DAY, END, MICROSECOND
from tasks.timing.spec import Spec
from tasks.timing.text import excluded_dates
from tasks.timing.zones import find_zone, offset_period, start_of_day

# A clock change further from the nearest due than this parts nothing that people compare.
NEAR = DAY
# How many excluded ranges are named between two dues.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Due:
    """One due; `is_again` if the clock showed its time an hour before already."""

    at: datetime
    is_again: bool = False


@dataclass(frozen=True, slots=True)
class ClockChange:
    """The zone's clock is put forward (`shift` > 0) or back.

    `runs_twice` says of a clock that is put back whether what is due in the repeated time runs
    again; None if nothing is due in it.
    """

    at: datetime
    shift: timedelta
    runs_twice: bool | None = None


@dataclass(frozen=True, slots=True)
class Excluded:
    """Dates on which something would have been due, were they not excluded."""

    first: date
    last: date


Item = Due | ClockChange | Excluded


def upcoming(spec: Spec, after: datetime, number: int, zone: ZoneInfo) -> list[Item]:
    """Return the next dues of a spec, with what lies between them, in order.

    The clock is that of `zone`: for a cron expression, the spec's own.
    """
    items: list[Item] = []
    before = after
    for due in islice(timing.dues(spec, after, END), number):
        items += _excluded_between(spec, before, due)
        items += _changes_between(spec, before, due, zone)
        items.append(Due(due, is_again=_is_again(due, zone)))
        before = due
    return items


def _is_again(due: datetime, zone: ZoneInfo) -> bool:
    return due.astimezone(zone).fold == 1


def _changes_between(
    spec: Spec, before: datetime, due: datetime, zone: ZoneInfo
) -> Iterator[ClockChange]:
    """Yield the clock changes between two dues that are close to one of them."""
    windows = [(before, due)] if due - before <= 2 * NEAR else [(before, before + NEAR)]
    if due - before > 2 * NEAR:
        windows.append((due - NEAR, due))
    for begin, end in windows:
        period = offset_period(zone, begin)
        if period.ends_in_change and period.until <= end:
            shift = offset_period(zone, period.until).offset - period.offset
            yield ClockChange(period.until, shift, _runs_twice(spec, period.until, shift))


def _runs_twice(spec: Spec, change: datetime, shift: timedelta) -> bool | None:
    if shift > timedelta(0):
        return None
    if next(timing.dues(spec, change + shift - MICROSECOND, change - MICROSECOND), None) is None:
        return None
    again = timing.dues(spec, change - MICROSECOND, change - shift - MICROSECOND)
    return next(again, None) is not None


def _excluded_between(spec: Spec, before: datetime, due: datetime) -> Iterator[Excluded]:
    """Yield the excluded dates between two dues on which something would have been due."""
    if not spec.exclude:
        return
    zone = find_zone(spec.timezone)
    assert zone is not None
    everyday = replace(spec, exclude="", repeat=None, offset=0)
    shift = timedelta(milliseconds=spec.offset)
    first_day, last_day = ((at - shift).astimezone(zone).date() for at in (before, due))
    firsts, lasts = excluded_dates(spec.exclude)
    begin, end = bisect_left(lasts, first_day), bisect_left(firsts, last_day)
    for first, last in islice(zip(firsts[begin:end], lasts[begin:end], strict=True), NAMED):
        since = max(start_of_day(first, zone), before - shift)
        if next(timing.dues(everyday, since, start_of_day(last + DAY, zone)), None) is not None:
            yield Excluded(first, last)
