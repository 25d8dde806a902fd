"""When a spec is due, by brute force: an independent check that shares no code with `tasks.timing`.

Cron is replayed as Debian's daemon does it. It wakes up every real minute, reads the wall clock,
and compares it with its own idea of the time, the last local minute that it has handled:

- one minute on: all jobs of that minute;
- further on (the clock was put forward): the wildcard jobs of the minute that the clock shows,
  and the fixed-time jobs of every local minute since;
- not further on (the clock was put back): only the wildcard jobs, until it has caught up.

A wildcard job has a minute or an hour field that begins with a star. One thing differs from
Debian: its daemon treats a jump of more than three hours as a correction, and drops what would
have been due in it. Here a skipped day (Samoa, 2011) is a gap like any other.
"""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
# Long enough before a window to know which minutes the daemon has already handled.
WARM_UP = timedelta(hours=4)
DAYS = "SUN MON TUE WED THU FRI SAT".split()
MONTHS = "? JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True)
class Wakeup:
    """One minute of the daemon: what the clock shows, and the local minutes it catches up with."""

    instant: datetime
    shown: datetime
    caught_up: tuple[datetime, ...]


def due_times(
    after: datetime,
    until: datetime,
    *,
    first: datetime | None = None,
    interval: int | None = None,
    cron: str | None = None,
    timezone: str = "UTC",
    repeat: int | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    exclude: str = "",
    offset: int = 0,
) -> list[datetime]:
    """Return every due with `after` < due <= `until`, counted one by one from the beginning.

    The offset shifts all of them.
    """
    shift = timedelta(milliseconds=offset)
    after, until = after.astimezone(UTC) - shift, until.astimezone(UTC) - shift
    begin = start.astimezone(UTC) if start is not None else None
    if cron is not None:
        counted_from = begin if repeat is not None and begin is not None else after
        every = _due_by_cron(cron, timezone, counted_from - MINUTE, until)
    else:
        assert first is not None
        every = _due_by_interval(first.astimezone(UTC), interval, until)
    clock, excluded = ZoneInfo(timezone), excluded_days(exclude)
    counted = (
        due
        for due in every
        if (begin is None or due >= begin) and due.astimezone(clock).date() not in excluded
    )
    return [
        due + shift
        for due in islice(counted, repeat)
        if after < due <= until and (end is None or due <= end.astimezone(UTC))
    ]


def excluded_days(exclude: str) -> set[date]:
    """Return every single day that a list of dates and ranges names."""
    days: set[date] = set()
    for line in exclude.splitlines():
        ends = [datetime.strptime(text, "%Y-%m-%d").date() for text in line.split("..")]
        day = ends[0]
        while day <= ends[-1]:
            days.add(day)
            day += timedelta(days=1)
    return days


def clock_changes(zone: str, begin: date, end: date) -> list[date]:
    """Return the days between two dates on which the zone's clock is put forward or back."""
    days = [begin + timedelta(days=number) for number in range((end - begin).days)]
    noons = [datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)) for day in days]
    return [
        noon.date() for before, noon in pairwise(noons) if before.utcoffset() != noon.utcoffset()
    ]


def _due_by_interval(first: datetime, interval: int | None, until: datetime) -> Iterator[datetime]:
    due = first
    while due <= until:
        yield due
        if interval is None:
            return
        due += timedelta(seconds=interval)


def _due_by_cron(cron: str, zone: str, begin: datetime, until: datetime) -> Iterator[datetime]:
    expression = Expression(cron)
    for wakeup in wakeups(zone, begin, until):
        if expression.is_wildcard:
            runs = expression.matches(wakeup.shown)
        else:
            runs = any(expression.matches(local) for local in wakeup.caught_up)
        if runs:
            for second in sorted(expression.seconds):
                yield wakeup.instant + timedelta(seconds=second)


@lru_cache(maxsize=8)
def wakeups(zone: str, begin: datetime, until: datetime) -> list[Wakeup]:
    """Replay the daemon's minutes from `begin` to `until`."""
    clock = ZoneInfo(zone)
    instant = (begin - WARM_UP).replace(second=0, microsecond=0)
    handled = instant.astimezone(clock).replace(tzinfo=None) - MINUTE
    seen = []
    while instant <= until:
        shown = instant.astimezone(clock).replace(tzinfo=None, fold=0)
        caught_up = []
        while handled < shown:
            handled += MINUTE
            caught_up.append(handled)
        seen.append(Wakeup(instant, shown, tuple(caught_up)))
        instant += MINUTE
    return [wakeup for wakeup in seen if wakeup.instant > begin - MINUTE]


class Expression:
    """A cron expression, read field by field."""

    def __init__(self, text: str) -> None:
        fields = NAMED.get(text, text).upper().split()
        self.seconds = _numbers(fields.pop(0), 0, 59) if len(fields) == 6 else {0}
        minute, hour, self.day, month, self.weekday = fields
        self.minutes = _numbers(minute, 0, 59)
        self.hours = _numbers(hour, 0, 23)
        self.months = _numbers(month, 1, 12, MONTHS)
        self.is_wildcard = minute[0] == "*" or hour[0] == "*"
        self._on_day: dict[date, bool] = {}

    def matches(self, local: datetime) -> bool:
        if local.minute not in self.minutes or local.hour not in self.hours:
            return False
        if local.date() not in self._on_day:
            self._on_day[local.date()] = self._is_on(local.date())
        return self._on_day[local.date()]

    def _is_on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_date = any(_is_date(term, day) for term in self.day.split(","))
        by_weekday = any(_is_weekday(term, day) for term in self.weekday.split(","))
        # Debian: if one of the two begins with a star, both have to match; otherwise one is enough.
        if self.day[0] == "*" or self.weekday[0] == "*":
            return by_date and by_weekday
        return by_date or by_weekday


def _is_date(term: str, day: date) -> bool:
    last = calendar.monthrange(day.year, day.month)[1]
    if term == "L":
        return day.day == last
    if term == "LW":
        later = [day.replace(day=number) for number in range(day.day + 1, last + 1)]
        return day.weekday() < 5 and all(other.weekday() >= 5 for other in later)
    return day.day in _numbers(term, 1, 31)


def _is_weekday(term: str, day: date) -> bool:
    today = {day.isoweekday(), day.isoweekday() % 7}
    if term.endswith("L"):
        week_later = day + timedelta(days=7)
        return int(term[:-1]) in today and week_later.month != day.month
    if "#" in term:
        name, count = term.split("#")
        nth = sum(1 for number in range(1, day.day + 1) if number % 7 == day.day % 7)
        return bool(_numbers(name, 0, 7, DAYS) & today) and nth == int(count)
    return bool(_numbers(term, 0, 7, DAYS) & today)


def _numbers(field: str, low: int, high: int, names: list[str] | None = None) -> set[int]:
    found: set[int] = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        elif last:
            begin, end = _number(first, names), _number(last, names)
        else:
            begin = _number(first, names)
            end = high if step else begin
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def _number(text: str, names: list[str] | None) -> int:
    return names.index(text) if names and text in names else int(text)
