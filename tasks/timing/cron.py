"""Cron: when an expression in a zone is due.

It follows Debian's cron(8) when the clock is put forward or back: a time in the gap runs once,
right after it, and a repeated hour runs a job of fixed time once; wildcards follow elapsed time.

cronsim parses the expressions and says which days match; the times of a day are laid on the clock
here. (cronsim 2.8 itself leaves out 2:00 to 2:29 for `*/10 2 * * *` when Lord Howe's clock goes
back by half an hour, and runs a wildcard job at a midnight that is in a gap.)
"""

import re
from array import array
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from tasks.exceptions import SpecError
from tasks.timing.instants import DAY, MICROSECOND, SECOND
from tasks.timing.zones import LARGEST_SHIFT, change_of_offset, steady_offset

# Days of the month and of the week meet again within 40 years: what isn't due for longer, the
# clocks skip each time.
LONGEST_WAIT = timedelta(days=50 * 366)
CRON_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# cronsim takes 5-5/2 for 5/2.
RANGE_OF_ONE = re.compile(r"\b0*(\w+)-0*\1/[0-9]+")
CRON_CHARACTERS = re.compile(r"[0-9A-Za-z*/,#\- \t]+")
# By the names that cronsim gives the fields in its errors.
CRON_FIELDS = {
    "second": "* or 0-59",
    "minute": "* or 0-59",
    "hour": "* or 0-23",
    "day-of-month": "*, L, LW or 1-31, a day that one of its months has",
    "month": "*, 1-12 or JAN-DEC",
    "day-of-week": "*, 0-7 or SUN-SAT, MON#2 or 5L",
}


@dataclass(frozen=True, slots=True)
class _Cron:
    """A parsed expression: when in a minute, when in a day, and on which days."""

    seconds: tuple[timedelta, ...]
    minutes: "array[int]"  # Of the day, in order.
    follows_elapsed_time: bool
    calendar: CronSim
    # Of a month, by the weekday of its first day and its length: there are only 28 kinds.
    days: dict[tuple[int, int], list[int]]


def dues_of_cron(
    expression: str, both_days: bool, zone: ZoneInfo, after: datetime, last: datetime
) -> Iterator[datetime]:
    """Yield when an expression is due in a zone, from after `after` until `last` has passed."""
    cron = parse_cron(expression, both_days)
    # The last minute may have seconds to come.
    begin = after + MICROSECOND - cron.seconds[-1]
    on_the_clock = _of_elapsed_time if cron.follows_elapsed_time else _of_local_time
    for minute in on_the_clock(cron, zone, begin, last):
        for second in cron.seconds:
            due = minute + second
            if due > after:
                yield due


def _of_local_time(
    cron: _Cron, zone: ZoneInfo, begin: datetime, last: datetime
) -> Iterator[datetime]:
    """Yield the minutes from `begin` on for a job of fixed time: each local time once.

    Of a repeated hour the first pass counts; what falls into a gap is due at its end.
    """
    for local in _matches(cron, (begin - MICROSECOND).astimezone(zone), last):
        minute = local.replace(tzinfo=zone).astimezone(UTC)
        if minute.astimezone(zone).replace(tzinfo=None) != local:
            before_gap = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
            minute = change_of_offset(zone, before_gap, minute)
        if minute >= begin:
            yield minute
            begin = minute + MICROSECOND


def _of_elapsed_time(
    cron: _Cron, zone: ZoneInfo, begin: datetime, last: datetime
) -> Iterator[datetime]:
    """Yield the minutes from `begin` on at which the clock shows a matching time."""
    newest = begin
    while begin <= last and begin - newest <= LONGEST_WAIT:
        offset, steady_until, changes = steady_offset(zone, begin)
        for local in _matches(cron, begin - MICROSECOND + offset, last):
            minute = local.replace(tzinfo=UTC) - offset
            if minute >= steady_until:
                break
            yield minute
            newest = minute
        else:
            minute = last + LARGEST_SHIFT
        # No change on the way to a distant match can bring the clock to it much earlier.
        begin = steady_until if changes else max(steady_until, minute - LARGEST_SHIFT)


def _matches(cron: _Cron, after: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the matching local times later than `after`, naive, until well after `last`."""
    first_day = after.date()
    passed = bisect_right(cron.minutes, after.hour * 60 + after.minute)
    for day in _matching_days(cron, first_day, (last + LARGEST_SHIFT).date()):
        midnight = datetime.combine(day, time())
        for minute in cron.minutes[passed if day == first_day else 0 :]:
            yield midnight + timedelta(minutes=minute)


def _matching_days(cron: _Cron, begin: date, last: date) -> Iterator[date]:
    month = begin.replace(day=1)
    while month <= last:
        if month.month in cron.calendar.months:
            for number in _days_of_month(cron, month):
                day = month.replace(day=number)
                if begin <= day <= last:
                    yield day
        month = (month + 31 * DAY).replace(day=1)


def _days_of_month(cron: _Cron, month: date) -> list[int]:
    kind = monthrange(month.year, month.month)
    if kind not in cron.days:
        days = [month.replace(day=number) for number in range(1, kind[1] + 1)]
        cron.days[kind] = [day.day for day in days if cron.calendar.match_day(day)]
    return cron.days[kind]


@lru_cache(maxsize=2_000)
def parse_cron(cron: str, both_days: bool) -> _Cron:
    """Parse a cron expression; raises SpecError if it is none, or is never due."""
    text = CRON_NAMES.get(cron.lower(), cron)
    if cron.startswith("@") and text == cron:
        names = ", ".join(CRON_NAMES)
        raise SpecError("cron", f"“{cron}” is not a time. The names of times are {names}.")
    fields = text.split()
    if not CRON_CHARACTERS.fullmatch(text) or len(fields) not in (5, 6):
        raise SpecError(
            "cron",
            f"“{cron}” is not a cron expression: write minute, hour, day of month, month and "
            "day of week, such as 30 6 * * MON-FRI, and seconds in front if you need them.",
        )
    try:
        calendar = CronSim(RANGE_OF_ONE.sub(r"\1", text), datetime(2000, 1, 1))
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise SpecError(
            "cron",
            f"“{cron}” has a bad {field}: write {CRON_FIELDS[field]}, or a list, range or step "
            "such as 1,3 or 1-5 or */2.",
        ) from error
    calendar.day_and |= both_days
    minute, hour = fields[-5:-3]
    parsed = _Cron(
        seconds=tuple(second * SECOND for second in sorted(calendar.seconds)),
        minutes=array("H", sorted(h * 60 + m for h in calendar.hours for m in calendar.minutes)),
        follows_elapsed_time=minute.startswith("*") or hour.startswith("*"),
        calendar=calendar,
        days={},
    )
    # 28 years have every kind of year.
    if not any(_matching_days(parsed, date(2000, 1, 1), date(2027, 12, 31))):
        why = "no month has such a day"
        if both_days:
            why = "no day matches its month, its day of month and its day of week"
        raise SpecError("cron", f"“{cron}” is never due: {why}. Choose another.")
    return parsed
