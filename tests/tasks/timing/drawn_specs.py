"""Specs for property tests, and the instants around which they are tried."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

from tasks.exceptions import SpecError
from tasks.timing.spec import Spec
from tests import oracle

NOON = datetime(2026, 5, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Asia/Tehran",
    "Pacific/Chatham",
    "America/St_Johns",
]
# In zones whose clocks no longer change: a skipped day, three hours back to the day before, and
# changes at midnight.
PAST_CHANGES = [
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Antarctica/Casey", date(2010, 3, 5)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("America/Sao_Paulo", date(2019, 2, 17)),
    ("Asia/Tehran", date(2022, 3, 22)),
    ("Asia/Tehran", date(2022, 9, 22)),
]
CHANGES = PAST_CHANGES + [
    (zone, day)
    for zone in ZONES
    for day in oracle.clock_changes(zone, date(2023, 1, 1), date(2030, 1, 1))
]


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    """Draw a field of a cron expression."""
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    stepped = st.tuples(st.just("*") | span, st.integers(1, high)).map(lambda s: f"{s[0]}/{s[1]}")
    term = number.map(str) | span | stepped
    return st.lists(term, min_size=1, max_size=3).map(",".join)


def optional(field: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.just("*") | st.just("*") | field


crons = st.tuples(
    st.just("*") | numbers(0, 59),
    st.just("*") | numbers(0, 23) | numbers(0, 3),
    optional(numbers(1, 28) | st.sampled_from(["L", "LW", "13,L"])),
    optional(numbers(1, 12) | st.sampled_from(["JAN,jul", "MAR-MAY", "SEP-NOV"])),
    optional(numbers(0, 7) | st.sampled_from(["SUN", "MON-FRI", "0L", "SUN#1", "SAT,SUN#5"])),
).map(" ".join)

crons_with_seconds = st.tuples(numbers(0, 59), crons).map(" ".join)

instants = st.datetimes(
    datetime(2023, 1, 1), datetime(2029, 12, 31), timezones=st.sampled_from(ZONES).map(ZoneInfo)
)

near_changes = st.builds(
    lambda change, minutes: (
        change[0],
        datetime.combine(change[1], time(), tzinfo=UTC) + timedelta(minutes=minutes),
    ),
    st.sampled_from(CHANGES),
    st.integers(-36 * 60, 36 * 60),
)

zones_and_instants = st.tuples(st.sampled_from(ZONES), instants) | near_changes

days = st.dates(date(2023, 1, 1), date(2029, 12, 31))

date_ranges = st.tuples(days, st.sampled_from([0, 0, 1, 2, 40, 300])).map(
    lambda drawn: (drawn[0], drawn[0] + drawn[1] * DAY)
)


def drawn_spec(values: dict[str, Any]) -> Spec:
    """Return the spec of drawn values; those that are never due are drawn again."""
    try:
        return Spec(**values)
    except SpecError as error:
        assume("is never due" not in str(error))
        raise
