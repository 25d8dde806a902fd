"""What the commands are told is read as people mean it."""

from datetime import UTC, datetime

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from tasks.management.arguments import parse_moment


def test_a_date_is_the_beginning_of_its_day():
    assert parse_moment("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)


def test_a_date_that_ends_a_range_is_the_end_of_its_day():
    end = parse_moment("2026-01-31", is_end=True)
    assert datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC) < end < datetime(2026, 2, 1, tzinfo=UTC)


def test_today_ends_a_range_now():
    before = timezone.now()
    assert before <= parse_moment(str(before.date()), is_end=True) <= timezone.now()


def test_a_moment_is_the_same_at_both_ends():
    text = "2026-01-31T06:30:00+01:00"
    assert parse_moment(text) == parse_moment(text, is_end=True)


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30", "10000-01-01"])
def test_what_is_no_moment_is_refused(text: str):
    with pytest.raises(CommandError, match="is no moment"):
        parse_moment(text)
