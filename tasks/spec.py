"""When is it due. Pure: no clock, no database; `now` is always an argument (R9).

A spec is once at T, every N seconds from an anchor, or a cron expression in a time zone. Cron
follows Debian's cron(8) on the days of daylight saving: a time in the gap runs once, right after
it, and a repeated hour runs a job of fixed time once; wildcards follow elapsed time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from cronsim.cronsim import Field

from tasks.exceptions import SpecError

MAX_INTERVAL = 10 * 366 * 86_400
MAX_REPEAT = 100_000
MAX_CRON_REPEAT = 10_000
MAX_CRON_LENGTH = 200

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
CRON_CHARACTERS = re.compile(r"[0-9A-Za-z*/,#\- ]+")
CRON_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# How far back the newest due instant of a cron expression is looked for, one after the other.
LOOK_BACKS = [
    timedelta(seconds=3),
    timedelta(minutes=2),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=31),
    timedelta(days=366),
    timedelta(days=9 * 366),
    timedelta(days=50 * 366),
]
UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
INTERVAL_TEXT = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")


@dataclass(frozen=True, slots=True)
class Spec:
    """The "when" of a schedule; construction validates and raises SpecError.

    Once: `first` alone. Interval: `first` (the anchor, and the first time) and `interval` in
    whole seconds. Cron: `cron` with 5 fields, 6 with seconds in front, or a name such as
    `@daily`, in the IANA zone `timezone`. `repeat` limits how many occurrences there are in all,
    counted from `first` or `start` (cron needs a `start` for it). Nothing is due before `start`
    or after `end`. All datetimes are aware.
    """

    first: datetime | None = None
    interval: int | None = None
    cron: str | None = None
    timezone: str = "UTC"
    repeat: int | None = None
    start: datetime | None = None
    end: datetime | None = None

    def __post_init__(self) -> None:
        _check_moments(self)
        if self.cron is None:
            _check_interval(self)
        else:
            _check_cron(self)
        _check_repeat(self)


def next_due(spec: Spec, after: datetime) -> datetime | None:
    """Return the first due instant strictly later than `after`, None if there is none."""
    after = after.astimezone(UTC)
    if spec.start is not None:
        after = max(after, spec.start.astimezone(UTC) - MICROSECOND)
    due = _next(spec, after)
    last = _last(spec)
    return due if due is not None and (last is None or due <= last) else None


def dues(spec: Spec, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the due instants with `after` < due <= `until`, in ascending order."""
    due = next_due(spec, after)
    while due is not None and due <= until:
        yield due
        due = next_due(spec, due)


def latest_due(spec: Spec, until: datetime) -> datetime | None:
    """Return the newest due instant that is not later than `until`, None if there is none.

    The cost doesn't depend on how many there are.
    """
    until = until.astimezone(UTC)
    last = _last(spec)
    if last is not None:
        until = min(until, last)
    if spec.cron is None:
        return _latest_of_interval(spec, until)
    for look_back in LOOK_BACKS:
        try:
            newest = list(dues(spec, until - look_back, until))[-1:]
        except OverflowError:
            return None
        if newest:
            return newest[0]
    return None


def parse_interval(text: str) -> int:
    """Return the seconds of a text such as 15m, 90s, 2h, 1d, 1h30m or 45; raises SpecError."""
    match = INTERVAL_TEXT.fullmatch(text.strip().lower()[:50])
    if match is None or not any(match.groups()):
        raise SpecError("interval", f"“{text[:50]}” is not an interval: write 15m, 90s, 2h or 1d.")
    seconds = sum(
        int(number) * size
        for number, size in zip(match.groups(), UNITS.values(), strict=True)
        if number
    )
    _check_seconds(seconds)
    return seconds


def format_interval(seconds: int) -> str:
    """Return an interval as `parse_interval` reads it, in its largest units: 900 is 15m."""
    parts = []
    for unit, size in UNITS.items():
        if unit == "w":
            continue
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)


