"""When a feed says that it isn't worth asking again."""

import re
from collections.abc import Iterable

_PERIODS = {
    "hourly": 3_600,
    "daily": 86_400,
    "weekly": 7 * 86_400,
    "monthly": 30 * 86_400,
    "yearly": 365 * 86_400,
}
_DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_MOST_SECONDS = _PERIODS["yearly"]


def update_seconds(ttl: str, period: str, frequency: str) -> int | None:
    """Return after how many seconds a feed says that it may have changed, or None.

    `ttl` is RSS's, in minutes; `period` and `frequency` are those of the syndication module: so
    many times an hour, a day …. If it says both, the longer time counts.
    """
    seconds = [minutes * 60] if (minutes := _number(ttl)) else []
    every = _PERIODS.get(period.strip().lower())
    if every:
        seconds.append(every // (_number(frequency) or 1))
    return min(max(seconds), _MOST_SECONDS) if seconds else None


def skipped_hours(texts: Iterable[str]) -> tuple[int, ...]:
    """Return the hours (UTC) in which RSS says that nothing will change; 24 is midnight, too."""
    hours = {int(text) % 24 for text in texts if re.fullmatch(r"\s*(1?\d|2[0-4]|0\d)\s*", text)}
    return tuple(sorted(hours))


def skipped_days(texts: Iterable[str]) -> tuple[int, ...]:
    """Return the days of the week (0 is Monday) on which RSS says that nothing will change."""
    names = {text.strip().lower() for text in texts}
    return tuple(number for number, name in enumerate(_DAYS) if name in names)


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"\s*\d{1,9}\s*", text) else 0
