"""Processes that end at any of the steps that others can see."""

import threading

import pytest

from tests.acceptance.proof import faults
from tests.acceptance.proof.checks import check
from tests.acceptance.proof.system import Schedule, System, next_second

ROUNDS = 4


def schedules() -> list[Schedule]:
    """Return schedules with different policies that are due all the time."""
    first = next_second()
    return [
        Schedule("plain", first, interval=4),
        Schedule("retried", first, interval=4, options={"retries": 2}),
        Schedule("allow", first, interval=4, options={"overlap": "allow", "catch_up": "all"}),
        Schedule("wait", first, interval=4, options={"overlap": "wait", "retries": 1}),
        Schedule("replace", first, interval=4, options={"overlap": "replace"}),
        Schedule("none", first, interval=4, options={"catch_up": "none"}),
    ]


@pytest.mark.case(0)
def test_an_undisturbed_system_runs_each_occurrence_once(system: System):
    system.make(*schedules())
    faults.points_of(system, seconds=20)
    system.scheduler()
    system.worker()
    check(system)


def visit_all(system: System, passage: int, action: str) -> list[faults.Tour]:
    """Let processes suffer at every point, schedulers and workers at the same time."""
    points = faults.points_of(system)
    chosen = [f"{point}#{min(passage, count)}" for point, count in points.items()]
    of_schedulers = [point for point in chosen if point.startswith("scheduler")]
    of_workers = [point for point in chosen if not point.startswith("scheduler")]
    tours: list[faults.Tour] = []
    threads = [
        threading.Thread(target=lambda own: tours.append(faults.visit(system, own, action)), args=[own])
        for own in (of_schedulers, of_workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tours


@pytest.mark.case(1)
@pytest.mark.parametrize("passage", range(1, ROUNDS + 1))
def test_a_process_that_ends_at_any_point_loses_and_doubles_nothing(system: System, passage: int):
    system.make(*schedules())
    tours = visit_all(system, passage, "exit")
    print(tours)
    system.scheduler()
    system.worker()
    check(system)


@pytest.mark.case(2)
def test_a_process_that_is_terminated_at_any_point_loses_and_doubles_nothing(system: System):
    system.make(*schedules())
    tours = visit_all(system, 1, "term")
    print(tours)
    system.scheduler()
    system.worker()
    check(system)