def _next(spec: Spec, after: datetime) -> datetime | None:
    if spec.cron is not None:
        return _next_of_cron(spec, after)
    assert spec.first is not None
    first = spec.first.astimezone(UTC)
    if after < first:
        return first
    if spec.interval is None:
        return None
    step = timedelta(seconds=spec.interval)
    try:
        return first + step * ((after - first) // step + 1)
    except OverflowError:
        return None


def _next_of_cron(spec: Spec, after: datetime) -> datetime | None:
    seconds, minutes = _split(spec.cron or "")
    zone = ZoneInfo(spec.timezone)
    # A minute that has begun may still have seconds to come.
    begin = after.replace(second=0, microsecond=0) - SECOND
    try:
        for local in CronSim(minutes, begin.astimezone(zone)):
            minute = local.astimezone(UTC)
            for second in seconds:
                due = minute + timedelta(seconds=second)
                # In a repeated hour cronsim names the first pass, which may be over.
                if due > after:
                    return due
    except (OverflowError, ValueError):
        return None
    return None


@lru_cache(maxsize=10_000)
def _split(cron: str) -> tuple[tuple[int, ...], str]:
    """Return the seconds and the five other fields of an expression."""
    fields = CRON_NAMES.get(cron.lower(), cron).split()
    if len(fields) == 5:
        return (0,), " ".join(fields)
    seconds = sorted(second for second in Field.SECOND.parse(fields[0]) if isinstance(second, int))
    return tuple(seconds), " ".join(fields[1:])


def _last(spec: Spec) -> datetime | None:
    """Return the instant after which nothing is due, by `end` and `repeat`; None if open."""
    ends = [spec.end.astimezone(UTC)] if spec.end is not None else []
    if spec.repeat is not None:
        final = _last_of_repeat(spec)
        if final is not None:
            ends.append(final)
    return min(ends, default=None)


@lru_cache(maxsize=10_000)
def _last_of_repeat(spec: Spec) -> datetime | None:
    assert spec.repeat is not None
    if spec.cron is not None:
        assert spec.start is not None
        due: datetime | None = spec.start.astimezone(UTC) - MICROSECOND
        for _ in range(spec.repeat):
            following = _next(spec, due) if due is not None else None
            if following is None:
                return None
            due = following
        return due
    begin = spec.start.astimezone(UTC) - MICROSECOND if spec.start is not None else None
    assert spec.first is not None and spec.interval is not None
    initial = _next(spec, begin) if begin is not None else spec.first.astimezone(UTC)
    try:
        return initial and initial + timedelta(seconds=spec.interval) * (spec.repeat - 1)
    except OverflowError:
        return None


def _latest_of_interval(spec: Spec, until: datetime) -> datetime | None:
    assert spec.first is not None
    first = spec.first.astimezone(UTC)
    if until < first:
        return None
    step = timedelta(seconds=spec.interval) if spec.interval is not None else None
    newest = first if step is None else first + step * ((until - first) // step)
    return newest if spec.start is None or newest >= spec.start else None


def _check_moments(spec: Spec) -> None:
    for field in ("first", "start", "end"):
        moment = getattr(spec, field)
        if moment is None:
            continue
        if not isinstance(moment, datetime) or moment.utcoffset() is None:
            raise SpecError(field, f"{moment!r} is not a moment: give a datetime with a time zone.")
    if spec.start is not None and spec.end is not None and spec.end < spec.start:
        raise SpecError("end", "The end is before the start: nothing would ever be due.")


def _check_interval(spec: Spec) -> None:
    if spec.first is None:
        raise SpecError("first", "Say when: a first time, or a cron expression.")
    if spec.interval is not None:
        _check_seconds(spec.interval)


def _check_seconds(seconds: object) -> None:
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise SpecError("interval", f"{seconds!r} is not a whole number of seconds.")
    if not 1 <= seconds <= MAX_INTERVAL:
        raise SpecError("interval", "An interval is at least 1 second and at most 10 years.")


def _check_cron(spec: Spec) -> None:
    if spec.first is not None or spec.interval is not None:
        raise SpecError("cron", "Give a cron expression, or a first time with an interval.")
    cron = spec.cron
    if not isinstance(cron, str) or len(cron) > MAX_CRON_LENGTH:
        raise SpecError("cron", f"A cron expression is a text of up to {MAX_CRON_LENGTH} letters.")
    if not _is_known_zone(spec.timezone):
        zone = str(spec.timezone)[:64]
        raise SpecError("timezone", f"“{zone}” is not a time zone: write one such as Europe/Rome.")
    problem = _cron_problem(cron)
    if problem:
        raise SpecError("cron", problem)


def _is_known_zone(name: object) -> bool:
    return isinstance(name, str) and name != "localtime" and name in _zones()


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=10_000)
def _cron_problem(cron: str) -> str | None:
    """Say what is wrong with a cron expression, None if it is right."""
    if cron.startswith("@"):
        if cron.lower() in CRON_NAMES:
            return None
        return f"“{cron}” is not known. The names are: {', '.join(CRON_NAMES)}."
    fields = cron.split(" ")
    fields = [field for field in fields if field]
    if not CRON_CHARACTERS.fullmatch(cron) or len(fields) not in (5, 6):
        return (
            f"“{cron}” is not a cron expression: write minute, hour, day of month, month and "
            "day of week, such as 30 6 * * MON-FRI."
        )
    try:
        if len(fields) == 6:
            Field.SECOND.parse(fields[0])
        simulation = CronSim(" ".join(fields[-5:]), datetime(2024, 1, 1, tzinfo=UTC))
        if next(simulation, None) is None:
            return f"“{cron}” is never due."
    except (CronSimError, ValueError, AssertionError, TypeError) as error:
        return f"“{cron}” is not a cron expression: {error}."
    return None


def _check_repeat(spec: Spec) -> None:
    if spec.repeat is None:
        return
    if spec.cron is None and spec.interval is None:
        raise SpecError("repeat", "Only an interval or a cron expression can be repeated.")
    limit = MAX_CRON_REPEAT if spec.cron is not None else MAX_REPEAT
    if not isinstance(spec.repeat, int) or isinstance(spec.repeat, bool):
        raise SpecError("repeat", f"{spec.repeat!r} is not a whole number.")
    if not 1 <= spec.repeat <= limit:
        raise SpecError("repeat", f"A repeat limit is between 1 and {limit}.")
    if spec.cron is not None and spec.start is None:
        raise SpecError("start", "A repeat limit of a cron expression counts from a start: give it.")
