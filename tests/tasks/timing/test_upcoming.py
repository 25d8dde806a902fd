from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tasks.timing.spec import Spec
from tasks.timing.upcoming import ClockChange, Due, Excluded, Item, upcoming

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)
CHANGE = datetime(2026, 10, 25, 1, tzinfo=UTC)


def of_cron(cron: str, after: datetime, number: int = 4, exclude: str = "") -> list[Item]:
    spec = Spec(cron=cron, timezone="Europe/Berlin", exclude=exclude)
    return upcoming(spec, after, number, BERLIN)


def test_the_times_of_a_repeated_hour_are_marked_as_such():
    items = of_cron("0,30 * * * *", CHANGE - HOUR, number=4)
    half = timedelta(minutes=30)
    assert items == [
        Due(CHANGE - half),
        ClockChange(CHANGE, -HOUR, runs_twice=True),
        Due(CHANGE, is_again=True),
        Due(CHANGE + half, is_again=True),
        Due(CHANGE + HOUR),
    ]


def test_a_daily_job_in_a_repeated_hour_runs_once():
    items = of_cron("30 2 * * *", CHANGE - 12 * HOUR, number=2)
    assert ClockChange(CHANGE, -HOUR, runs_twice=False) in items
    assert sum(isinstance(item, Due) for item in items) == 2


def test_a_change_at_an_hour_at_which_nothing_is_due_repeats_nothing():
    assert ClockChange(CHANGE, -HOUR) in of_cron("0 9 * * *", CHANGE - 12 * HOUR)


def test_a_clock_that_is_put_forward_is_marked():
    spring = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert ClockChange(spring, HOUR) in of_cron("30 2 * * *", spring - 12 * HOUR)


def test_a_change_far_from_all_dues_is_not_mentioned():
    items = of_cron("0 9 1 * *", CHANGE - timedelta(days=10), number=3)
    assert all(isinstance(item, Due) for item in items)


def test_excluded_dates_are_marked_where_something_would_have_been_due():
    after = datetime(2026, 12, 22, 12, tzinfo=UTC)
    items = of_cron("0 9 * * *", after, number=2, exclude="2026-12-24..2026-12-26")
    assert items == [
        Due(datetime(2026, 12, 23, 8, tzinfo=UTC)),
        Excluded(date(2026, 12, 24), date(2026, 12, 26)),
        Due(datetime(2026, 12, 27, 8, tzinfo=UTC)),
    ]


def test_excluded_dates_on_which_nothing_is_due_anyway_are_not_mentioned():
    friday = datetime(2026, 12, 25, 12, tzinfo=UTC)
    items = of_cron("0 9 * * MON-FRI", friday, number=2, exclude="2026-12-26..2026-12-27")
    assert all(isinstance(item, Due) for item in items)


def test_a_spec_that_ends_has_fewer_dues():
    once = Spec(first=CHANGE)
    assert upcoming(once, CHANGE - HOUR, 10, BERLIN)[-1] == Due(CHANGE, is_again=True)
    assert upcoming(once, CHANGE, 10, BERLIN) == []
