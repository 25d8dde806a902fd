"""All faults at random, for some minutes: `make soak` does it for half an hour."""

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.acceptance.proof.checks import Violated, check, check_runs_continue
from tests.acceptance.proof.faults import points_of, start_for
from tests.acceptance.proof.fork_server import Process
from tests.acceptance.proof.system import Schedule, System, next_second
from tests.faketime import FakeClock
from tests.servers import Postgres

SECONDS = float(os.environ.get("PROOF_SOAK_SECONDS", "120"))
SEED = int(os.environ.get("PROOF_SEED") or random.SystemRandom().randrange(1 << 32))

# How often clocks are set before another fault.
CLOCKS_ARE_SET = 0.25
# By how many seconds a process's clock may be wrong.
WRONG_BY = [-7200, -300, -5, 5, 300, 7200]


def schedules() -> list[Schedule]:
    first = next_second()
    return [
        Schedule("plain", first, interval=5),
        Schedule("retried", first, interval=7, seconds=1, options={"retries": 3}),
        Schedule("raises", first, interval=9, way="raise", options={"retries": 1}),
        Schedule("allow", first, interval=4, options={"overlap": "allow", "catch_up": "all"}),
        Schedule("wait", first, interval=11, seconds=2, options={"overlap": "wait"}),
        Schedule("none", first, interval=6, options={"catch_up": "none"}),
        Schedule("cron", first, cron="*/10 * * * * *"),
        Schedule("deadline", first, interval=5, options={"start_deadline": 3}),
    ]


class Soak:
    """Injects random faults into a system, again and again."""

    def __init__(self, system: System, postgres: Postgres, chance: random.Random) -> None:
        self._system = system
        self._postgres = postgres
        self._chance = chance
        # Of their own, so that a seed injects the other faults with and without them.
        self._chance_of_clocks = random.Random(SEED)
        self._clocks: list[FakeClock] = []
        self._schedulers = [self._start_scheduler()]
        self._workers = [self._start_worker(), self._start_worker()]
        # Those that exit at a point: they are no replacement for any other.
        self._doomed: list[Process] = []
        self._points = sorted(points_of(system))
        self.log: list[str] = []

    def inject_fault(self) -> None:
        """Inject one fault, and start what it has ended again."""
        fault: Callable[[], None] = self._chance.choice(
            [
                self.kill_scheduler,
                self.stop_scheduler,
                self.freeze_scheduler,
                self.add_scheduler,
                self.kill_worker,
                self.kill_child,
                self.kill_worker_and_child,
                self.stop_worker,
                self.flush_redis,
                self.kill_redis,
                self.stop_postgres,
                self.exit_at_a_point,
            ]
        )
        if self._system.has_clocks and self._chance_of_clocks.random() < CLOCKS_ARE_SET:
            self._inject(self._chance_of_clocks.choice([self.set_a_clock, self.set_redis_clock]))
        self._inject(fault)

    def _inject(self, fault: Callable[[], None]) -> None:
        self.log.append(f"{time.time():.1f} {fault.__name__}")
        fault()

    def kill_scheduler(self) -> None:
        self._system.kill(self._take(self._schedulers).pid)
        self._schedulers.append(self._start_scheduler())

    def stop_scheduler(self) -> None:
        self._take(self._schedulers).send(signal.SIGTERM)
        self._schedulers.append(self._start_scheduler())

    def freeze_scheduler(self) -> None:
        frozen = self._chance.choice(self._schedulers)
        frozen.send(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.1, 12))
        frozen.send(signal.SIGCONT)

    def add_scheduler(self) -> None:
        if len(self._schedulers) < 3:
            self._schedulers.append(self._start_scheduler())

    def kill_worker(self) -> None:
        worker = self._take(self._workers)
        # Its child is killed, too: by the kernel, when its worker dies.
        self._system.killed |= set(worker.children())
        self._system.kill(worker.pid)
        self._workers.append(self._start_worker())

    def kill_child(self) -> None:
        self._system.kill(*self._chance.choice(self._workers).children())

    def kill_worker_and_child(self) -> None:
        worker = self._take(self._workers)
        self._system.kill(worker.pid, *worker.children())
        self._workers.append(self._start_worker())

    def stop_worker(self) -> None:
        self._take(self._workers).send(signal.SIGTERM)
        self._workers.append(self._start_worker())

    def flush_redis(self) -> None:
        self._system.redis.flushall()

    def kill_redis(self) -> None:
        self._system.valkey.stop(signal.SIGKILL)
        time.sleep(self._chance.uniform(0.1, 8))
        self._system.valkey.start()

    def stop_postgres(self) -> None:
        self._postgres.stop()
        time.sleep(self._chance.uniform(0.1, 6))
        self._postgres.start()

    def exit_at_a_point(self) -> None:
        point = f"{self._chance.choice(self._points)}#{self._chance.randint(1, 3)}"
        self.log[-1] += f" {point}"
        self._doomed.append(start_for(self._system, point, "exit"))
        if len(self._doomed) > 3:
            self._doomed.pop(0).send(signal.SIGTERM)

    def set_a_clock(self) -> None:
        """Set the clock of one process; it stays wrong until it is set again, or is right again."""
        seconds = self._chance_of_clocks.choice([0, *WRONG_BY])
        self.log[-1] += f" {seconds:+}"
        self._chance_of_clocks.choice(self._clocks).set(seconds)

    def set_redis_clock(self) -> None:
        """Set Redis's clock ahead or back by seconds, and after a while right again."""
        clock = self._system.valkey.clock
        assert clock is not None
        seconds = self._chance_of_clocks.choice([-20, -3, 3, 20])
        self.log[-1] += f" {seconds:+}"
        clock.set(seconds)
        time.sleep(self._chance_of_clocks.uniform(0.1, 12))
        clock.set(0)

    def _start_scheduler(self) -> Process:
        return self._system.scheduler(clock=self._new_clock())

    def _start_worker(self) -> Process:
        return self._system.worker(clock=self._new_clock())

    def _new_clock(self) -> FakeClock | None:
        if not self._system.has_clocks:
            return None
        seconds = self._chance_of_clocks.choice([0, 0, *WRONG_BY])
        self._clocks.append(self._system.clock(seconds))
        return self._clocks[-1]

    def _take(self, processes: list[Process]) -> Process:
        return processes.pop(self._chance.randrange(len(processes)))


@pytest.mark.case(20)
def test_a_system_with_one_random_fault_after_the_other_keeps_its_promises(
    clocked_system: System, fragile_postgres: Postgres
):
    system = clocked_system
    print(f"PROOF_SEED={SEED}")
    system.make(*schedules())
    soak = Soak(system, fragile_postgres, random.Random(SEED))
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            soak.inject_fault()
            check_runs_continue(system)
        check(system)
    except Violated as error:
        raise Violated("\n".join([str(error), f"PROOF_SEED={SEED}", *soak.log])) from error
