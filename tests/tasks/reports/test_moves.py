"""To which times a schedule could be moved, where its workers have more time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tasks.job import COROUTINE
from tasks.reports.moves import Moves, Obstacle, moves_of
from tasks.reports.simulation import Planned, PlayedWorker, simulate
from tasks.timing.spec import Spec, dues

BEGIN = datetime(2026, 10, 5, tzinfo=UTC)  # a Monday
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def planned(spec: Spec, minutes: float = 10, pk: int = 1) -> Planned:
    return Planned(pk, "one", "default", spec, timedelta(minutes=minutes))


def moves(one: Planned, *others: Planned, workers: int = 1) -> Moves:
    without = simulate(others, [PlayedWorker(("default",))] * workers, BEGIN)
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


def test_a_coroutine_need_not_be_moved_from_where_only_plain_runs_have_no_room():
    [full] = [daily("9:00", minutes=60)]
    workers = [PlayedWorker(("default",), concurrency=9)]
    without = simulate([full], workers, BEGIN)
    one = daily("9:00", pk=1)
    assert moves_of(one, without, BEGIN).busy_now == pytest.approx(1)
    assert moves_of(replace(one, kind=COROUTINE), without, BEGIN).busy_now == 0


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
    ("one", "obstacle"),
    [
        (planned(Spec(first=BEGIN, interval=300), 1), Obstacle.TOO_OFTEN),
        (planned(Spec(cron="* * * * *"), 1), Obstacle.TOO_OFTEN),
        (planned(Spec(cron="*/5 * * * *"), 1), Obstacle.TOO_OFTEN),
        (planned(Spec(first=BEGIN - HOUR)), Obstacle.NOT_DUE),
        (planned(Spec(cron="0 0 1 1 *")), Obstacle.NOT_DUE),
        (planned(Spec(cron="0,59 0,23 * * MON")), Obstacle.BOUND),
        (daily("15:00", pk=1), Obstacle.NONE_EMPTIER),
    ],
)
def test_what_has_no_better_time_says_why(one: Planned, obstacle: Obstacle):
    found = moves(one, daily("0:00", minutes=600))
    assert (found.better, found.obstacle) == ((), obstacle)


def test_what_was_due_in_this_hour_is_not_due_any_more():
    once = planned(Spec(first=BEGIN + MINUTE))
    without = simulate([daily("0:00")], [PlayedWorker(("default",))], BEGIN)
    assert moves_of(once, without, BEGIN + 2 * MINUTE).obstacle is Obstacle.NOT_DUE


def test_what_has_better_times_has_no_obstacle():
    assert moves(daily("9:00", pk=1), daily("9:00", minutes=30)).obstacle is None


def test_without_a_worker_no_time_is_better():
    found = moves(daily("9:00", pk=1), daily("9:00"), workers=0)
    assert found == Moves(obstacle=Obstacle.NO_WORKER)
