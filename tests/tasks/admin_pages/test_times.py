"""Times in words, near now, and exactly."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone, translation

from tasks.admin_pages.times import about, exact, exact_times, in_words, when

NOW = datetime(2026, 10, 24, 20, 32, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=4), "in 4 s"),
        (timedelta(seconds=-59), "59 s ago"),
        (timedelta(seconds=59.8), "in 1 min"),
        (timedelta(minutes=4), "in 4 min"),
        (timedelta(hours=3, minutes=58), "in 3 h 58 min"),
        (timedelta(hours=-1), "1 h ago"),
        (timedelta(hours=14, minutes=20), "in 14 h"),
        (timedelta(hours=23, minutes=59), "in 23 h"),
        (timedelta(hours=25), "Sun 21:32"),
        (timedelta(hours=-25), "23 Oct 19:32"),
        (timedelta(days=6, hours=1), "30 Oct 21:32"),
        (timedelta(days=365), "24 Oct 2027"),
    ],
)
def test_a_time_is_relative_within_24_hours_and_a_date_beyond(distance: timedelta, expected: str):
    with timezone.override("UTC"):
        assert in_words(NOW + distance, NOW) == expected


def test_a_time_beyond_24_hours_is_that_of_the_viewers_zone():
    with timezone.override("Europe/Berlin"):
        # The clocks go back in between.
        assert in_words(NOW + timedelta(hours=25), NOW) == "Sun 22:32"


def test_the_exact_time_names_its_zone_also_in_a_repeated_hour():
    berlin = ZoneInfo("Europe/Berlin")
    with timezone.override(berlin):
        first = exact(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
        second = exact(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
    assert first == "2026-10-25 02:30:00.000 CEST (Europe/Berlin)"
    assert second == "2026-10-25 02:30:00.000 CET (Europe/Berlin)"
    with timezone.override("UTC"):
        assert exact(NOW) == "2026-10-24 20:32:07.000 UTC"


def test_the_exact_time_is_there_on_hover_and_for_scripts():
    with timezone.override("UTC"):
        shown = when(NOW + timedelta(seconds=4), NOW)
    assert 'title="2026-10-24 20:32:11.000 UTC"' in shown
    assert 'datetime="2026-10-24T20:32:11+00:00"' in shown
    assert ">in 4 s<" in shown


def test_no_time_is_a_dash():
    assert when(None, NOW) == "–"


@pytest.mark.parametrize(("seconds", "expected"), [(3599, "1 h"), (7 * 3600 + 29, "7 h")])
def test_what_rounds_to_the_next_unit_is_said_in_it(seconds: int, expected: str):
    assert about(timedelta(seconds=seconds)) == expected


def test_days_of_the_week_are_in_the_readers_language():
    with timezone.override("UTC"), translation.override("ko"):
        assert in_words(NOW + timedelta(hours=25), NOW).startswith("일")


def test_times_are_exact_without_hovering_where_that_is_wanted():
    with timezone.override("Europe/Berlin"), exact_times(True):
        shown = when(NOW + timedelta(seconds=4), NOW)
    assert ">2026-10-24 22:32:11<" in shown
    assert 'title="in 4 s"' in shown
    with timezone.override("UTC"):
        assert ">in 4 s<" in when(NOW + timedelta(seconds=4), NOW)
