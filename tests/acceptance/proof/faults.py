"""Ways to make a system suffer."""

import signal
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.acceptance.proof.nursery import Process
from tests.acceptance.proof.system import System

# How long a process may take to come to its point, in seconds.
REACHED_WITHIN = 6.0


@dataclass
class Tour:
    """What became of a round through many points."""

    reached: list[str] = field(default_factory=list)
    not_reached: list[str] = field(default_factory=list)


def points_of(system: System, seconds: float = 6.0) -> dict[str, int]:
    """Run a system undisturbed, and return its points and how often a process passed each.

    Of several processes the one counts that passed the point most often.
    """
    log = system.directory / "points"
    scheduler, worker = system.scheduler(log=str(log)), system.worker(log=str(log))
    time.sleep(seconds)
    lines = log.read_text().splitlines()  # Without what is passed only when it is stopped.
    for process in (scheduler, worker):
        process.send(signal.SIGTERM)
        process.wait()
    passages = Counter(tuple(line.split(" ", 1)) for line in lines)
    found: dict[str, int] = {}
    for (_, point), count in passages.items():
        found[point] = max(count, found.get(point, 0))
    return dict(sorted(found.items()))


def visit(system: System, points: Iterable[str], action: str) -> Tour:
    """Start one process after the other, each of which suffers at its own point.

    A point is given with its passage, as in `worker:fork:before#2`. The system goes on running:
    what one of them left undone, the next ones find.
    """
    tour = Tour()
    for point in points:
        process = start_for(system, point, action)
        reached = _comes_to(process)
        (tour.reached if reached else tour.not_reached).append(point)
        if action == "exit":
            system.kill(*process.children(), process.pid)
        elif action != "term" or not reached or point.startswith("child"):
            process.send(signal.SIGTERM)
        process.wait(30)
        system.release_locks()
    return tour


def start_for(system: System, point: str, action: str) -> Process:
    """Start the process that has this point."""
    start = system.scheduler if point.startswith("scheduler") else system.worker
    return start(point=point, action=action)


def _comes_to(process: Process) -> bool:
    """Wait until a process has come to its point, or has ended otherwise."""
    deadline = time.monotonic() + REACHED_WITHIN
    while time.monotonic() < deadline:
        if process.done.exists():
            return True
        if process.poll() is not None:
            return process.done.exists()
        time.sleep(0.02)
    return False
