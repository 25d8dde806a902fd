"""Cron, on the days on which the clocks change too."""

import contextlib
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.exceptions import SpecError
from tasks.timing import cron
from tasks.timing.cron import CRON_NAMES
from tasks.timing.spec import Spec, dues, latest_due, next_due
from tasks.timing.zones import offset_period
from tests import oracle
from tests.tasks.timing.drawn_specs import (
    CHANGES,
    DAY,
    HOUR,
    MICROSECOND,
    NOON,
    SECOND,
    crons,
    crons_with_seconds,
    drawn_spec,
    zones_and_instants,
)

CRONS = [
    "*/10 * * * *",
    "45 * * * *",
    "*/15 1-3 * * *",
    "30 2 * * *",
    "0,15,45 0-3 * * *",
    "0 0 * * *",
    "*/20 0 * * SUN",
    "15,45 30 0-3 * * SAT-7",
]

every_cron = pytest.mark.parametrize("cron", CRONS)
every_change = pytest.mark.parametrize(("zone", "day"), CHANGES)
some_changes = pytest.mark.parametrize(
    ("zone", "day"), [change for change in CHANGES if change[1].year <= 2023]
)


def around(day: date) -> tuple[datetime, datetime]:
    """Return the three days around one, in UTC."""
    midnight = datetime.combine(day, time(), tzinfo=UTC)
    return midnight - 36 * HOUR, midnight + 36 * HOUR


def local_times(spec: Spec, after: datetime, until: datetime) -> list[str]:
    """Return what the clock shows at the dues, with its offset."""
    zone = ZoneInfo(spec.timezone)
    return [f"{due.astimezone(zone):%d %H:%M %z}" for due in dues(spec, after, until)]


# Cron, against the oracle.


@every_cron
@every_change
def test_cron_follows_a_change_of_the_clock(zone: str, day: date, cron: str):
    after, until = around(day)
    expected = oracle.due_times(after, until, cron=cron, timezone=zone)
    assert list(dues(Spec(cron=cron, timezone=zone), after, until)) == expected


@every_cron
@some_changes
def test_cron_follows_a_change_of_the_clock_from_any_instant(zone: str, day: date, cron: str):
    begin, end = around(day)
    expected = oracle.due_times(begin, end, cron=cron, timezone=zone)
    spec = Spec(cron=cron, timezone=zone, end=end)
    for minutes in range(18 * 60, 48 * 60, 20):
        after = begin + timedelta(minutes=minutes, microseconds=17)
        assert next_due(spec, after) == next((due for due in expected if due > after), None)


@every_cron
@some_changes
def test_the_latest_due_of_cron_follows_a_change_of_the_clock(zone: str, day: date, cron: str):
    begin, end = around(day)
    expected = oracle.due_times(begin, end, cron=cron, timezone=zone)
    spec = Spec(cron=cron, timezone=zone, start=begin + MICROSECOND)
    for minutes in range(18 * 60, 48 * 60, 100):
        until = begin + timedelta(minutes=minutes)
        newest = max((due for due in expected if due <= until), default=None)
        assert latest_due(spec, until) == newest


@settings(max_examples=150)
@given(crons | crons_with_seconds, zones_and_instants, st.timedeltas(timedelta(0), 2 * DAY))
def test_cron_agrees_with_the_oracle(cron: str, place: tuple[str, datetime], length: timedelta):
    zone, after = place
    spec = drawn_spec({"cron": cron, "timezone": zone})
    until = after.astimezone(UTC) + length
    expected = oracle.due_times(after, until, cron=cron, timezone=zone)
    assert list(dues(spec, after, until)) == expected


@every_change
def test_cron_is_not_due_on_an_excluded_day_on_which_the_clock_changes(zone: str, day: date):
    after, until = around(day)
    for excluded in (day - DAY, day, day + DAY):
        values = {"cron": "*/10 * * * *", "timezone": zone, "exclude": f"{excluded}"}
        expected = oracle.due_times(after, until, **values)
        assert list(dues(Spec(**values), after, until)) == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200"]),
        ("10,40 2 29 3 *", ["29 03:00 +0200"]),
        ("0 2,3 29 3 *", ["29 03:00 +0200"]),
        ("*/30 2 29 3 *", []),
        (
            "*/30 1-3 29 3 *",
            ["29 01:00 +0100", "29 01:30 +0100", "29 03:00 +0200", "29 03:30 +0200"],
        ),
    ],
)
def test_a_gap_in_local_time_runs_fixed_times_at_its_end_and_wildcards_not_at_all(
    cron: str, expected: list[str]
):
    spec = Spec(cron=cron, timezone="Europe/Berlin")
    march = datetime(2026, 3, 28, tzinfo=UTC)
    assert local_times(spec, march, march + 3 * DAY) == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 25 10 *", ["25 02:30 +0200"]),
        ("30 * 25 10 *", ["25 01:30 +0200", "25 02:30 +0200", "25 02:30 +0100", "25 03:30 +0100"]),
        (
            "*/30 2 25 10 *",
            ["25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100"],
        ),
    ],
)
def test_a_repeated_hour_runs_fixed_times_once_and_wildcards_twice(cron: str, expected: list[str]):
    spec = Spec(cron=cron, timezone="Europe/Berlin")
    october = datetime(2026, 10, 24, 23, tzinfo=UTC)
    assert local_times(spec, october, october + 4 * HOUR) == expected


