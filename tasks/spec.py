"""When is it due. Pure: no clock, no database; `now` is always an argument (R9).

A spec is once at T, every N seconds from an anchor, or a cron expression in a time zone; less what
falls on an excluded date, and all of it shifted by a constant offset, if it has these. Cron
follows Debian's cron(8) when the clock is put forward or back: a time in the gap runs once, right
after it, and a repeated hour runs a job of fixed time once; wildcards follow elapsed time.

cronsim parses the expressions and says which days match; the times of a day are laid on the clock
here. (cronsim 2.8 itself leaves out 2:00 to 2:29 for `*/10 2 * * *` when Lord Howe's clock goes
back by half an hour, and runs a wildcard job at a midnight that is in a gap.)
"""

import hashlib
import re
from array import array
from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from tasks.exceptions import SpecError

MAX_INTERVAL = 10 * 366 * 86_400
MAX_REPEAT = 100_000
MAX_CRON_LENGTH = 200
MAX_INTERVAL_LENGTH = 50
MAX_ZONE_LENGTH = 64
# Of one list: a schedule can have one of its own, and a calendar's.
MAX_EXCLUDED = 1_000
MAX_EXCLUDED_LENGTH = 24 * MAX_EXCLUDED
MAX_TERM_LENGTH = 50
MAX_JITTER = 86_400

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# No clock was ever put forward or back by more: Samoa left out a day.
LARGEST_SHIFT = 2 * DAY
# Everything is due between these two; so late nothing can overflow yet.
BEGINNING = EPOCH - MICROSECOND
END = datetime(9980, 1, 1, tzinfo=UTC)
# Days of the month and of the week meet again within 40 years: what isn't due for longer, the
# clocks skip each time.
LONGEST_WAIT = timedelta(days=50 * 366)
END_OF_GRID = (END - EPOCH) // MILLISECOND

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
ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+\-/]*")
# Files beside the zones: this machine's own zone, and variants with leap seconds.
NO_ZONE = re.compile(r"localtime|posixrules|(posix|right)/.*")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
RANGE_MARK = ".."
LABELS = {"first": "first time", "start": "start", "end": "end"}
UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
INTERVAL_TEXT = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in UNITS))


# The first and the last of consecutive dates.
DateRange = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Spec:
    """The "when" of a schedule; construction validates and raises SpecError.

    Once: `first` alone. Interval: `first` (the anchor, and the first time) and `interval` in
    whole seconds. Cron: `cron` with 5 fields, 6 with seconds in front, or a name such as
    `@daily`, in the IANA zone `timezone`; with `both_days` its day of month and its day of week
    both have to match, where otherwise one is enough. `repeat` limits how many occurrences there
    are in all: of an interval counted from `first`, or from the first one at or after `start`; of
    a cron expression from `start`, which it then needs. Nothing is due before `start` or after
    `end`.
    All datetimes are aware, in the years 1970 to 9979; they are kept in UTC.

    On the dates of `exclude` (a text as `parse_dates` reads it), as the calendar in the zone
    `timezone` shows them, nothing is due, and nothing counts towards `repeat`. At last, what is
    left is shifted by `offset` milliseconds: `start`, `end` and `exclude` are about the unshifted
    instants, the functions below take and return shifted ones.

    The first use of a spec with `repeat` that is a cron expression, or has excluded dates, counts
    its occurrences, which takes up to a second for 100,000; a process remembers the result.
    """

    first: datetime | None = None
    interval: int | None = None
    cron: str | None = None
    timezone: str = "UTC"
    repeat: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    exclude: str = ""
    offset: int = 0
    both_days: bool = False

    def __post_init__(self) -> None:
        for field in LABELS:
            moment = getattr(self, field)
            if moment is not None:
                object.__setattr__(self, field, _checked_moment(field, moment))
        _check_bounds(self)
        _check_zone(self.timezone)
        if self.cron is None:
            _check_interval(self)
        else:
            _check_cron(self)
        _check_repeat(self)
        if self.exclude != "":
            _check_exclude(self.exclude)
        if self.offset != 0:
            _check_offset(self.offset)


