"""Processes that are cut off from Redis, from the database, or from both, in the middle of runs.

`make prove` does it at random for half an hour.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.proof.checks import Violated, check, check_runs_continue
from tests.acceptance.proof.evidence import Line
from tests.acceptance.proof.network import Cut, Way, Ways
from tests.acceptance.proof.system import Run, Schedule, System, next_second
from tests.servers import wait_for

SECONDS = float(os.environ.get("PROOF_PARTITION_SECONDS", "30"))
# How long one cut lasts, at least and at most.
SHORTEST, LONGEST = 5.0, float(os.environ.get("PROOF_LONGEST_PARTITION", "15"))
SEED = int(os.environ.get("PROOF_SEED") or random.SystemRandom().randrange(1 << 32))
# Longer than it takes until a run whose lease nobody renews is closed.
LONG = 14.0


def one_run(seconds: float, **options: object) -> Schedule:
    """Return a schedule with one run, which may be tried again, by any of the workers."""
    own = {"retries": 2, **options}
    return Schedule("once", next_second(), seconds=seconds, way="beat", options=own)


@pytest.fixture
def own_ways(system: System) -> Iterator[Callable[[], Ways]]:
    """Return a function that makes ways for a process; they are mended and closed at the end."""
    made: list[Ways] = []

    def make() -> Ways:
        made.append(system.own_ways())
        return made[-1]

    yield make
    for ways in made:
        for way in ways.all:
            way.close()


def row(system: System) -> Run:
    """Return the row of the only run, once it has ended for good."""

    def ended() -> Run | None:
        [run] = system.runs()
        is_to_be_tried_again = run.status == "failed" and run.attempt < 3
        return None if run.status == "running" or is_to_be_tried_again else run

    found: Run = wait_for(ended, "the end of the run", 60)
    return found


def start(system: System, schedule: Schedule, ways: Ways) -> Line:
    """Have the worker with these ways run a schedule, and another one wait beside it."""
    system.scheduler()
    system.make(schedule)
    worker = system.worker(ways=ways)
    line = system.wait_for_start(schedule)
    assert line.parent == worker.pid
    system.killed |= {worker.pid, line.pid}
    system.worker()
    return line


@pytest.mark.parametrize("how", [Cut.FROZEN, Cut.REFUSED, Cut.NO_REPLIES])
def test_a_worker_that_is_cut_off_from_redis_goes_on_with_its_run(
    system: System, own_ways: Callable[[], Ways], how: Cut
):
    ways = own_ways()
    start(system, one_run(LONG + 3), ways)
    ways.redis.cut(how)
    time.sleep(LONG)
    ways.redis.mend()
    assert (row(system).status, row(system).attempt) == ("finished", 1)
    check(system)


def test_a_worker_that_is_cut_off_from_both_ends_its_run_before_it_is_tried_again(
    system: System, own_ways: Callable[[], Ways]
):
    ways = own_ways()
    line = start(system, one_run(10), ways)
    for way in ways.all:
        way.cut(Cut.FROZEN)
    assert row(system).attempt == 2
    beats = [beat.time for beat in system.lines() if beat.pid == line.pid]
    assert max(beats) < line.time + 10
    for way in ways.all:
        way.mend()
    check(system)


def test_a_run_that_may_go_on_while_its_worker_is_cut_off_does(
    system: System, own_ways: Callable[[], Ways]
):
    ways = own_ways()
    schedule = one_run(LONG, on_disconnect="continue", retries=0, overlap="allow")
    line = start(system, schedule, ways)
    for way in ways.all:
        way.cut(Cut.REFUSED)
    wait_for(lambda: system.runs()[0].reason == "lost_contact", "the end on paper")
    for way in ways.all:
        way.mend()

    def reached_its_end() -> bool:
        return any((one.event, one.pid) == ("end", line.pid) for one in system.lines())

    wait_for(reached_its_end, "the end of the function")


def test_nobody_is_lost_while_redis_refuses_writes(system: System):
    system.make(one_run(LONG + 4))
    system.scheduler()
    system.worker()
    system.wait_for_start(system.schedules[0])
    system.worker()
    system.redis.config_set("min-replicas-to-write", 1)
    time.sleep(LONG)
    system.redis.config_set("min-replicas-to-write", 0)
    assert (row(system).status, row(system).attempt) == ("finished", 1)
    check(system)


def test_a_worker_that_was_frozen_past_its_lease_ends_its_run_on_waking(
    system: System, own_ways: Callable[[], Ways]
):
    line = start(system, one_run(10), own_ways())
    frozen = [line.parent, line.pid]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: _attempts(system) == 2, "the second attempt")
    second = system.lines()[-1]
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    assert row(system).attempt == 2
    beats = [beat.time for beat in system.lines() if beat.pid == line.pid]
    assert max(beats) < second.time + 6, "its run ends at once"


def _attempts(system: System) -> int:
    return sum(line.event == "start" for line in system.lines())


def test_a_run_that_replaces_one_whose_worker_is_cut_off_waits_until_that_has_ended(
    system: System, own_ways: Callable[[], Ways]
):
    ways = own_ways()
    first = next_second()
    schedule = Schedule(
        "replaced", first, interval=6, repeat=2, seconds=20, way="beat",
        options={"overlap": "replace", "timeout": 60},
    )  # fmt: skip
    start(system, schedule, ways)
    ways.redis.cut(Cut.FROZEN)
    wait_for(lambda: _attempts(system) == 2, "the run that replaces it", 60)
    ways.redis.mend()
    check(system)
    assert [run.status for run in sorted(system.runs(), key=lambda run: run.due or first)] == [
        "canceled",
        "finished",
    ]


def schedules() -> list[Schedule]:
    first = next_second()
    return [
        Schedule("skip", first, interval=9, seconds=5, way="beat", options={"retries": 3}),
        Schedule("wait", first, interval=12, seconds=6, way="beat", options={"overlap": "wait"}),
        Schedule(
            "retried", first, interval=30, seconds=18, way="beat",
            options={"overlap": "wait", "retries": 5},
        ),
        Schedule(
            "replace", first, interval=10, seconds=12, way="beat", options={"overlap": "replace"}
        ),
        Schedule("short", first, interval=4, options={"retries": 2}),
    ]  # fmt: skip


class Partitions:
    """Cuts random ways, several at a time, each for a random while."""

    def __init__(self, ways: dict[str, Ways], chance: random.Random) -> None:
        self._ways = ways
        self._chance = chance
        self._cut: dict[str, float] = {}
        self.log: list[str] = []

    def step(self) -> None:
        """Mend what has been cut for long enough, and perhaps cut something."""
        now = time.monotonic()
        for name in [name for name, until in self._cut.items() if until <= now]:
            self._mend(name)
        whole = sorted(self._ways.keys() - self._cut.keys())
        if len(whole) > len(self._ways) // 2 and self._chance.random() < 0.4:
            name = self._chance.choice(whole)
            seconds = self._chance.uniform(SHORTEST, LONGEST)
            self._cut[name] = now + seconds
            for way, what in self._choose(self._ways[name]):
                how = self._chance.choice(list(Cut))
                way.cut(how)
                self.log.append(f"{time.time():.1f} {name}: {what} {how}, {seconds:.1f} s")

    def mend_all(self) -> None:
        for name in list(self._cut):
            self._mend(name)

    def _mend(self, name: str) -> None:
        del self._cut[name]
        self.log.append(f"{time.time():.1f} {name}: mended")
        for way in self._ways[name].all:
            way.mend()

    def _choose(self, ways: Ways) -> list[tuple[Way, str]]:
        known = [(ways.redis, "Redis"), (ways.database, "database")]
        return self._chance.choice([known[:1], known[1:], known])


def test_no_two_attempts_go_on_at_once_whoever_is_cut_off_from_whatever(
    system: System, own_ways: Callable[[], Ways]
):
    print(f"PROOF_SEED={SEED}")
    ways = {name: own_ways() for name in ("scheduler 1", "scheduler 2", *"abcd")}
    system.make(*schedules())
    for name, own in ways.items():
        process = system.scheduler(ways=own) if "scheduler" in name else system.worker(ways=own)
        system.killed.add(process.pid)  # Its runs are ended, also after their last line.
    partitions = Partitions(ways, random.Random(SEED))
    end = time.monotonic() + SECONDS
    try:
        check_runs_continue(system)
        while time.monotonic() < end:
            partitions.step()
            time.sleep(1)
        partitions.mend_all()
        check_runs_continue(system)
        check(system)
    except Violated as error:
        raise Violated("\n".join([str(error), f"PROOF_SEED={SEED}", *partitions.log])) from error
