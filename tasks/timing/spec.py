"""When a schedule is due. Pure: no clock, no database; `now` is always an argument (R9).

A spec is once at T, every N seconds from an anchor, or a cron expression in a time zone. If it has
excluded dates, nothing is due on them; if it has an offset, every due is shifted by it.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any, NamedTuple

from tasks.exceptions import SpecError, marked
from tasks.timing.cron import dues_of_cron, parse_cron
from tasks.timing.instants import (
    BEGINNING,
    DAY,
    END,
    EPOCH,
    MICROSECOND,
    SECOND,
    clamped_utc,
    from_milliseconds,
    to_milliseconds,
)
from tasks.timing.text import MAX_INTERVAL, check_seconds, excluded_dates
from tasks.timing.zones import LARGEST_SHIFT, find_zone, offset_period, start_of_day

MAX_REPEAT = 100_000
MAX_CRON_LENGTH = 200
MAX_ZONE_LENGTH = 64
MAX_JITTER = 86_400
END_OF_GRID = to_milliseconds(END)
NOT_A_TIME = {
    "first": marked("The first time is not valid: give a datetime with a time zone."),
    "start": marked("The start is not valid: give a datetime with a time zone."),
    "end": marked("The end is not valid: give a datetime with a time zone."),
}
OUT_OF_RANGE = {
    "first": marked("The first time is out of range: give one in the years %(from)d to %(to)d."),
    "start": marked("The start is out of range: give one in the years %(from)d to %(to)d."),
}
# The fields of a spec that JSON holds as text.
DATETIME_FIELDS = ("first", "start", "end")


@dataclass(frozen=True, slots=True)
class Spec:
    """The "when" of a schedule; construction validates and raises SpecError.

    Once: `first` alone. Interval: `first` (the anchor, and the first time) and `interval` in
    whole seconds. Cron: `cron` with 5 fields, 6 with seconds in front, or a name such as
    `@daily`, in the IANA zone `timezone`; with `both_days` its day of month and its day of week
    must both match, where otherwise one is enough. `repeat` limits how many occurrences there
    are in all: those of an interval count from `first`, or from the first one at or after `start`;
    those of a cron expression from `start`, which it then needs. Nothing is due before `start` or
    after `end`. All datetimes are aware, in the years 1970 to 9979; they are kept in UTC.

    On the dates of `exclude` (a text as `parse_dates` reads it), as the calendar in the zone
    `timezone` shows them, nothing is due, and nothing counts towards `repeat`. Finally, what is
    left is shifted by `offset` milliseconds: `start`, `end` and `exclude` apply to the unshifted
    dues; the functions below take and return shifted ones.

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
        for field in DATETIME_FIELDS:
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, _checked_datetime(field, value))
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


def errors_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return all that is wrong with the values of a spec, by field; empty if nothing is.

    What is wrong only because another value is, isn't said.
    """
    errors: dict[str, str] = {}
    values = dict(values)
    while True:
        try:
            Spec(**values)
        except SpecError as error:
            if error.field in errors:
                return errors
            errors[error.field] = str(error)
            # A valid value in its place, which makes no other one wrong.
            values.pop(error.field, None)
            values |= _IN_ITS_PLACE.get(error.field, {})
        else:
            return errors


_IN_ITS_PLACE: Mapping[str, Mapping[str, Any]] = {
    "cron": {"cron": "* * * * *", "first": None, "interval": None},
    "first": {"first": EPOCH},
    "interval": {"interval": SECOND.seconds},
    "start": {"start": EPOCH + SECOND, "end": None},
    "jitter": {"offset": 0},
}


class Grid(NamedTuple):
    """A plain interval, in milliseconds since the Unix epoch: most of what dispatch computes."""

    first: int
    step: int

    def next_due(self, after: int) -> int | None:
        """Return the first due strictly later than `after`, None if there is none."""
        due = self.first
        if due <= after:
            due += self.step * ((after - due) // self.step + 1)
        return due if due <= END_OF_GRID else None

    def spec(self) -> Spec:
        """Return the spec that this grid was made from."""
        return Spec(first=from_milliseconds(self.first), interval=self.step // 1000)

    def check(self) -> None:
        """Raise SpecError or TypeError if this is not a valid grid."""
        if not (0 <= self.first <= END_OF_GRID and 1000 <= self.step <= MAX_INTERVAL * 1000):
            raise SpecError("interval", "%(grid)s is out of bounds.", grid=self)


def grid(values: Mapping[str, Any]) -> Grid | None:
    """Return the grid of a valid spec, from its values without defaults; None if it has none."""
    if values.keys() - {"offset", "timezone"} != {"first", "interval"}:
        return None
    first = to_milliseconds(clamped_utc(values["first"])) + values.get("offset", 0)
    return Grid(first, values["interval"] * 1000)


def next_due(spec: Spec, after: datetime) -> datetime | None:
    """Return the first due strictly later than `after`, None if there is none."""
    return next(_shifted(spec, clamped_utc(after), END), None)


def dues(spec: Spec, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the dues with `after` < due <= `until`, ascending."""
    return _shifted(spec, clamped_utc(after), clamped_utc(until))


