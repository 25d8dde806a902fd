"""Idle: what workers and a scheduler cost that wait, and what waking one of many costs."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.figures import Failed, Figure, Values, at_most
from benchmarks.keys import IDLE_KEY, SCHEDULES_KEY
from benchmarks.lateness import (
    CONCURRENCY,
    IDLE_NUMBER,
    IDLE_SPREAD,
    SETTLE_SECONDS,
    await_start,
    make_schedules,
)
from benchmarks.memory import AFTERWARDS_SECONDS, TIMEOUT_SECONDS
from benchmarks.processes import await_idle, share
from benchmarks.questions import Case, Question
from benchmarks.runs import OUR_WORKER
from benchmarks.scale import Scale
from benchmarks.site import OURS, SQLITE, Site

CROWD, FEW = 300, 2
COUNT_SECONDS = 10


@dataclass(frozen=True)
class Commands:
    """How many commands a second Redis gets, and how many scripts execute besides."""

    sent: float
    by_scripts: float

    def per_run(self, idle: "Commands", runs: float) -> "Commands":
        """Return what each of so many runs a second adds to what there is when nothing runs."""
        return Commands((self.sent - idle.sent) / runs, (self.by_scripts - idle.by_scripts) / runs)


def question(scale: Scale) -> Question:
    """Return the question: CPU is measured for `scale.seconds`."""
    seconds, schedules = scale.seconds, scale.schedules[1]
    load = f"{IDLE_NUMBER} runs a second"
    return Question(
        "idle",
        (
            Figure("few", f"commands sent to Redis for a run, {FEW} idle workers", at_most(12)),
            Figure("many", f"the same, {CROWD} more idle workers", at_most(12)),
            Figure("few_executed", f"with those in scripts, {load}, {FEW} idle workers"),
            Figure("many_executed", f"the same, {CROWD} more idle workers"),
            Figure("worker", "idle worker, CPU, % of a core", at_most(0.2)),
            Figure(
                "scheduler", f"idle scheduler, {schedules:,} schedules, % of a core", at_most(1)
            ),
        ),
        (
            Case("**this project**", _commands, ours=True),
            _worker("**this project**, plain", OUR_WORKER, seconds),
            _worker(
                f"**this project**, --concurrency {CONCURRENCY}",
                (*OUR_WORKER, "--concurrency", f"{CONCURRENCY}"),
                seconds,
            ),
            Case(
                "**this project**, scheduler",
                lambda site: _scheduler(site, schedules, seconds),
                ours=True,
            ),
        ),
        repetitions=1,
    )


def _commands(site: Site) -> Values:
    few = _per_run(site, 0)
    site.clear()
    many = _per_run(site, CROWD)
    return {
        "few": few.sent,
        "few_executed": few.sent + few.by_scripts,
        "many": many.sent,
        "many_executed": many.sent + many.by_scripts,
    }


def _per_run(site: Site, crowd: int) -> Commands:
    """Return what a run adds, with a few workers, and beside a crowd of idle ones."""
    with site.database(OURS, SQLITE) as database, _waiting(site, database, crowd):
        idle = _count(site)
        make_schedules(site, database, IDLE_NUMBER, IDLE_SPREAD)
        time.sleep(SETTLE_SECONDS)
        return _count(site).per_run(idle, IDLE_NUMBER)


@contextmanager
def _waiting(site: Site, database: str, crowd: int) -> Iterator[None]:
    """Run a scheduler, a few workers and the crowd inside the block, which begins when all wait."""
    number = json.dumps({"number": crowd})
    commands = [("manage.py", "rqscheduler"), *[OUR_WORKER] * FEW]
    if crowd:
        commands.append(("-m", "benchmarks.call", "benchmarks.ours.idle:crowd", number))
    with ExitStack() as stack:
        for command in commands:
            stack.enter_context(site.running(OURS, database, *command))
        # One of them listens, the others are on the list.
        await_start(site, lambda: site.valkey.client.zcard(IDLE_KEY) == crowd + FEW - 1)
        time.sleep(SETTLE_SECONDS)
        yield


def _count(site: Site) -> Commands:
    sent = by_scripts = 0
    started = time.monotonic()
    with site.valkey.client.monitor() as monitor:
        # There is always a next one: whoever waits sends something every second.
        for command in monitor.listen():
            if command["client_type"] == "lua":
                by_scripts += 1
            else:
                sent += 1
            if (seconds := time.monotonic() - started) > COUNT_SECONDS:
                break
    return Commands(sent / seconds, by_scripts / seconds)


def _worker(who: str, command: tuple[str, ...], seconds: int) -> Case:
    def measure(site: Site) -> Values:
        with (
            site.database(OURS, SQLITE) as database,
            site.running(OURS, database, *command) as worker,
        ):
            await_idle(worker.pid)
            time.sleep(SETTLE_SECONDS)
            return {"worker": 100 * share(worker.pid, seconds)}

    return Case(who, measure, ours=True)


def _scheduler(site: Site, number: int, seconds: int) -> Values:
    """Measure a scheduler after it has compared Redis with all rows."""
    with site.database(OURS, SQLITE) as database:
        site.call(OURS, database, "benchmarks.ours.schedules:none_due", number=number)
        with site.running(OURS, database, "manage.py", "rqscheduler") as scheduler:
            if not site.wait_for(
                lambda: site.valkey.client.zcard(SCHEDULES_KEY) == number, TIMEOUT_SECONDS
            ):
                raise Failed(f"Redis was not compared with all rows within {TIMEOUT_SECONDS} s")
            time.sleep(AFTERWARDS_SECONDS)
            return {"scheduler": 100 * share(scheduler.pid, seconds)}
