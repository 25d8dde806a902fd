"""Instants as aware UTC datetimes, as whole milliseconds, and as scores of sorted sets."""

from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Everything is due between these two: up to END, no arithmetic here can overflow.
BEGINNING = EPOCH - MICROSECOND
END = datetime(9980, 1, 1, tzinfo=UTC)


def to_milliseconds(instant: datetime) -> int:
    """Return an aware datetime as whole milliseconds since the Unix epoch."""
    return (instant - EPOCH) // MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the aware UTC datetime that many milliseconds after the Unix epoch."""
    return EPOCH + milliseconds * MILLISECOND


def whole_milliseconds(instant: datetime) -> datetime:
    """Return a datetime truncated to milliseconds, the precision of job ids and scores."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def to_score(instant: datetime) -> float:
    """Return an aware datetime as a score: seconds since the Unix epoch, to the millisecond."""
    return to_milliseconds(instant) / 1000


def from_score(score: float) -> datetime:
    """Return the aware UTC datetime of a score, to the millisecond."""
    return EPOCH + timedelta(milliseconds=round(score * 1000))


def clamped_utc(instant: datetime) -> datetime:
    """Return an aware datetime in UTC, clamped to the range in which something can be due."""
    if instant.utcoffset() is None:
        raise ValueError(f"{instant} has no time zone: give an aware datetime.")
    if not BEGINNING.year < instant.year < END.year:
        return BEGINNING if instant.year < END.year else END
    return min(max(instant.astimezone(UTC), BEGINNING), END)
