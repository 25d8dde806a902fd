"""A cron expression as choices: which days, at which times. What people pick, and back again."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from tasks.exceptions import SpecError

TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
NUMBERS = re.compile(r"[0-9]+(,[0-9]+)*")
WEEKDAYS = frozenset(range(1, 6))
# As cron counts them: 0 is Sunday.
WEEK = frozenset(range(7))
DAY_NAMES = {name: day for day, name in enumerate("SUN MON TUE WED THU FRI SAT".split())}


class On(StrEnum):
    """On which days, as people choose."""

    EVERY_DAY = "every_day"
    WEEKDAYS = "weekdays"
    DAYS = "days"
    FIRST = "first"
    LAST = "last"
    EVERY_HOUR = "every_hour"


@dataclass(frozen=True, slots=True)
class CronChoice:
    """What was chosen; `days` counts for On.DAYS only, and of `times` On.EVERY_HOUR has minutes."""

    on: On
    times: tuple[tuple[int, int], ...]
    days: frozenset[int] = WEEK

    @property
    def at(self) -> str:
        """The times as people write them: 07:30, 19:30."""
        return ", ".join(f"{hour:02}:{minute:02}" for hour, minute in self.times)


def read_times(text: str) -> tuple[tuple[int, int], ...]:
    """Return the times in a text such as 07:30 or 07:30, 19:30; raises SpecError."""
    found = [TIME.fullmatch(part) for part in text.replace(",", " ").split()]
    times = sorted({(int(match[1]), int(match[2])) for match in found if match is not None})
    if not times or None in found:
        raise SpecError("cron_at", "Give a time such as 07:30, or several: 07:30, 19:30.")
    return tuple(times)


def write_cron(choice: CronChoice) -> str:
    """Return the expression that says what was chosen; raises SpecError if none can say it."""
    minutes = sorted({minute for _hour, minute in choice.times})
    if choice.on == On.EVERY_HOUR:
        return f"{_listed(minutes)} * * * *"
    hours = sorted({hour for hour, _minute in choice.times})
    if len(hours) * len(minutes) != len(choice.times):
        raise SpecError(
            "cron_at",
            "One cron expression can’t say these times: give them the same minutes, such as "
            "07:30, 19:30, or make a schedule for each.",
        )
    day, weekdays = {On.FIRST: ("1", "*"), On.LAST: ("L", "*")}.get(choice.on, ("*", ""))
    if not weekdays:
        weekdays = _days({On.WEEKDAYS: WEEKDAYS, On.DAYS: choice.days}.get(choice.on, WEEK))
    return f"{_listed(minutes)} {_listed(hours)} {day} * {weekdays}"


def read_cron(expression: str) -> CronChoice | None:
    """Return the choice that an expression says, None if it says more than can be chosen."""
    fields = expression.upper().split()
    if len(fields) != 5 or fields[3] != "*":
        return None
    minutes, hours, day, _month, weekdays = fields
    days = _read_days(weekdays)
    if not NUMBERS.fullmatch(minutes) or days is None or (day != "*" and days != WEEK):
        return None
    if hours == "*" and day == "*" and days == WEEK:
        return _checked(On.EVERY_HOUR, ["0"], minutes.split(","), WEEK)
    on = {"*": _on_of(days), "1": On.FIRST, "L": On.LAST}.get(day)
    if on is None or not NUMBERS.fullmatch(hours):
        return None
    return _checked(on, hours.split(","), minutes.split(","), days)


def _checked(
    on: On, hours: Iterable[str], minutes: Collection[str], days: frozenset[int]
) -> CronChoice | None:
    times = {(int(hour), int(minute)) for hour in hours for minute in minutes}
    if any(hour > 23 or minute > 59 for hour, minute in times):
        return None
    return CronChoice(on, tuple(sorted(times)), days)


def _on_of(days: frozenset[int]) -> On:
    return {WEEK: On.EVERY_DAY, WEEKDAYS: On.WEEKDAYS}.get(days, On.DAYS)


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


def _days(days: frozenset[int]) -> str:
    if days == WEEK:
        return "*"
    return "1-5" if days == WEEKDAYS else _listed(sorted(days))


def _read_days(text: str) -> frozenset[int] | None:
    """Return the days of the week that a field names, None if it isn't a plain list of them."""
    if text == "*":
        return WEEK
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ends = [_read_day(end) for end in ((first, last) if dash else (first,))]
        if None in ends or ends[0] > ends[-1]:  # type: ignore[operator]
            return None
        days |= {day % 7 for day in range(ends[0], ends[-1] + 1)}  # type: ignore[arg-type, operator]
    return frozenset(days)


def _read_day(text: str) -> int | None:
    if re.fullmatch("[0-7]", text):
        return int(text)
    return DAY_NAMES.get(text)