def latest_due(spec: Spec, until: datetime) -> datetime | None:
    """Return the newest due that is not later than `until`, None if there is none.

    The cost doesn't depend on how many dues there are.
    """
    shift = timedelta(milliseconds=spec.offset)
    newest = _latest_unshifted(spec, min(clamped_utc(until) - shift, _last(spec)))
    return newest and newest + shift


def jitter_offset(identity: str, jitter: int | None) -> int:
    """Return an identity's constant offset, in milliseconds, less than `jitter` seconds.

    The offsets of many identities are evenly distributed.
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
    """Yield the dues with `after` < due <= `until`."""
    if spec.offset == 0:
        return _between(spec, after, min(until, _last(spec)))
    shift = timedelta(milliseconds=spec.offset)
    unshifted = _between(spec, after - shift, min(until - shift, _last(spec)))
    return (due + shift for due in unshifted)


def _between(spec: Spec, after: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the unshifted dues with `after` < due <= `last`, regardless of `repeat` and `end`."""
    if spec.start is not None:
        after = max(after, spec.start - MICROSECOND)
    every = _not_excluded if spec.exclude else _any_day
    return takewhile(last.__ge__, every(spec, after, last))


def _any_day(spec: Spec, after: datetime, last: datetime) -> Iterator[datetime]:
    if spec.cron is None:
        return _of_interval(spec, after)
    zone = find_zone(spec.timezone)
    assert zone is not None
    return dues_of_cron(spec.cron, spec.both_days, zone, after, last)


