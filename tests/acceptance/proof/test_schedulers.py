"""Several schedulers at once, whether or not their lock holds."""

import os
import signal

import pytest

from tests.acceptance.proof.checks import check
from tests.acceptance.proof.faults import points_of
from tests.acceptance.proof.system import Schedule, System, next_second, now
from tests.servers import wait_for


def schedules(count: int, interval: int = 4) -> list[Schedule]:
    first = next_second()
    options = {"overlap": "allow"}
    return [Schedule(f"s{n}", first, interval=interval, options=options) for n in range(count)]


def wait_for_runs(system: System, count: int) -> None:
    """Wait until so many starts and ends of runs have been recorded from now on."""
    begun = now().timestamp()
    wait_for(
        lambda: len([line for line in system.lines() if line.time > begun]) >= count,
        f"{count} more runs",
    )


@pytest.mark.case(3)
def test_three_schedulers_that_all_lead_dispatch_each_occurrence_once(system: System):
    system.make(*schedules(20))
    for _ in range(3):
        system.scheduler(locks="off")
    for _ in range(2):
        system.worker()
    wait_for_runs(system, 100)
    check(system)


# Before and after the step that dispatches, and after the one that makes a scheduler the leader.
@pytest.mark.case(4)
@pytest.mark.parametrize(
    "step", ["scheduled_jobs:before", "scheduled_jobs:after", "scheduler_lock:after"]
)
def test_a_leader_that_was_frozen_past_its_lease_does_no_harm_when_it_resumes(
    system: System, step: str
):
    system.make(*schedules(6, interval=2))
    points = points_of(system, seconds=4)
    point = next(point for point in points if point.startswith("scheduler:") and step in point)
    frozen = system.scheduler(point=f"{point}#2", action="pause")
    system.worker()
    wait_for(frozen.done.exists, "the leader to freeze")
    another = system.scheduler()
    wait_for(lambda: another.printed(" leads."), "another leader")
    wait_for_runs(system, 10)
    os.kill(frozen.pid, signal.SIGCONT)
    wait_for_runs(system, 20)
    check(system)
