"""What is due next, with what people wonder about: clock changes and dates that are left out.

Pure, as all that is here: `now` is an argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from zoneinfo import ZoneInfo

from tasks.timing.cron import parse_cron
from tasks.timing.instants import DAY, MICROSECOND
from tasks.timing.spec import Spec, dues, next_due
from tasks.timing.text import excluded_dates
from tasks.timing.zones import find_zone, offset_period, start_of_day

# How far ahead clock changes and excluded dates are looked for, however rarely something is due.
LONGEST_LOOK = timedelta(days=800)
END = datetime(9980, 1, 1, tzinfo=UTC)


class Clock(StrEnum):
    """What a clock change does to one due."""

    PLAIN = "plain"
    MOVED = "moved"  # its time of day doesn't exist that day
    REPEATED = "repeated"  # its time of day comes twice that day


@dataclass(frozen=True, slots=True)
class Due:
    """Something that will be due."""

    at: datetime
    clock: Clock = Clock.PLAIN


@dataclass(frozen=True, slots=True)
class ClockChange:
    """The clocks of the schedule's zone are put forward or back, by `shift`."""

    at: datetime
    shift: timedelta


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Excluded dates on which something would have been due."""

    at: datetime
    first: date
    last: date


Row = Due | ClockChange | LeftOut


def upcoming(spec: Spec, now: datetime, number: int) -> list[Row]:
    """Return the next dues after `now`, at most `number`, with what stands between them, in order.

    Clock changes and excluded dates are those before the last of the dues, or, if fewer are to
    come, those within the next 800 days.
    """
    zone = find_zone(spec.timezone)
    assert zone is not None
    found = list(islice(dues(spec, now, END), number))
    until = min(found[-1] if len(found) == number else END, now + LONGEST_LOOK)
    rows: list[Row] = [Due(due, clock_at(spec, zone, due)) for due in found]
    if found:
        rows += clock_changes(zone, now, min(found[-1], until))
    rows += left_out(spec, zone, now, until)
    return sorted(rows, key=lambda row: (row.at, isinstance(row, Due)))


def clock_at(spec: Spec, zone: ZoneInfo, due: datetime) -> Clock:
    """Return what a clock change does to the time of day at which something is due."""
    local = (due - timedelta(milliseconds=spec.offset)).astimezone(zone)
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        return Clock.REPEATED
    if spec.cron is None:
        return Clock.PLAIN
    minute = local.hour * 60 + local.minute
    is_shown = minute in parse_cron(spec.cron, spec.both_days).minutes
    return Clock.PLAIN if is_shown else Clock.MOVED


def clock_changes(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[ClockChange]:
    """Yield the changes of a zone's clocks in a range of time."""
    begin = after
    while begin < until:
        period = offset_period(zone, begin)
        if period.ends_in_change and period.until <= until:
            offset = period.until.astimezone(zone).utcoffset()
            assert offset is not None
            yield ClockChange(period.until, offset - period.offset)
        begin = period.until


def left_out(spec: Spec, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[LeftOut]:
    """Yield the excluded ranges of dates that begin in a range of time and leave something out."""
    if not spec.exclude:
        return
    plain = replace(spec, exclude="", repeat=None, offset=0)
    for first, last in zip(*excluded_dates(spec.exclude), strict=True):
        begin, end = start_of_day(first, zone), start_of_day(last + DAY, zone)
        if end <= after or begin > until:
            continue
        would_be = next_due(plain, max(begin, after) - MICROSECOND)
        if would_be is not None and would_be < end:
            yield LeftOut(max(begin, after), first, last)
