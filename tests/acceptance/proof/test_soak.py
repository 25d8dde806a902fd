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
from tests.servers import Postgres

SECONDS = float(os.environ.get("PROOF_SOAK_SECONDS", "120"))
SEED = int(os.environ.get("PROOF_SEED") or random.SystemRandom().randrange(1 << 32))


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
        self._schedulers = [system.scheduler()]
        self._workers = [system.worker(), system.worker()]
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
        self.log.append(f"{time.time():.1f} {fault.__name__}")
        fault()

    def kill_scheduler(self) -> None:
        self._system.kill(self._take(self._schedulers).pid)
        self._schedulers.append(self._system.scheduler())

    def stop_scheduler(self) -> None:
        self._take(self._schedulers).send(signal.SIGTERM)
        self._schedulers.append(self._system.scheduler())

    def freeze_scheduler(self) -> None:
        frozen = self._chance.choice(self._schedulers)
        frozen.send(signal.SIGSTOP)
        time.sleep(self._chance.uniform(0.1, 12))
        frozen.send(signal.SIGCONT)

    def add_scheduler(self) -> None:
        if len(self._schedulers) < 3:
            self._schedulers.append(self._system.scheduler())

    def kill_worker(self) -> None:
        worker = self._take(self._workers)
        # Its child is killed, too: by the kernel, when its worker dies.
        self._system.killed |= set(worker.children())
        self._system.kill(worker.pid)
        self._workers.append(self._system.worker())

    def kill_child(self) -> None:
        self._system.kill(*self._chance.choice(self._workers).children())

    def kill_worker_and_child(self) -> None:
        worker = self._take(self._workers)
        self._system.kill(worker.pid, *worker.children())
        self._workers.append(self._system.worker())

    def stop_worker(self) -> None:
        self._take(self._workers).send(signal.SIGTERM)
        self._workers.append(self._system.worker())

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
        doomed = start_for(self._system, point, "exit")
        kind = self._schedulers if point.startswith("scheduler") else self._workers
        kind.append(doomed)
        if len(kind) > 3:
            kind.pop(0).send(signal.SIGTERM)

    def _take(self, processes: list[Process]) -> Process:
        return processes.pop(self._chance.randrange(len(processes)))


@pytest.mark.case(20)
def test_a_system_with_one_random_fault_after_the_other_keeps_its_promises(
    system: System, fragile_postgres: Postgres
):
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