def test_cron_follows_a_repeated_half_hour():
    spec = Spec(cron="*/15 2 5 4 *", timezone="Australia/Lord_Howe")
    april = datetime(2026, 4, 4, 12, tzinfo=UTC)
    assert local_times(spec, april, april + DAY) == [
        "05 02:00 +1030",
        "05 02:15 +1030",
        "05 02:30 +1030",
        "05 02:45 +1030",
    ]


def test_cron_treats_a_skipped_day_as_a_gap():
    spec = Spec(cron="0 6 * * *", timezone="Pacific/Apia")
    december = datetime(2011, 12, 29, tzinfo=UTC)
    assert local_times(spec, december, december + 3 * DAY) == [
        "29 06:00 -1000",
        "31 00:00 +1400",
        "31 06:00 +1400",
        "01 06:00 +1400",
    ]


def test_a_cron_wildcard_at_a_midnight_in_a_gap_does_not_run():
    spec = Spec(cron="*/20 0 * * SUN", timezone="America/Sao_Paulo")
    november = datetime(2018, 11, 3, 12, tzinfo=UTC)
    assert local_times(spec, november, november + 2 * DAY) == []


# Cron expressions.


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 0 L * *", ["2026-05-31", "2026-06-30"]),
        ("0 0 LW * *", ["2026-05-29", "2026-06-30"]),
        ("0 0 * * 5L", ["2026-05-29", "2026-06-26"]),
        ("0 0 * * MON#5", ["2026-06-29", "2026-08-31"]),
        ("0 0 * * fri", ["2026-05-08", "2026-05-15"]),
        ("0 0 1 JAN,Jul *", ["2026-07-01", "2027-01-01"]),
        ("0 0 29 2 *", ["2028-02-29", "2032-02-29"]),
        ("0 0 */100 * 1", ["2026-06-01", "2027-02-01"]),
        ("0 0 1 * 3", ["2026-05-06", "2026-05-13"]),
        ("0\t0  1 * *", ["2026-06-01", "2026-07-01"]),
    ],
)
def test_a_cron_expression_is_due_on_the_days_that_it_names(cron: str, expected: list[str]):
    found = dues(Spec(cron=cron), NOON, NOON + 10_000 * DAY)
    assert [f"{due:%Y-%m-%d}" for due in islice(found, 2)] == expected


@pytest.mark.parametrize("name", CRON_NAMES)
def test_a_cron_name_is_due_when_its_expression_is(name: str):
    after = datetime(2026, 1, 1, tzinfo=UTC)
    named = list(dues(Spec(cron=name.upper()), after, after + 400 * DAY))
    assert named == list(dues(Spec(cron=CRON_NAMES[name]), after, after + 400 * DAY))
    assert 0 < len(named) <= 400 * 24


def test_the_seconds_of_a_cron_expression_are_those_of_matching_minutes():
    spec = Spec(cron="5,50 59 11 * * *")
    due = list(dues(spec, NOON - 30 * SECOND, NOON + DAY))
    assert due == [NOON - 10 * SECOND, NOON + DAY - 55 * SECOND, NOON + DAY - 10 * SECOND]


@settings(max_examples=300)
@given(st.text("0123456789*/,-#LWMONJ @", max_size=30) | crons | st.text(max_size=250))
@example("*/0 * * * *")
@example("1L/2 * * * 1L/2")
@example("@reboot")
def test_any_text_is_a_valid_cron_expression_or_raises_spec_error(cron: str):
    with contextlib.suppress(SpecError):
        assert next_due(Spec(cron=cron), NOON) is not None


def test_the_search_for_a_cron_time_that_the_clock_always_skips_ends_early(
    monkeypatch: pytest.MonkeyPatch,
):
    searched = []

    def search(*args: Any) -> Any:
        searched.append(args)
        return offset_period(*args)

    monkeypatch.setattr(cron, "offset_period", search)
    in_the_gap = Spec(cron="* 2 * 3 0L", timezone="Europe/Rome")
    assert next_due(in_the_gap, datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert 0 < len(searched) < 1000
