"""What is due next, with clock changes and excluded dates between."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.timing.spec import Spec, errors_of
from tasks.timing.upcoming import Clock, ClockChange, Due, LeftOut, upcoming

HOUR = timedelta(hours=1)


def at(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC)


def test_the_clock_change_stands_between_the_dues_that_it_parts():
    spec = Spec(cron="0 9 * * *", timezone="America/New_York")
    rows = upcoming(spec, at(2026, 10, 31, 0), 3)
    assert rows == [
        Due(at(2026, 10, 31, 13)),
        ClockChange(at(2026, 11, 1, 6), -HOUR),
        Due(at(2026, 11, 1, 14)),
        Due(at(2026, 11, 2, 14)),
    ]


def test_a_time_that_does_not_exist_is_marked_as_moved():
    spec = Spec(cron="30 2 * * *", timezone="Europe/Berlin")
    clocks = [row.clock for row in upcoming(spec, at(2026, 3, 28), 3) if isinstance(row, Due)]
    assert clocks == [Clock.PLAIN, Clock.MOVED, Clock.PLAIN]


def test_a_time_that_comes_twice_is_marked_as_repeated():
    spec = Spec(cron="30 2 * * *", timezone="Europe/Berlin")
    clocks = [row.clock for row in upcoming(spec, at(2026, 10, 24), 3) if isinstance(row, Due)]
    assert clocks == [Clock.PLAIN, Clock.REPEATED, Clock.PLAIN]


def test_excluded_dates_are_marked_if_something_would_have_been_due():
    spec = Spec(cron="0 9 * * 1-5", exclude="2026-12-24..2026-12-26\n2026-12-19")
    rows = upcoming(spec, at(2026, 12, 18, 12), 5)
    marks = [row for row in rows if isinstance(row, LeftOut)]
    assert marks == [LeftOut(at(2026, 12, 24), date(2026, 12, 24), date(2026, 12, 26))]
    assert rows.index(marks[0]) == 3  # after those of the 21st to the 23rd


def test_what_is_never_due_still_shows_what_is_left_out():
    spec = Spec(first=at(2026, 12, 24, 9), exclude="2026-12-24")
    assert upcoming(spec, at(2026, 12, 1), 10) == [
        LeftOut(at(2026, 12, 24), date(2026, 12, 24), date(2026, 12, 24))
    ]


def test_rare_dues_are_not_searched_for_clock_changes_over_centuries():
    spec = Spec(cron="0 0 29 2 *", timezone="Europe/Berlin")
    rows = upcoming(spec, at(2026, 1, 1), 10)
    assert sum(isinstance(row, Due) for row in rows) == 10
    assert sum(isinstance(row, ClockChange) for row in rows) == 4


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"cron": "61 * * * *", "timezone": "Mars", "repeat": 0}, {"cron", "timezone", "repeat"}),
        ({"interval": 0, "exclude": "x"}, {"interval", "first", "exclude"}),
        ({"first": at(2026, 1, 1), "interval": 5, "repeat": 2}, set()),
        ({"cron": "* * * * *", "repeat": 2}, {"start"}),
        ({"cron": "* * * * *", "start": at(2026, 2, 1), "end": at(2026, 1, 1)}, {"end"}),
    ],
)
def test_all_that_is_wrong_with_a_spec_is_said_at_once(values, fields):
    assert errors_of(values).keys() == fields


def test_the_list_stays_short_however_many_dates_are_excluded():
    days = [date(2026, 12, 1) + timedelta(days=2 * number) for number in range(300)]
    every_other = Spec(
        first=at(2026, 12, 1, 9), interval=172_800, exclude="\n".join(map(str, days))
    )
    rows = upcoming(every_other, at(2026, 11, 30), 10)
    assert [sum(isinstance(row, kind) for row in rows) for kind in (Due, LeftOut)] == [10, 10]
