"""PURE: how long a feed that fails is left alone."""

from datetime import datetime, timedelta

from feeds.exceptions import (
    BadRedirect,
    BrokenOff,
    FeedError,
    HttpStatus,
    TooCostly,
    TooLarge,
    Unreachable,
)

LONGEST = timedelta(days=3)
LONGEST_RETRY_AFTER = timedelta(days=31)
LONGEST_FOR_HOST = timedelta(days=1)
# The next occurrence isn't missed because the answer took a while.
TOLERANCE = timedelta(minutes=1)
# What no publisher makes by mistake for long, and what costs us most.
HOSTILE = (TooLarge, TooCostly, BadRedirect)
# The answers whose Retry-After counts.
BUSY = (429, 503)


def counts(error: FeedError, *, others_answer: bool) -> bool:
    """Return whether a failure is the feed's own, for which it is left alone.

    If nothing can be sent to it, nor to anybody else, that is our own network: all feeds would be
    left alone for days because of one bad hour. `others_answer`: other hosts have, lately. What we
    have broken off ourselves never counts.
    """
    if isinstance(error, BrokenOff):
        return False
    return others_answer or not isinstance(error, Unreachable)


def until(failures: int, interval: timedelta, error: FeedError, now: datetime) -> datetime:
    """Return until when a feed is left alone after so many failures in a row.

    Beginning with the schedule's interval, twice as long each time; four times as long after what
    looks like an attack.
    """
    base, steps = (4, failures) if isinstance(error, HOSTILE) else (2, failures - 1)
    # After 18 steps even a second has become three days.
    seconds = interval.total_seconds() * base ** min(steps, 18)
    span = timedelta(seconds=min(seconds, LONGEST.total_seconds()))
    return now + span - min(span / 10, TOLERANCE)


def retry_after(error: FeedError) -> timedelta | None:
    """Return how long the server wants to be left alone; None if it doesn't say."""
    if not isinstance(error, HttpStatus) or error.status not in BUSY or not error.retry_after:
        return None
    return min(error.retry_after, LONGEST_RETRY_AFTER)
