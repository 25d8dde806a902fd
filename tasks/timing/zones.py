"""Time zones by name, and when their clocks change."""

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tasks.timing.instants import DAY, SECOND

# No clock has ever been put forward or back by more than this: Samoa skipped a day.
LARGEST_SHIFT = 2 * DAY
ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+\-/]*")
# Files next to the zones: the machine's own zone, and variants with leap seconds.
NOT_A_ZONE = re.compile(r"localtime|posixrules|(posix|right)/.*")


class OffsetPeriod(NamedTuple):
    """How long a zone keeps its offset from UTC, as far as it was checked."""

    offset: timedelta
    until: datetime
    ends_in_change: bool


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return an instant close to, and no later than, the first at which the clock shows a day."""
    midnight = datetime.combine(day, time(), tzinfo=zone)
    return min(midnight.astimezone(UTC), midnight.replace(fold=1).astimezone(UTC))


def offset_period(zone: ZoneInfo, begin: datetime) -> OffsetPeriod:
    """Return the offset at `begin`, until when it certainly holds, and whether it changes then."""
    offset = _offset(zone, begin)
    end = begin + 2 * LARGEST_SHIFT
    if _offset(zone, end) == offset:
        return OffsetPeriod(offset, end, False)
    return OffsetPeriod(offset, find_offset_change(zone, begin, end), True)


def find_offset_change(zone: ZoneInfo, begin: datetime, end: datetime) -> datetime:
    """Return the first second after `begin` whose offset differs, as the one at `end` must."""
    begin_offset = _offset(zone, begin)
    begin = begin.replace(microsecond=0)
    seconds = range((end - begin) // SECOND)
    return begin + SECOND * bisect_left(
        seconds, True, key=lambda second: _offset(zone, begin + SECOND * second) != begin_offset
    )


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


@lru_cache(maxsize=1_000)
def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone with this name, None if there is none."""
    if not ZONE_NAME.fullmatch(name) or NOT_A_ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None
