"""Intervals and excluded dates as people write them."""

import contextlib
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.exceptions import SpecError
from tasks.timing.text import (
    MAX_INTERVAL,
    format_dates,
    format_interval,
    number_of_days,
    parse_dates,
    parse_interval,
)
from tests.tasks.timing.drawn_specs import date_ranges


@given(st.lists(date_ranges, max_size=20))
def test_excluded_dates_are_read_back_from_their_text(ranges: list[tuple[date, date]]):
    assert parse_dates(format_dates(ranges)) == sorted(set(ranges))


def test_excluded_dates_are_sorted_and_kept_once():
    text = " 2026-12-26,2026-01-01\r\n\n2026-12-26, 2026-12-24 .. 2026-12-25 ,"
    assert format_dates(parse_dates(text)) == "2026-01-01\n2026-12-24..2026-12-25\n2026-12-26"


@given(st.text("0123456789-., \n", max_size=40) | st.text(max_size=40))
def test_any_text_is_valid_dates_or_raises_spec_error(text: str):
    with contextlib.suppress(SpecError):
        assert format_dates(parse_dates(text)) == format_dates(parse_dates(text.strip()))


def test_an_excluded_day_that_is_named_twice_counts_once():
    assert number_of_days("2026-12-24..2026-12-26\n2026-12-26\n2026-12-27..2026-12-28") == 5


# Intervals as text.


@given(st.integers(1, MAX_INTERVAL))
def test_an_interval_is_read_back_from_its_text(seconds: int):
    assert parse_interval(format_interval(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900),
        ("90s", 90),
        ("2h", 7200),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("1h30m", 5400),
        ("1d12h", 129_600),
        (" 45 ", 45),
        ("2H", 7200),
    ],
)
def test_an_interval_is_read_from_text(text: str, seconds: int):
    assert parse_interval(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(900, "15m"), (45, "45s"), (5400, "1h30m"), (86_401, "1d1s")]
)
def test_an_interval_is_written_in_its_largest_units(seconds: int, text: str):
    assert format_interval(seconds) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "m",
        "-5m",
        "1.5h",
        "nan",
        "1e30",
        "30m1h",
        "1h30",
        "5 m",
        "٣m",
        "1y",
        "0" * 60,
        None,
    ],
)
def test_a_text_that_is_not_a_valid_interval_is_refused(text: Any):
    with pytest.raises(SpecError, match="write 15m, 90s, 2h or 1d") as caught:
        parse_interval(text)
    assert caught.value.field == "interval"


@pytest.mark.parametrize("text", ["0", "0s", "4000d", "9" * 50])
def test_an_interval_out_of_bounds_is_refused(text: str):
    with pytest.raises(SpecError, match="at least 1 second and at most 10 years"):
        parse_interval(text)