def _not_excluded(spec: Spec, after: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the dues later than `after` that don't fall on an excluded date."""
    first_days, last_days = excluded_dates(spec.exclude)
    zone = find_zone(spec.timezone)
    assert zone is not None
    dues = _any_day(spec, after, last)
    while (due := next(dues, None)) is not None and due <= last:
        day = due.astimezone(zone).date()
        number = bisect_right(first_days, day) - 1
        if number < 0 or last_days[number] < day:
            yield due
        else:
            # Skips the whole range at once. A clock that is put back may show the day before the
            # range once more (Casey, 2010).
            resumed = start_of_day(last_days[number] + DAY, zone)
            if day < first_days[number] + LARGEST_SHIFT:
                resumed = min(resumed, offset_period(zone, due).until)
            dues = _any_day(spec, max(due, resumed - MICROSECOND), last)


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
    """Return the instant after which nothing is due any more."""
    end = spec.end or END
    return end if spec.repeat is None else min(_last_of_repeat(spec), end)


@lru_cache(maxsize=10_000)
def _last_of_repeat(spec: Spec) -> datetime:
    """Return the last due that `repeat` allows, or END if it allows them all."""
    assert spec.repeat is not None
    unlimited = _between(spec, BEGINNING, spec.end or END)
    if spec.interval is None or spec.exclude:
        return next(islice(unlimited, spec.repeat - 1, None), END)
    initial = next(unlimited, END)
    step = timedelta(seconds=spec.interval)
    return initial + step * min(spec.repeat - 1, (END - initial) // step)


def _latest_unshifted(spec: Spec, until: datetime) -> datetime | None:
    """Return the newest unshifted due that is not later than `until`, by bisection."""
    newest, empty_from = _recent_due(spec, until), until
    while newest is not None and empty_from - newest >= SECOND:
        middle = newest + (empty_from - newest) / 2
        later = next(_between(spec, middle, empty_from), None)
        if later is None:
            empty_from = middle
        else:
            newest = later
    return newest


def _recent_due(spec: Spec, until: datetime) -> datetime | None:
    """Return a due no later than `until`, the newest or one close to it; None if there is none."""
    reach = SECOND
    begin = until
    while begin > BEGINNING:
        begin = until - min(reach, until - BEGINNING)
        due = next(_between(spec, begin, until), None)
        if due is not None:
            return due
        reach *= 2
    return None


def _checked_datetime(field: str, value: object) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise SpecError(field, NOT_A_TIME[field])
    utc = clamped_utc(value)
    if field in OUT_OF_RANGE and not BEGINNING < utc < END:
        years = {"from": BEGINNING.year + 1, "to": END.year - 1}
        raise SpecError(field, OUT_OF_RANGE[field], **years)
    return utc


def _check_bounds(spec: Spec) -> None:
    if spec.start is not None and spec.end is not None and spec.end < spec.start:
        raise SpecError("end", "The end is before the start: give a later end.")


def _check_zone(name: object) -> None:
    if not isinstance(name, str):
        raise SpecError("timezone", "The time zone is not text: write one such as Europe/Rome.")
    if len(name) > MAX_ZONE_LENGTH or find_zone(name) is None:
        raise SpecError(
            "timezone",
            "“%(zone)s” is not a valid time zone: write one such as Europe/Rome.",
            zone=name[:MAX_ZONE_LENGTH],
        )


def _check_interval(spec: Spec) -> None:
    if spec.first is None:
        raise SpecError("first", "Say when: give a first time, or a cron expression.")
    if spec.interval is not None:
        check_seconds(spec.interval)


def _check_cron(spec: Spec) -> None:
    if spec.interval is not None:
        raise SpecError("cron", "Give either a cron expression or an interval, not both.")
    if spec.first is not None:
        raise SpecError("cron", "Give either a cron expression or a first time, not both.")
    if not isinstance(spec.cron, str) or len(spec.cron) > MAX_CRON_LENGTH:
        raise SpecError(
            "cron",
            "Give the cron expression as a text of up to %(limit)d characters.",
            limit=MAX_CRON_LENGTH,
        )
    parse_cron(spec.cron, spec.both_days)


def _check_repeat(spec: Spec) -> None:
    if spec.repeat is None:
        return
    if spec.cron is None and spec.interval is None:
        raise SpecError(
            "repeat", "A single time has no repeat limit: add an interval or leave it out."
        )
    if not isinstance(spec.repeat, int) or isinstance(spec.repeat, bool):
        raise SpecError("repeat", "The repeat limit is not a whole number: give one.")
    if not 1 <= spec.repeat <= MAX_REPEAT:
        raise SpecError("repeat", "Give a repeat limit between 1 and %(limit)d.", limit=MAX_REPEAT)
    if spec.cron is not None and spec.start is None:
        raise SpecError(
            "start", "A repeat limit of a cron expression counts from a start: give it."
        )


def _check_exclude(text: object) -> None:
    if not isinstance(text, str):
        raise SpecError("exclude", "The excluded dates are not text: write one per line.")
    excluded_dates(text)


def _check_offset(offset: object) -> None:
    limit = MAX_JITTER * 1000
    if not isinstance(offset, int) or isinstance(offset, bool) or not 0 <= offset < limit:
        raise SpecError("jitter", "Give an offset of 0 to %(limit)d milliseconds.", limit=limit - 1)


def spec_from_json(values: dict[str, Any]) -> Spec:
    """Return the spec that `ScheduledTask.spec_json` wrote.

    Raises SpecError, ValueError or TypeError if the values are invalid.
    """
    datetimes = {
        name: datetime.fromisoformat(values[name]) for name in DATETIME_FIELDS if values.get(name)
    }
    return Spec(**values | datetimes)
