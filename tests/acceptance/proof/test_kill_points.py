"""Processes that die at any of the steps that others can see."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.acceptance.proof import faults
from tests.acceptance.proof.checks import check
from tests.acceptance.proof.system import CONCURRENCY, Schedule, System, next_second
from tests.servers import wait_for

# Each round visits every point once, about 50. All rounds together make at least so many processes
# exit, and each round its share: they may run in different test processes.
ROUNDS = 5
EXITS = 200
# Some points are passed only sometimes: this share of them has to be reached in each round. Of
# coroutines it depends on the moment which of their writes are one, and so one point.
REACHED_SHARE = 0.75 if CONCURRENCY else 0.85
# The points at which a reply of Redis has just come.
REPLY = re.compile(r" (rq|tasks):.*:after")
ALLOW = {"overlap": "allow", "catch_up": "all"}


def schedules() -> list[Schedule]:
    """Return schedules with different policies, one of which is due each second."""
    first, second = next_second(), timedelta(seconds=1)
    return [
        Schedule("plain", first, interval=4),
        Schedule("retried", first + second, interval=4, options={"retries": 2}),
        Schedule("allow", first + 2 * second, interval=4, options=ALLOW),
        Schedule("none", first + 3 * second, interval=4, options={"catch_up": "none"}),
        Schedule("replace", first, interval=12, options={"overlap": "replace"}),
        Schedule("wait", first, interval=12, options={"overlap": "wait", "retries": 1}),
    ]


def bursts() -> list[Schedule]:
    """Return schedules that are due at the same moments: a worker takes some of them ahead."""
    first = next_second()
    return [Schedule(f"burst {number}", first, interval=4, options=ALLOW) for number in range(12)]


@pytest.mark.case(0)
def test_an_undisturbed_system_runs_each_occurrence_once(system: System):
    system.make(*schedules())
    system.scheduler()
    system.worker()
    wait_for(lambda: len(system.lines()) >= 50, "25 runs", 60)
    check(system)


def visit_all(system: System, passage: int, action: str) -> int:
    """Inject a fault at every point, into schedulers and workers at the same time.

    After the last fault, other processes do the work that is left. Returns how many points were
    reached.
    """
    points = faults.points_of(system)
    if action == "drop":
        points = {point: n for point, n in points.items() if REPLY.search(point)}
    chosen = [f"{point}#{min(passage, count)}" for point, count in points.items()]

    def tour(of_scheduler: bool) -> faults.Tour:
        own = [point for point in chosen if point.startswith("scheduler") == of_scheduler]
        made = faults.visit(system, own, action)
        for _ in range(1 if of_scheduler else 3):
            system.scheduler() if of_scheduler else system.worker()
        return made

    with ThreadPoolExecutor() as threads:
        tours = list(threads.map(tour, (True, False)))
    reached = sum(len(tour.reached) for tour in tours)
    print("Not reached:", [point for tour in tours for point in tour.not_reached])
    assert reached >= len(chosen) * REACHED_SHARE, tours
    return reached


@pytest.mark.case(1)
@pytest.mark.parametrize("passage", range(1, ROUNDS + 1))
def test_a_process_that_dies_at_any_point_loses_and_doubles_no_run(
    system: System, passage: int, record_property: Callable[[str, object], None]
):
    system.make(*schedules())
    exits = visit_all(system, passage, "exit")
    record_property("exits", exits)  # The summary of the run adds them up.
    check(system)
    assert exits * ROUNDS >= EXITS


# The third step of a child is the first that takes more than two jobs.
@pytest.mark.case(1)
@pytest.mark.parametrize("action", ["exit", "drop"])
def test_a_process_that_has_taken_jobs_ahead_loses_and_doubles_no_run(system: System, action: str):
    system.make(*bursts())
    visit_all(system, 3, action)
    check(system)


@pytest.mark.case(2)
def test_a_process_that_is_terminated_at_any_point_loses_and_doubles_no_run(system: System):
    system.make(*schedules())
    visit_all(system, 1, "term")
    check(system)


@pytest.mark.case(12)
def test_a_process_that_misses_the_reply_to_any_command_loses_and_doubles_no_run(system: System):
    system.make(*schedules())
    visit_all(system, 1, "drop")
    check(system)
