"""The arguments of commands are read as people mean them."""

from datetime import UTC, datetime

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from tasks.management.arguments import parse_time


def test_a_date_argument_is_the_beginning_of_its_day():
    assert parse_time("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)


def test_a_date_argument_that_ends_a_range_is_the_end_of_its_day():
    end = parse_time("2026-01-31", is_end=True)
    assert datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC) < end < datetime(2026, 2, 1, tzinfo=UTC)


def test_today_as_the_end_of_a_range_means_now():
    before = timezone.now()
    assert before <= parse_time(str(before.date()), is_end=True) <= timezone.now()


def test_a_time_argument_is_the_same_at_both_ends_of_a_range():
    text = "2026-01-31T06:30:00+01:00"
    assert parse_time(text) == parse_time(text, is_end=True)


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "10000-01-01"])
def test_an_invalid_time_argument_is_refused(text: str):
    with pytest.raises(CommandError, match="is not a valid time"):
        parse_time(text)
