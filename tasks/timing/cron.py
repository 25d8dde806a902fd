"""When a cron expression is due in a zone.

This follows Debian's cron(8) when the clock is put forward or back: a time in the gap runs once,
right after it, and a repeated hour runs a fixed-time job once; wildcards follow elapsed time.

cronsim parses the expressions and says which days match; the times of a day are mapped to the
clock here. (cronsim 2.8 itself leaves out 2:00 to 2:29 for `*/10 2 * * *` when Lord Howe's clock
goes back by half an hour, and runs a wildcard job at a midnight that is in a gap.)
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

from tasks.exceptions import SpecError, marked
from tasks.timing.instants import DAY, MICROSECOND, SECOND
from tasks.timing.zones import LARGEST_SHIFT, find_offset_change, offset_period

# A day of the month falls on a day of the week again within 40 years: an expression that isn't due
# for longer than that falls into a gap of the clock each time.
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
# cronsim reads 5-5/2 as 5/2.
RANGE_OF_ONE = re.compile(r"\b0*(\w+)-0*\1/[0-9]+")
CRON_CHARACTERS = re.compile(r"[0-9A-Za-z*/,#\- \t]+")
# Keys: the names that cronsim's errors give the fields.
BAD_FIELDS = {
    "second": marked(
        "“%(cron)s” has a bad second: write * or 0-59, or a list, range or step such as 1,3 or 1-5 "
        "or */2."
    ),
    "minute": marked(
        "“%(cron)s” has a bad minute: write * or 0-59, or a list, range or step such as 1,3 or 1-5 "
        "or */2."
    ),
    "hour": marked(
        "“%(cron)s” has a bad hour: write * or 0-23, or a list, range or step such as 1,3 or 1-5 "
        "or */2."
    ),
    "day-of-month": marked(
        "“%(cron)s” has a bad day-of-month: write *, L, LW or 1-31, a day that one of its months "
        "has, or a list, range or step such as 1,3 or 1-5 or */2."
    ),
    "month": marked(
        "“%(cron)s” has a bad month: write *, 1-12 or JAN-DEC, or a list, range or step such as "
        "1,3 or 1-5 or */2."
    ),
    "day-of-week": marked(
        "“%(cron)s” has a bad day-of-week: write *, 0-7 or SUN-SAT, MON#2 or 5L, or a list, range "
        "or step such as 1,3 or 1-5 or */2."
    ),
}


@dataclass(frozen=True, slots=True)
class ParsedCron:
    """The seconds of a minute, the minutes of a day and the days at which an expression matches."""

    seconds: tuple[timedelta, ...]
    minutes: "array[int]"  # Of the day, ascending.
    follows_elapsed_time: bool
    calendar: CronSim
    # Of a month, by its first weekday and its length: there are only 28 kinds of months.
    days: dict[tuple[int, int], list[int]]


def dues_of_cron(
    expression: str, both_days: bool, zone: ZoneInfo, after: datetime, last: datetime
) -> Iterator[datetime]:
    """Yield an expression's dues in a zone, later than `after`; it ends some time after `last`."""
    cron = parse_cron(expression, both_days)
    # The minute of `after` may still have seconds to come.
    begin = after + MICROSECOND - cron.seconds[-1]
    minutes = _minutes_elapsed if cron.follows_elapsed_time else _minutes_shown
    for minute in minutes(cron, zone, begin, last):
        for second in cron.seconds:
            due = minute + second
            if due > after:
                yield due


def _minutes_shown(
    cron: ParsedCron, zone: ZoneInfo, begin: datetime, last: datetime
) -> Iterator[datetime]:
    """Yield the minutes from `begin` on for a fixed-time job: each local time once.

    The first pass of a repeated hour counts; what falls into a gap is due at its end.
    """
    for local in _matching_times(cron, (begin - MICROSECOND).astimezone(zone), last):
        minute = local.replace(tzinfo=zone).astimezone(UTC)
        if minute.astimezone(zone).replace(tzinfo=None) != local:
            before_gap = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
            minute = find_offset_change(zone, before_gap, minute)
        if minute >= begin:
            yield minute
            begin = minute + MICROSECOND


