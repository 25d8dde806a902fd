"""To which times a schedule could be moved, where its workers have more time."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tasks.reports.moves import Moves, moves_of
from tasks.reports.simulation import Planned, simulate
from tasks.timing.spec import Spec, dues

BEGIN = datetime(2026, 10, 5, tzinfo=UTC)  # a Monday
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def planned(spec: Spec, minutes: float = 10, pk: int = 1) -> Planned:
    return Planned(pk, "one", "default", spec, timedelta(minutes=minutes))


def moves(one: Planned, *others: Planned, workers: int = 1) -> Moves:
    without = simulate(others, [("default",)] * workers, BEGIN)
    return moves_of(one, without, BEGIN)


def daily(at: str, minutes: float = 10, pk: int = 2) -> Planned:
    hour, minute = at.split(":")
    return planned(Spec(cron=f"{int(minute)} {int(hour)} * * *"), minutes, pk)


def test_the_nearest_empty_time_comes_first():
    found = moves(daily("9:00", pk=1), daily("9:00", minutes=30))
    assert found.busy_now == pytest.approx(1)
    first = found.better[0]
    assert (first.by, first.busy) == (-10 * MINUTE, 0)
    assert next(dues(first.spec, BEGIN, BEGIN + 24 * HOUR)) == BEGIN + 8 * HOUR + 50 * MINUTE


def test_suggested_times_do_not_touch_each_other():
    found = moves(daily("9:00", pk=1, minutes=30), daily("9:00", minutes=60))
    times = sorted(move.by for move in found.better)
    assert len(times) == 3
    assert all(later - earlier > 30 * MINUTE for earlier, later in pairwise(times))


def test_a_time_that_is_empty_already_has_no_better_one():
    assert moves(daily("9:00", pk=1), daily("12:00")).better == ()


def test_a_time_is_only_as_good_as_its_worst_day():
    mondays = planned(Spec(cron="0 8 * * MON"), 60, pk=2)
    found = moves(daily("9:00", pk=1, minutes=5), daily("9:00", minutes=60), mondays)
    assert BEGIN + 8 * HOUR not in {
        next(dues(move.spec, BEGIN, BEGIN + 24 * HOUR)) for move in found.better
    }


def test_what_is_bound_to_certain_days_stays_on_them():
    sundays = planned(Spec(cron="0 1 * * SUN"))
    found = moves(sundays, planned(Spec(cron="0 0 * * SUN"), 300, pk=2))
    assert found.better
    assert all(move.spec.cron and move.spec.cron.endswith("SUN") for move in found.better)


def test_an_interval_is_moved_within_itself():
    hourly = planned(Spec(first=BEGIN, interval=3600), 5)
    found = moves(hourly, planned(Spec(first=BEGIN, interval=3600), 10, pk=2))
    assert found.better
    assert all(abs(move.by) <= HOUR / 2 for move in found.better)


@pytest.mark.parametrize(
    "one",
    [
        planned(Spec(first=BEGIN, interval=300), 1),  # due too often to have a time of its own
        planned(Spec(first=BEGIN - HOUR)),  # its only time has passed
    ],
)
def test_what_has_no_time_of_its_own_is_not_moved(one: Planned):
    assert moves(one, daily("9:00", minutes=600)).better == ()


def test_without_a_worker_no_time_is_better():
    assert moves(daily("9:00", pk=1), daily("9:00"), workers=0) == Moves(0.0, ())
