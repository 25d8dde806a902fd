"""Instants: aware UTC datetimes, whole milliseconds, and scores of sorted sets."""

from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Everything is due between these two; so late nothing can overflow yet.
BEGINNING = EPOCH - MICROSECOND
END = datetime(9980, 1, 1, tzinfo=UTC)


def to_milliseconds(moment: datetime) -> int:
    """Return the whole milliseconds from 1970 to an aware moment."""
    return (moment - EPOCH) // MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the aware UTC moment that many milliseconds after 1970."""
    return EPOCH + milliseconds * MILLISECOND


def whole_milliseconds(moment: datetime) -> datetime:
    """Return a moment as job ids and scores can say it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def to_score(moment: datetime) -> float:
    """Return a moment as a score: seconds from 1970, in whole milliseconds."""
    return to_milliseconds(moment) / 1000


def from_score(score: float) -> datetime:
    """Return the moment of a score, to the millisecond."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=round(score * 1000))


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC, brought into the time in which something can be due."""
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no time zone: give an aware datetime.")
    if not BEGINNING.year < moment.year < END.year:
        return BEGINNING if moment.year < END.year else END
    return min(max(moment.astimezone(UTC), BEGINNING), END)
