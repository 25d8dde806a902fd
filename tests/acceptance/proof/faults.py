"""Injects faults into a system, at its kill points."""

import signal
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.acceptance.proof.fork_server import Process
from tests.acceptance.proof.system import System

# How long a process may take to reach its point.
REACH_SECONDS = 6.0


@dataclass
class Tour:
    """Which of many points were reached."""

    reached: list[str] = field(default_factory=list)
    not_reached: list[str] = field(default_factory=list)


def points_of(system: System, seconds: float = 6.0) -> dict[str, int]:
    """Run a system undisturbed; return its points and how often a process passed each.

    Of several processes, the one counts that passed a point most often.
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
    """Start one process after the other, each with a fault at its own point.

    A point is given with its passage, as in `worker:fork:before#2`. The system keeps running: the
    next processes find what one of them left undone.
    """
    tour = Tour()
    for point in points:
        process = start_for(system, point, action)
        reached = _reaches(process)
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


def _reaches(process: Process) -> bool:
    """Wait until a process has reached its point, or has ended; return whether it reached it."""
    deadline = time.monotonic() + REACH_SECONDS
    while time.monotonic() < deadline:
        if process.done.exists():
            return True
        if process.poll() is not None:
            return process.done.exists()
        time.sleep(0.02)
    return False
