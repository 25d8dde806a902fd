"""Failover: how long nothing is dispatched when the leading scheduler ends."""

import math
import signal
import subprocess
import time
from collections.abc import Callable

from benchmarks.arrivals import Arrival, collect
from benchmarks.figures import Failed, Figure, Values, at_most
from benchmarks.keys import QUEUE_KEY
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import OURS, POSTGRESQL, SQLITE, Site

NUMBER, SPREAD = 20, 0.05
# For the second scheduler to start and stand by.
STANDBY_SECONDS = 5
TIMEOUT_SECONDS = 60


def question(scale: Scale) -> Question:
    """Return the question for both ways in which a leader ends, on both databases."""
    return Question(
        "failover",
        (
            Figure("killed", "dispatch resumes after kill -9 of the leader, s", at_most(5)),
            Figure("terminated", "dispatch resumes after SIGTERM to the leader, s", at_most(1)),
        ),
        tuple(_case(kind) for kind in (SQLITE, POSTGRESQL)),
    )


def _case(kind: str) -> Case:
    def measure(site: Site) -> Values:
        killed = _gap(site, kind, signal.SIGKILL)
        site.clear()
        return {"killed": killed, "terminated": _gap(site, kind, signal.SIGTERM)}

    return Case(f"**this project**, {kind}", measure, ours=True)


def _gap(site: Site, kind: str, signum: signal.Signals) -> float:
    """Return the seconds from a signal to the leader until another one dispatches."""
    with site.database(OURS, kind) as database:
        site.call(
            OURS,
            database,
            "benchmarks.ours.schedules:every_second",
            number=NUMBER,
            first=math.ceil(time.time()) + 1,
            spread=SPREAD,
        )
        command = ("manage.py", "rqscheduler")
        with site.running(OURS, database, *command) as leader:
            if not _collect(site, lambda arrivals: bool(arrivals)):
                raise Failed("the first scheduler dispatched nothing")
            with site.running(OURS, database, *command):
                ready = time.time() + STANDBY_SECONDS
                _collect(site, lambda _: time.time() > ready)
                signalled = time.time()
                leader.send_signal(signum)
                return _first_after(site, leader) - signalled


def _first_after(site: Site, leader: "subprocess.Popen[bytes]") -> float:
    """Return when the first occurrence arrived that the ended leader can't have dispatched."""
    _collect(site, lambda _: leader.poll() is not None)
    # What it left on the queue doesn't count.
    site.valkey.client.delete(QUEUE_KEY)
    arrivals = _collect(site, lambda arrivals: bool(arrivals))
    if not arrivals:
        raise Failed(f"nobody dispatched within {TIMEOUT_SECONDS} s")
    return arrivals[0].time


def _collect(site: Site, until: Callable[[list[Arrival]], bool]) -> list[Arrival]:
    end = time.time() + TIMEOUT_SECONDS
    return collect(
        site.valkey.client, QUEUE_KEY, lambda arrivals: until(arrivals) or time.time() > end
    )
