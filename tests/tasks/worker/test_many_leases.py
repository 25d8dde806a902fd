"""How a worker keeps the leases of many runs in one child, and when it gives them up.

The process that asks the database is made up here: `tests/acceptance/proof` has real ones.
"""

import signal
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError

from tasks.broker.leases import LAST_CHANCE, LEASE_SECONDS, RENEWAL_AT_DATABASE_AFTER
from tasks.runs.lease import Hold
from tasks.worker import many_leases
from tasks.worker.many_leases import ManyLeases, Verdicts
from tasks.worker.shared_state import Run

BEGIN = 1000.0
PID = 4711


def run(number: int, leased: float = BEGIN) -> Run:
    return Run(f"job-{number}", f"execution-{number}", "default", 60, 0.0, leased=leased)


RUNS = [run(1), run(2)]


class World:
    """What the leases depend on: Redis, the database, a clock, and the child."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.leases = ManyLeases(PID, self.renew_in_redis, "w1")
        self.redis_answers = self.database_answers = True
        self.holds = {one.job_id: Hold.HELD for one in RUNS}
        self.signals: list[signal.Signals] = []
        self.asked: list[list[str]] = []

    def renew_in_redis(self, runs: Sequence[Run]) -> None:
        if not self.redis_answers:
            raise ConnectionError("unreachable")
        self.leases.renewed(runs, self.now)

    def inquiry(self, job_ids: Sequence[str], worker_name: str) -> SimpleNamespace:
        self.asked.append(list(job_ids))
        sent = self.now

        def answers() -> dict[str, Hold] | None:
            if self.database_answers:
                return {job_id: self.holds[job_id] for job_id in job_ids}
            return {} if self.now >= sent + LAST_CHANCE else None

        return SimpleNamespace(sent=sent, answers=answers, end=lambda: None)

    def keep(self, seconds: float, runs: Sequence[Run] = RUNS) -> Verdicts:
        """Keep the leases for so many seconds, with a look each half second; return why not."""
        for _ in range(round(seconds * 2)):
            verdicts = self.leases.keep(runs, runs)
            if verdicts != Verdicts():
                return verdicts
            self.now += 0.5
        return Verdicts()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(many_leases, "elapsed_clock", lambda: world.now)
    monkeypatch.setattr(many_leases, "InquiryOfMany", world.inquiry)
    monkeypatch.setattr(many_leases, "send", lambda pid, number: world.signals.append(number))

    def submit(renew: object, runs: Sequence[Run]) -> SimpleNamespace:
        world.leases._try_to_renew(runs)
        return SimpleNamespace(done=lambda: True)

    monkeypatch.setattr(world.leases, "_thread", SimpleNamespace(submit=submit))
    return world


def test_as_long_as_redis_answers_nobody_asks_the_database(world: World):
    assert world.keep(10 * LEASE_SECONDS) == Verdicts()
    assert (world.asked, world.signals) == ([], [])


def test_without_redis_the_database_is_asked_for_all_runs_at_once(world: World):
    world.redis_answers = False
    assert world.keep(3 * LEASE_SECONDS) == Verdicts()
    assert world.asked[0] == ["job-1", "job-2"]
    assert world.signals == []


def test_without_redis_and_database_the_child_is_suspended_and_then_ended(world: World):
    world.redis_answers = world.database_answers = False
    assert world.keep(LEASE_SECONDS - 0.5) == Verdicts()
    assert world.signals == []
    assert world.keep(2 * LEASE_SECONDS) == Verdicts(all_end=Hold.UNKNOWN)
    assert set(world.signals) == {signal.SIGSTOP}
    assert world.now - BEGIN <= LEASE_SECONDS + LAST_CHANCE + 1


def test_a_suspended_child_goes_on_when_all_of_its_runs_have_leases_again(world: World):
    world.redis_answers = world.database_answers = False
    world.keep(LEASE_SECONDS + 1)
    world.database_answers = True
    assert world.keep(2) == Verdicts()
    assert world.signals[-1] is signal.SIGCONT


def test_a_run_that_was_taken_later_has_its_own_time(world: World):
    world.redis_answers = world.database_answers = False
    world.keep(LEASE_SECONDS - 1)
    young = run(3, leased=world.now)
    assert world.keep(3, [young]) == Verdicts()
    assert world.signals == []


def test_a_run_that_was_stopped_meanwhile_ends_alone(world: World):
    world.redis_answers = False
    world.holds["job-2"] = Hold.STOPPED
    assert world.keep(LEASE_SECONDS) == Verdicts(stopped=(RUNS[1],))


def test_a_run_that_was_closed_meanwhile_takes_its_child_down(world: World):
    world.redis_answers = False
    world.holds["job-1"] = Hold.CLOSED
    expected = Verdicts(all_end=Hold.CLOSED, closed=(RUNS[0],))
    assert world.keep(LEASE_SECONDS) == expected


def test_runs_whose_rows_do_not_say_running_yet_are_left_alone(world: World):
    world.redis_answers = world.database_answers = False
    for _ in range(100):
        assert world.leases.keep(RUNS, []) == Verdicts()
        world.now += 0.5
    assert world.signals == []


def test_a_lease_is_renewed_at_the_database_before_it_is_over():
    assert RENEWAL_AT_DATABASE_AFTER < LEASE_SECONDS
