"""Time zones: whether there is one of a name, and when its clock changes."""

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tasks.timing.instants import DAY, SECOND

# No clock was ever put forward or back by more: Samoa left out a day.
LARGEST_SHIFT = 2 * DAY
ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+\-/]*")
# Files beside the zones: this machine's own zone, and variants with leap seconds.
NO_ZONE = re.compile(r"localtime|posixrules|(posix|right)/.*")


def begin_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return an instant, late but not later than the first one at which the clock shows a day."""
    midnight = datetime.combine(day, time(), tzinfo=zone)
    return min(midnight.astimezone(UTC), midnight.replace(fold=1).astimezone(UTC))


def steady_offset(zone: ZoneInfo, begin: datetime) -> tuple[timedelta, datetime, bool]:
    """Return the offset at `begin`, until when it holds for sure, and whether it ends then."""
    offset = _offset(zone, begin)
    end = begin + 2 * LARGEST_SHIFT
    if _offset(zone, end) == offset:
        return offset, end, False
    return offset, change_of_offset(zone, begin, end), True


def change_of_offset(zone: ZoneInfo, begin: datetime, end: datetime) -> datetime:
    """Return the first second after `begin` with another offset; by `end` there is one."""
    begin_offset = _offset(zone, begin)
    begin = begin.replace(microsecond=0)
    seconds = range((end - begin) // SECOND)
    return begin + SECOND * bisect_left(
        seconds, True, key=lambda second: _offset(zone, begin + SECOND * second) != begin_offset
    )


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


@lru_cache(maxsize=1_000)
def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone of a name, None if it has none."""
    if not ZONE_NAME.fullmatch(name) or NO_ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