def _minutes_elapsed(
    cron: ParsedCron, zone: ZoneInfo, begin: datetime, last: datetime
) -> Iterator[datetime]:
    """Yield the minutes from `begin` on at which the clock shows a match, however often it does."""
    newest = begin
    while begin <= last and begin - newest <= LONGEST_WAIT:
        period = offset_period(zone, begin)
        for local in _matching_times(cron, begin - MICROSECOND + period.offset, last):
            minute = local.replace(tzinfo=UTC) - period.offset
            if minute >= period.until:
                break
            yield minute
            newest = minute
        else:
            minute = last + LARGEST_SHIFT
        # No change of the clock before a distant match can bring the match much nearer.
        begin = period.until
        if not period.ends_in_change:
            begin = max(begin, minute - LARGEST_SHIFT)


def _matching_times(cron: ParsedCron, after: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the matching local times later than `after`, naive, until well after `last`."""
    first_day = after.date()
    already_passed = bisect_right(cron.minutes, after.hour * 60 + after.minute)
    for day in _matching_days(cron, first_day, (last + LARGEST_SHIFT).date()):
        midnight = datetime.combine(day, time())
        for minute in cron.minutes[already_passed if day == first_day else 0 :]:
            yield midnight + timedelta(minutes=minute)


def _matching_days(cron: ParsedCron, begin: date, last: date) -> Iterator[date]:
    month = begin.replace(day=1)
    while month <= last:
        if month.month in cron.calendar.months:
            for number in _days_of_month(cron, month):
                day = month.replace(day=number)
                if begin <= day <= last:
                    yield day
        month = (month + 31 * DAY).replace(day=1)


def _days_of_month(cron: ParsedCron, month: date) -> list[int]:
    kind = monthrange(month.year, month.month)
    if kind not in cron.days:
        days = [month.replace(day=number) for number in range(1, kind[1] + 1)]
        cron.days[kind] = [day.day for day in days if cron.calendar.match_day(day)]
    return cron.days[kind]


@lru_cache(maxsize=2_000)
def parse_cron(cron: str, both_days: bool) -> ParsedCron:
    """Parse a cron expression; raises SpecError if it is invalid or never due."""
    text = CRON_NAMES.get(cron.lower(), cron)
    if cron.startswith("@") and text == cron:
        names = ", ".join(CRON_NAMES)
        raise SpecError(
            "cron",
            "“%(cron)s” is not a known name. The known names are %(known)s.",
            cron=cron,
            known=names,
        )
    fields = text.split()
    if not CRON_CHARACTERS.fullmatch(text) or len(fields) not in (5, 6):
        raise SpecError(
            "cron",
            "“%(cron)s” is not a cron expression: write minute, hour, day of month, month and "
            "day of week, such as 30 6 * * MON-FRI, and seconds in front if you need them.",
            cron=cron,
        )
    try:
        calendar = CronSim(RANGE_OF_ONE.sub(r"\1", text), datetime(2000, 1, 1))
    except CronSimError as error:
        raise SpecError("cron", BAD_FIELDS[str(error).removeprefix("Bad ")], cron=cron) from error
    calendar.day_and |= both_days
    minute, hour = fields[-5:-3]
    parsed = ParsedCron(
        seconds=tuple(second * SECOND for second in sorted(calendar.seconds)),
        minutes=array("H", sorted(h * 60 + m for h in calendar.hours for m in calendar.minutes)),
        follows_elapsed_time=minute.startswith("*") or hour.startswith("*"),
        calendar=calendar,
        days={},
    )
    # 28 years in a row contain every kind of year.
    if not any(_matching_days(parsed, date(2000, 1, 1), date(2027, 12, 31))):
        text = marked("“%(cron)s” is never due: no month has such a day. Choose another.")
        if both_days:
            text = marked(
                "“%(cron)s” is never due: no day matches its month, its day of month and its day "
                "of week. Choose another."
            )
        raise SpecError("cron", text, cron=cron)
    return parsed
