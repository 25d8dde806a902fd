"""Intervals and excluded dates as people write them."""

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache

from tasks.exceptions import SpecError
from tasks.timing.instants import BEGINNING, DAY, END

MAX_INTERVAL = 10 * 366 * 86_400
MAX_INTERVAL_LENGTH = 50
# In one list: a schedule can have a list of its own and a calendar's.
MAX_EXCLUDED = 1_000
MAX_EXCLUDED_LENGTH = 24 * MAX_EXCLUDED
MAX_TERM_LENGTH = 50
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
RANGE_MARK = ".."
UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
INTERVAL_TEXT = re.compile("".join(f"(?:([0-9]+){unit})?" for unit in UNITS))
# The first and the last of consecutive days.
DateRange = tuple[date, date]


def parse_interval(text: str) -> int:
    """Return the seconds of a text such as 15m, 90s, 2h, 1d, 1h30m or 45; raises SpecError."""
    seconds = _seconds(text.strip().lower()) if isinstance(text, str) else None
    if seconds is None:
        shown = str(text)[:MAX_INTERVAL_LENGTH]
        raise SpecError(
            "interval", "“%(text)s” is not a valid interval: write 15m, 90s, 2h or 1d.", text=shown
        )
    check_seconds(seconds)
    return seconds


def format_interval(seconds: int) -> str:
    """Return an interval as `parse_interval` reads it, in days or smaller units: 900 is 15m."""
    parts = []
    for unit in "dhms":
        number, seconds = divmod(seconds, UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def parse_dates(text: str, limit: int = MAX_EXCLUDED) -> list[DateRange]:
    """Return the dates in a text, ascending: one date or range per line, or separated by commas.

    A date is written 2026-12-24, a range 2026-12-24..2026-12-26. Raises SpecError.
    """
    shown = f"{limit:,}"
    if len(text) > limit * MAX_EXCLUDED_LENGTH // MAX_EXCLUDED:
        raise SpecError(
            "exclude", "The excluded dates are too long: give at most %(limit)s.", limit=shown
        )
    terms = {term.strip() for term in text.replace(",", "\n").splitlines()} - {""}
    if len(terms) > limit:
        raise SpecError(
            "exclude", "Give at most %(limit)s excluded dates; a range is one.", limit=shown
        )
    return sorted({_date_range(term) for term in terms})


def format_dates(dates: Iterable[DateRange]) -> str:
    """Return dates as `parse_dates` reads them, one date or range per line."""
    return "\n".join(
        f"{first}" if first == last else f"{first}{RANGE_MARK}{last}" for first, last in dates
    )


def number_of_days(text: str) -> int:
    """Return how many days the dates in a text cover, each counted once; raises SpecError."""
    return sum((last - first).days + 1 for first, last in zip(*excluded_dates(text), strict=True))


@lru_cache(maxsize=1_000)
def excluded_dates(text: str) -> tuple[list[date], list[date]]:
    """Return the first and the last days of the excluded ranges, ascending, without overlap."""
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
        raise SpecError(
            "exclude", "The range “%(range)s” ends before it begins: swap its dates.", range=term
        )
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
            "“%(text)s” is not a valid date: write 2026-12-24, or 2026-12-24..2026-12-26.",
            text=term[:MAX_TERM_LENGTH],
        )
    return day


def _seconds(text: str) -> int | None:
    """Return the seconds of a text, None if it is not a valid interval."""
    if len(text) > MAX_INTERVAL_LENGTH:
        return None
    if text.isascii() and text.isdigit():
        return int(text)
    match = INTERVAL_TEXT.fullmatch(text)
    if match is None or not any(match.groups()):
        return None
    numbers = (int(number or 0) for number in match.groups())
    return sum(number * size for number, size in zip(numbers, UNITS.values(), strict=True))


def check_seconds(seconds: object) -> None:
    """Raise SpecError unless `seconds` is a valid interval: a whole number within bounds."""
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise SpecError("interval", "The interval is not a whole number of seconds: give one.")
    if not 1 <= seconds <= MAX_INTERVAL:
        raise SpecError("interval", "Give an interval of at least 1 second and at most 10 years.")
