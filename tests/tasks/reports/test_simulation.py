"""What the coming days would be like; the specs and the workers are the inputs."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.job import COROUTINE
from tasks.models import ScheduledTask
from tasks.reports.simulation import (
    HOUR,
    SLOT,
    UNKNOWN,
    Every,
    Planned,
    PlayedWorker,
    Simulation,
    read_planned,
    simulate,
    simulate_beside,
)
from tasks.timing.spec import Spec
from tests.tasks.functions import COROUTINE as COROUTINE_FUNCTION
from tests.tasks.schedules import make_row

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def hourly(
    pk: int = 1, minute: int = 0, takes: timedelta = MINUTE, queue: str = "default", **more: Any
) -> Planned:
    spec = Spec(first=BEGIN + minute * MINUTE, interval=3600)
    return Planned(pk, f"s{pk}", queue, spec, takes, **more)


def played(*planned: Planned, workers: int = 1, days: int = 1, at_most: int = 9999) -> Simulation:
    return simulate(planned, [PlayedWorker(("default",))] * workers, BEGIN, days, at_most)


def test_every_due_of_the_days_is_played():
    simulation = played(hourly(minute=30), days=7)
    assert simulation.end == BEGIN + timedelta(days=7)
    assert simulation.queues["default"].runs == 7 * 24
    assert simulation.queues["default"].work == 7 * 24 * MINUTE
    assert simulation.is_whole


def test_what_is_too_much_to_be_played_ends_the_simulation_earlier():
    simulation = played(hourly(minute=30), days=7, at_most=48)
    assert not simulation.is_whole
    assert simulation.end == BEGIN + timedelta(days=2, minutes=30)
    assert simulation.queues["default"].runs == 48


def test_what_is_due_at_the_same_time_is_played_as_a_whole_or_not_at_all():
    simulation = played(hourly(1), hourly(2), hourly(3), at_most=8)
    assert simulation.queues["default"].runs == 6
    assert simulation.end == BEGIN + 3 * HOUR


@pytest.mark.parametrize("at_most", [9999, 50])
def test_another_plan_is_played_for_the_same_span_to_be_compared(at_most: int):
    before = played(hourly(1), hourly(2, minute=30), days=2, at_most=at_most)
    more = [hourly(1), hourly(2, minute=30), hourly(3), hourly(4, minute=10)]
    after = simulate_beside(more, [PlayedWorker(("default",))], before)
    assert (after.begin, after.end, after.is_whole) == (before.begin, before.end, before.is_whole)
    runs = {one.planned.pk: one.runs for one in after.outlooks}
    assert [runs[one.planned.pk] for one in before.outlooks] == [
        one.runs for one in before.outlooks
    ]
    assert len(after.queues["default"].busy) == len(before.queues["default"].busy)


def test_runs_wait_for_a_free_worker():
    twice = [hourly(1, takes=10 * MINUTE), hourly(2, takes=10 * MINUTE, minute=1)]
    [_, second] = played(*twice).outlooks
    assert second.longest_wait == 9 * MINUTE
    assert second.longest_wait_at == BEGIN + HOUR + MINUTE
    assert all(not one.longest_wait for one in played(*twice, workers=2).outlooks)


def test_a_due_that_finds_the_run_before_going_on_is_an_overlap_and_is_skipped():
    simulation = played(hourly(takes=90 * MINUTE))
    [outlook] = simulation.overlapping
    assert (outlook.runs, outlook.overlaps) == (12, 12)


def test_a_schedule_that_allows_overlap_runs_all_the_same():
    [outlook] = played(hourly(takes=90 * MINUTE, may_overlap=True), workers=2).overlapping
    assert outlook.runs == 24


def test_a_slot_is_as_busy_as_its_workers():
    busy = played(hourly(minute=2, takes=5 * MINUTE), workers=2).queues["default"].busy
    assert busy[12:15] == pytest.approx([0.3, 0.2, 0])


def test_hours_in_which_no_time_is_left_are_full():
    simulation = played(hourly(takes=56 * MINUTE))
    assert len(simulation.full_hours("default")) == 23
    assert simulation.full_hours("default")[0] == BEGIN + HOUR
    assert not played(hourly(takes=50 * MINUTE)).full_hours("default")


def test_a_worker_of_two_queues_is_busy_for_both():
    simulation = simulate(
        [hourly(queue="low", minute=10, takes=5 * MINUTE)],
        [PlayedWorker(("default", "low"))],
        BEGIN,
        1,
    )
    assert simulation.queues["default"].busy == simulation.queues["low"].busy
    assert simulation.queues["default"].peak == pytest.approx(1)
    assert simulation.queues["default"].runs == 0


def test_what_is_due_every_few_seconds_is_a_steady_load_and_is_not_played_one_by_one():
    spec = Spec(first=BEGIN, interval=5)
    often = Planned(1, "often", "default", spec, timedelta(seconds=2))
    simulation = played(often, hourly(2), workers=2, days=7, at_most=200)
    load = simulation.queues["default"]
    assert simulation.is_whole
    assert load.runs == 7 * 24 * 720 + 7 * 24
    assert load.busy[1] == pytest.approx(0.2)
    assert load.busy[12] == pytest.approx(0.2 + 0.1)


SIDE_BY_SIDE = [PlayedWorker(("default",), 4)]


def coroutines(number: int, takes: timedelta) -> list[Planned]:
    return [hourly(pk, takes=takes, kind=COROUTINE) for pk in range(1, number + 1)]


def test_coroutines_run_side_by_side_as_many_as_a_worker_may_whatever_its_other_child_runs():
    planned = [hourly(takes=50 * MINUTE, pk=99), *coroutines(6, 10 * MINUTE)]
    simulation = simulate(planned, SIDE_BY_SIDE, BEGIN, 1)
    waits = {one.planned.pk: one.longest_wait for one in simulation.outlooks}
    assert waits == {99: 0 * MINUTE} | {pk: (0 if pk <= 4 else 10) * MINUTE for pk in range(1, 7)}


def test_coroutines_run_one_at_a_time_on_a_worker_without_concurrency():
    [*_, last] = simulate(coroutines(3, 10 * MINUTE), [PlayedWorker(("default",))], BEGIN).outlooks
    assert last.longest_wait == 20 * MINUTE


def test_a_queue_is_as_busy_as_it_is_for_the_kind_of_runs_that_has_the_least_room():
    two = coroutines(2, 60 * MINUTE)
    load = simulate(two, SIDE_BY_SIDE, BEGIN, 1).queues["default"]
    assert (load.busy[24], load.busy_by_kind[""][24]) == (0.5, 0)
    assert (load.workers, load.room) == (1, {"": 1, COROUTINE: 4})
    load = simulate([*two, hourly(9, takes=60 * MINUTE)], SIDE_BY_SIDE, BEGIN, 1).queues["default"]
    assert (load.busy[24], load.busy_by_kind[COROUTINE][24]) == (1, 0.5)


def test_a_coroutine_that_is_due_all_the_time_takes_its_share_of_the_room():
    spec = Spec(first=BEGIN, interval=5)
    often = Planned(1, "often", "default", spec, timedelta(seconds=10), kind=COROUTINE)
    assert simulate([often], SIDE_BY_SIDE, BEGIN, 1).queues["default"].peak == pytest.approx(0.5)


@pytest.mark.django_db
def test_a_schedule_is_played_by_the_kind_of_its_runs():
    make_row(function=COROUTINE_FUNCTION)
    make_row(function=COROUTINE_FUNCTION, isolated=True)
    make_row()
    kinds = [one.kind for one in read_planned(ScheduledTask.objects.order_by("pk"))]
    assert kinds == [COROUTINE, "", ""]


def test_a_queue_without_a_worker_has_runs_and_no_room():
    simulation = simulate([hourly(queue="low")], [PlayedWorker(("default",))], BEGIN, 1)
    assert simulation.queues["low"].runs == 24
    assert simulation.queues["low"].workers == 0
    assert simulation.emptiest("low", MINUTE, Every.DAY) == []


def test_the_emptiest_time_for_a_new_job_is_one_at_which_nothing_else_runs():
    busy = [hourly(pk, minute=5 * pk, takes=5 * MINUTE) for pk in range(12) if pk != 7]
    simulation = played(*busy, days=7)
    best = simulation.emptiest("default", 5 * MINUTE, Every.HOUR)[0]
    assert (best.first, best.busy) == (BEGIN + 35 * MINUTE, 0)


def test_a_time_is_as_bad_as_the_worst_of_its_days():
    once = Planned(
        1, "s", "default", Spec(first=BEGIN + timedelta(days=3, hours=1)), timedelta(hours=22)
    )
    [best, *_] = played(once, days=7).emptiest("default", MINUTE, Every.DAY)
    assert best.first - BEGIN < HOUR
    assert played(once, days=7).emptiest("default", timedelta(hours=3), Every.DAY)[0].busy == 1


def test_suggested_times_are_apart():
    slots = played(hourly()).emptiest("default", 20 * MINUTE, Every.DAY)
    firsts = sorted(slot.first for slot in slots)
    assert all(b - a > 20 * MINUTE for a, b in pairwise(firsts))


loads = st.lists(
    st.tuples(st.integers(60, 86_400), st.integers(1, 20_000), st.booleans()), max_size=6
)


@given(loads=loads, workers=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_workers_are_busy_for_as_long_as_what_they_run_takes(
    loads: list[tuple[int, int, bool]], workers: int
):
    planned = [
        Planned(
            pk,
            f"s{pk}",
            "default",
            Spec(first=BEGIN, interval=every),
            timedelta(seconds=takes),
            may_overlap=may,
        )
        for pk, (every, takes, may) in enumerate(loads)
    ]
    simulation = played(*planned, workers=workers, days=2, at_most=2000)
    if not planned:
        return
    load = simulation.queues["default"]
    assert all(0 <= share <= 1 + 1e-9 for share in load.busy)
    assert sum(load.busy) * workers * SLOT <= load.work + timedelta(seconds=1)


@pytest.mark.django_db
def test_live_schedules_are_played_and_those_without_runs_take_a_second():
    live = make_row(interval=60, queue="low", overlap="allow")
    make_row(status=ScheduledTask.Status.DEATH)
    [planned] = read_planned(ScheduledTask.objects.all())
    assert (planned.pk, planned.queue, planned.takes) == (live.pk, "low", UNKNOWN)
    assert planned.may_overlap
    assert not planned.is_known


@pytest.mark.django_db
def test_a_schedule_whose_spec_is_invalid_keeps_nobody_from_seeing_the_others():
    good, bad = make_row(interval=60), make_row()
    spec = {"type": "cron", "cron": "0 3 * * *", "first": None, "interval": None}
    ScheduledTask.objects.filter(pk=bad.pk).update(timezone="Mars", **spec)
    assert [one.pk for one in read_planned(ScheduledTask.objects.all())] == [good.pk]
