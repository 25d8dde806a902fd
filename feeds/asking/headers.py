"""PURE: what the headers of an answer say about time."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# A larger number of seconds is none.
MAX_DIGITS = 10
_DIRECTIVE = re.compile(r"([\w-]+)(?:\s*=\s*\"?([^\s\",;]*)\"?)?")


def http_date(text: str) -> datetime | None:
    """Return the time that a header names, in any of the three forms of HTTP; None if none."""
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def whole_seconds(text: str) -> int | None:
    """Return a header's number of seconds, None if it isn't one."""
    text = text.strip()
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    return int(text) if is_number else None


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long the server wants to be left alone; None if it doesn't say.

    A date is relative to the server's own clock, which need not be right.
    """
    text = headers.get("Retry-After", "")
    seconds = whole_seconds(text)
    if seconds is not None:
        return timedelta(seconds=seconds)
    return _from_date(text, headers, now)


def expires(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long the answer is fresh by its `Expires`; None if it doesn't say."""
    return _from_date(headers.get("Expires", ""), headers, now)


def cache_control(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the directives of `Cache-Control` with their values, "" for those that have none."""
    found = _DIRECTIVE.findall(headers.get("Cache-Control", ""))
    return {name.lower(): value for name, value in found}


def _from_date(text: str, headers: Mapping[str, str], now: datetime) -> timedelta | None:
    date = http_date(text)
    if date is None:
        return None
    return max(date - (http_date(headers.get("Date", "")) or now), timedelta())