class Grid(NamedTuple):
    """A plain interval in whole milliseconds from 1970: what dispatch mostly has to compute."""

    first: int
    step: int

    def next_due(self, after: int) -> int | None:
        """Return the first due instant strictly later than `after`, None if there is none."""
        due = self.first
        if due <= after:
            due += self.step * ((after - due) // self.step + 1)
        return due if due <= END_OF_GRID else None

    def spec(self) -> Spec:
        """Return the spec that this is the grid of."""
        return Spec(first=EPOCH + self.first * MILLISECOND, interval=self.step // 1000)

    def check(self) -> None:
        """Raise SpecError or TypeError if this can't be the grid of a spec."""
        if not (0 <= self.first <= END_OF_GRID and 1000 <= self.step <= MAX_INTERVAL * 1000):
            raise SpecError("interval", f"{self} is out of bounds.")


def grid(values: Mapping[str, Any]) -> Grid | None:
    """Return the grid of a valid spec's values, given without defaults; None if it has none."""
    if values.keys() - {"offset", "timezone"} != {"first", "interval"}:
        return None
    first = (_utc(values["first"]) - EPOCH) // MILLISECOND + values.get("offset", 0)
    return Grid(first, values["interval"] * 1000)


def next_due(spec: Spec, after: datetime) -> datetime | None:
    """Return the first due instant strictly later than `after`, None if there is none."""
    return next(_shifted(spec, _utc(after), END), None)


def dues(spec: Spec, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the due instants with `after` < due <= `until`, in ascending order."""
    return _shifted(spec, _utc(after), _utc(until))


def latest_due(spec: Spec, until: datetime) -> datetime | None:
    """Return the newest due instant that is not later than `until`, None if there is none.

    The cost doesn't depend on how many there are.
    """
    shift = timedelta(milliseconds=spec.offset)
    newest = _newest(spec, min(_utc(until) - shift, _last(spec)))
    return newest and newest + shift


def parse_interval(text: str) -> int:
    """Return the seconds of a text such as 15m, 90s, 2h, 1d, 1h30m or 45; raises SpecError."""
    seconds = _seconds(text.strip().lower()) if isinstance(text, str) else None
    if seconds is None:
        shown = str(text)[:MAX_INTERVAL_LENGTH]
        raise SpecError("interval", f"“{shown}” is not an interval: write 15m, 90s, 2h or 1d.")
    _check_seconds(seconds)
    return seconds


def format_interval(seconds: int) -> str:
    """Return an interval as `parse_interval` reads it, in days and below: 900 is 15m."""
    parts = []
    for unit in "dhms":
        number, seconds = divmod(seconds, UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def parse_dates(text: str, limit: int = MAX_EXCLUDED) -> list[DateRange]:
    """Return the dates of a text, in order: one date or range on a line, or between commas.

    A date is written 2026-12-24, a range 2026-12-24..2026-12-26. Raises SpecError.
    """
    if len(text) > limit * MAX_EXCLUDED_LENGTH // MAX_EXCLUDED:
        raise SpecError("exclude", f"The excluded dates are too long: give at most {limit:,}.")
    terms = {term.strip() for term in text.replace(",", "\n").splitlines()} - {""}
    if len(terms) > limit:
        raise SpecError("exclude", f"Give at most {limit:,} excluded dates; a range is one.")
    return sorted({_date_range(term) for term in terms})


def format_dates(dates: Iterable[DateRange]) -> str:
    """Return dates as `parse_dates` reads them, one date or range on a line."""
    return "\n".join(
        f"{first}" if first == last else f"{first}{RANGE_MARK}{last}" for first, last in dates
    )


def number_of_days(text: str) -> int:
    """Return how many days the dates of a text are, each counted once; raises SpecError."""
    return sum((last - first).days + 1 for first, last in zip(*_excluded(text), strict=True))


def jitter_offset(identity: str, jitter: int | None) -> int:
    """Return the offset in milliseconds, below `jitter` seconds, that an identity always has.

    The offsets of many identities are spread evenly.
    """
    if not jitter:
        return 0
    digest = hashlib.sha256(identity.encode()).digest()
    return int.from_bytes(digest[:8], "big") % (jitter * 1000)


def check_jitter(jitter: int | None, interval: int | None) -> None:
    """Raise SpecError unless `jitter` is None or, in seconds, at most the interval and a day."""
    if jitter is None:
        return
    if not isinstance(jitter, int) or isinstance(jitter, bool):
        raise SpecError("jitter", "The jitter is not a whole number of seconds: give one.")
    if not 1 <= jitter <= MAX_JITTER:
        raise SpecError("jitter", "Give a jitter of at least 1 second and at most a day.")
    if isinstance(interval, int) and jitter > interval:
        raise SpecError("jitter", "The jitter is longer than the interval: give a shorter one.")


def _shifted(spec: Spec, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the due instants with `after` < due <= `until`."""
    if spec.offset == 0:
        return _between(spec, after, min(until, _last(spec)))
    shift = timedelta(milliseconds=spec.offset)
    unshifted = _between(spec, after - shift, min(until - shift, _last(spec)))
    return (due + shift for due in unshifted)


def _between(spec: Spec, after: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the unshifted dues with `after` < due <= `last`, whatever `repeat` and `end` say."""
    if spec.start is not None:
        after = max(after, spec.start - MICROSECOND)
    every = _not_excluded if spec.exclude else _any_day
    return takewhile(last.__ge__, every(spec, after, last))


def _any_day(spec: Spec, after: datetime, last: datetime) -> Iterator[datetime]:
    return _of_interval(spec, after) if spec.cron is None else _of_cron(spec, after, last)


def _not_excluded(spec: Spec, after: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the due instants later than `after` that don't fall on an excluded date."""
    first_days, last_days = _excluded(spec.exclude)
    zone = _zone(spec.timezone)
    assert zone is not None
    dues = _any_day(spec, after, last)
    while (due := next(dues, None)) is not None and due <= last:
        day = due.astimezone(zone).date()
        number = bisect_right(first_days, day) - 1
        if number < 0 or last_days[number] < day:
            yield due
        else:
            # Few steps for many occurrences: the next one is on another day. A clock that is put
            # back may show the day before the range once more (Casey, 2010).
            resumed = _begin_of(last_days[number] + DAY, zone)
            if day < first_days[number] + LARGEST_SHIFT:
                resumed = min(resumed, _steady(zone, due)[1])
            dues = _any_day(spec, max(due, resumed - MICROSECOND), last)


def _begin_of(day: date, zone: ZoneInfo) -> datetime:
    """Return an instant, late but not later than the first one at which the clock shows a day."""
    midnight = datetime.combine(day, time(), tzinfo=zone)
    return min(midnight.astimezone(UTC), midnight.replace(fold=1).astimezone(UTC))


def _of_interval(spec: Spec, after: datetime) -> Iterator[datetime]:
    assert spec.first is not None
    if spec.interval is None:
        if spec.first > after:
            yield spec.first
        return
    step = timedelta(seconds=spec.interval)
    due = spec.first + step * max((after - spec.first) // step + 1, 0)
    while True:
        yield due
        due += step


def _last(spec: Spec) -> datetime:
    """Return the instant after which nothing is due."""
    end = spec.end or END
    return end if spec.repeat is None else min(_last_of_repeat(spec), end)


@lru_cache(maxsize=10_000)
def _last_of_repeat(spec: Spec) -> datetime:
    """Return the last instant that `repeat` allows, or END if it allows them all."""
    assert spec.repeat is not None
    unlimited = _between(spec, BEGINNING, spec.end or END)
    if spec.interval is None or spec.exclude:
        return next(islice(unlimited, spec.repeat - 1, None), END)
    initial = next(unlimited, END)
    step = timedelta(seconds=spec.interval)
    return initial + step * min(spec.repeat - 1, (END - initial) // step)


def _newest(spec: Spec, until: datetime) -> datetime | None:
    """Return the newest unshifted due instant that is not later than `until`."""
    newest, empty_from = _due_before_long(spec, until), until
    while newest is not None and empty_from - newest >= SECOND:
        middle = newest + (empty_from - newest) / 2
        later = next(_between(spec, middle, empty_from), None)
        if later is None:
            empty_from = middle
        else:
            newest = later
    return newest


def _due_before_long(spec: Spec, until: datetime) -> datetime | None:
    """Return the newest due instant up to `until`, or one not much older; None if none is."""
    reach = SECOND
    begin = until
    while begin > BEGINNING:
        begin = until - min(reach, until - BEGINNING)
        due = next(_between(spec, begin, until), None)
        if due is not None:
            return due
        reach *= 2
    return None


@dataclass(frozen=True, slots=True)
class _Cron:
    """A parsed expression: when in a minute, when in a day, and on which days."""

    seconds: tuple[timedelta, ...]
    minutes: "array[int]"  # Of the day, in order.
    follows_elapsed_time: bool
    calendar: CronSim
    # Of a month, by the weekday of its first day and its length: there are only 28 kinds.
    days: dict[tuple[int, int], list[int]]


def _of_cron(spec: Spec, after: datetime, last: datetime) -> Iterator[datetime]:
    assert spec.cron is not None
    cron, zone = _parsed(spec.cron, spec.both_days), _zone(spec.timezone)
    assert zone is not None
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
            minute = _change_of_offset(zone, before_gap, minute)
        if minute >= begin:
            yield minute
            begin = minute + MICROSECOND


def _of_elapsed_time(
    cron: _Cron, zone: ZoneInfo, begin: datetime, last: datetime
) -> Iterator[datetime]:
    """Yield the minutes from `begin` on at which the clock shows a matching time."""
    newest = begin
    while begin <= last and begin - newest <= LONGEST_WAIT:
        offset, steady_until, changes = _steady(zone, begin)
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


def _steady(zone: ZoneInfo, begin: datetime) -> tuple[timedelta, datetime, bool]:
    """Return the offset at `begin`, until when it holds for sure, and whether it ends then."""
    offset = _offset(zone, begin)
    end = begin + 2 * LARGEST_SHIFT
    if _offset(zone, end) == offset:
        return offset, end, False
    return offset, _change_of_offset(zone, begin, end), True


def _change_of_offset(zone: ZoneInfo, begin: datetime, end: datetime) -> datetime:
    """Return the first second after `begin` with another offset; by `end` there is one."""
    begin_offset = _offset(zone, begin)
    begin = begin.replace(microsecond=0)
    seconds = range((end - begin) // SECOND)
    return begin + SECOND * bisect_left(
        seconds, True, key=lambda second: _offset(zone, begin + SECOND * second) != begin_offset
    )


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


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
def _parsed(cron: str, both_days: bool) -> _Cron:
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


@lru_cache(maxsize=1_000)
def _zone(name: str) -> ZoneInfo | None:
    """Return the zone of a name, None if it has none."""
    if not ZONE_NAME.fullmatch(name) or NO_ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


@lru_cache(maxsize=1_000)
def _excluded(text: str) -> tuple[list[date], list[date]]:
    """Return the first and the last days of the excluded ranges, in order and without overlap."""
    first_days: list[date] = []
    last_days: list[date] = []
    for first, last in parse_dates(text, limit=2 * MAX_EXCLUDED):
        if last_days and first <= last_days[-1] + DAY:
            last_days[-1] = max(last_days[-1], last)
        else:
            first_days.append(first)
            last_days.append(last)
    return first_days, last_days


def _date_range(term: str) -> DateRange:
    first, mark, last = term.partition(RANGE_MARK)
    begin = _date(first, term)
    end = _date(last, term) if mark else begin
    if end < begin:
        raise SpecError("exclude", f"The range “{term}” ends before it begins: swap its dates.")
    return begin, end


def _date(text: str, term: str) -> date:
    text = text.strip()
    try:
        day = date.fromisoformat(text) if DATE.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not BEGINNING.year < day.year < END.year:
        raise SpecError(
            "exclude",
            f"“{term[:MAX_TERM_LENGTH]}” is no date: write 2026-12-24, or 2026-12-24..2026-12-26.",
        )
    return day


def _utc(moment: datetime) -> datetime:
    """Return a moment in UTC, brought into the time in which something can be due."""
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no time zone: give an aware datetime.")
    if not BEGINNING.year < moment.year < END.year:
        return BEGINNING if moment.year < END.year else END
    return min(max(moment.astimezone(UTC), BEGINNING), END)


def _checked_moment(field: str, moment: object) -> datetime:
    label = LABELS[field]
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise SpecError(field, f"The {label} is no moment: give a datetime with a time zone.")
    utc = _utc(moment)
    if field != "end" and not BEGINNING < utc < END:
        years = f"{BEGINNING.year + 1} to {END.year - 1}"
        raise SpecError(field, f"The {label} is out of range: give one in the years {years}.")
    return utc


def _check_bounds(spec: Spec) -> None:
    if spec.start is not None and spec.end is not None and spec.end < spec.start:
        raise SpecError("end", "The end is before the start: give a later end.")


def _check_zone(name: object) -> None:
    if not isinstance(name, str):
        raise SpecError("timezone", "The time zone is no text: write one such as Europe/Rome.")
    if len(name) > MAX_ZONE_LENGTH or _zone(name) is None:
        shown = name[:MAX_ZONE_LENGTH]
        raise SpecError("timezone", f"“{shown}” is no time zone: write one such as Europe/Rome.")


def _check_interval(spec: Spec) -> None:
    if spec.first is None:
        raise SpecError("first", "Say when: give a first time, or a cron expression.")
    if spec.interval is not None:
        _check_seconds(spec.interval)


def _seconds(text: str) -> int | None:
    """Return the seconds of a text, None if it is no interval."""
    if len(text) > MAX_INTERVAL_LENGTH:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    match = INTERVAL_TEXT.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    numbers = (int(number or 0) for number in match.groups())
    return sum(number * size for number, size in zip(numbers, UNITS.values(), strict=True))


def _check_seconds(seconds: object) -> None:
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise SpecError("interval", "The interval is not a whole number of seconds: give one.")
    if not 1 <= seconds <= MAX_INTERVAL:
        raise SpecError("interval", "Give an interval of at least 1 second and at most 10 years.")


def _check_cron(spec: Spec) -> None:
    if spec.first is not None or spec.interval is not None:
        raise SpecError("cron", "Give either a cron expression or a first time, not both.")
    if not isinstance(spec.cron, str) or len(spec.cron) > MAX_CRON_LENGTH:
        limit = MAX_CRON_LENGTH
        raise SpecError("cron", f"Give the cron expression as a text of up to {limit} characters.")
    _parsed(spec.cron, spec.both_days)


def _check_repeat(spec: Spec) -> None:
    if spec.repeat is None:
        return
    if spec.cron is None and spec.interval is None:
        raise SpecError("repeat", "A single time has no repeat limit: add an interval or leave it.")
    if not isinstance(spec.repeat, int) or isinstance(spec.repeat, bool):
        raise SpecError("repeat", "The repeat limit is not a whole number: give one.")
    if not 1 <= spec.repeat <= MAX_REPEAT:
        raise SpecError("repeat", f"Give a repeat limit between 1 and {MAX_REPEAT}.")
    if spec.cron is not None and spec.start is None:
        raise SpecError(
            "start", "A repeat limit of a cron expression counts from a start: give it."
        )


def _check_exclude(text: object) -> None:
    if not isinstance(text, str):
        raise SpecError("exclude", "The excluded dates are no text: write them one on a line.")
    _excluded(text)


def _check_offset(offset: object) -> None:
    limit = MAX_JITTER * 1000
    if not isinstance(offset, int) or isinstance(offset, bool) or not 0 <= offset < limit:
        raise SpecError("jitter", f"Give an offset of 0 to {limit - 1} milliseconds.")
