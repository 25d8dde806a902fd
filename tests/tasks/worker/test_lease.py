"""How a worker keeps the lease on its run, and when it gives the run up.

The processes that ask the database are made up here: `tests/acceptance/proof` has real ones.
"""

import itertools
import signal
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from redis.exceptions import ConnectionError

from tasks import clock
from tasks.broker.leases import CERTAINTY, LAST_CHANCE, LEASE_SECONDS, RENEWAL_AT_DATABASE_AFTER
from tasks.runs import lease as at_database
from tasks.runs.lease import Hold
from tasks.worker import lease
from tasks.worker.lease import Lease, LeaseKeeper, Verdict, judge
from tasks.worker.shared_state import Run

BEGIN = 1000.0
RUN = Run("job-1", "execution-1", "default", 60, 0.0, leased=BEGIN)
GOES_ON = Run("job-1", "execution-1", "default", 60, 0.0, leased=BEGIN, goes_on=True)
PID = 4711


@pytest.mark.parametrize(
    ("age", "suspended_for", "verdict"),
    [
        (0, None, Verdict.GO_ON),
        (RENEWAL_AT_DATABASE_AFTER - 0.1, None, Verdict.GO_ON),
        (RENEWAL_AT_DATABASE_AFTER, None, Verdict.RENEW_AT_DATABASE),
        (LEASE_SECONDS - 0.1, None, Verdict.RENEW_AT_DATABASE),
        (LEASE_SECONDS, None, Verdict.SUSPEND),
        (LEASE_SECONDS + LAST_CHANCE, LAST_CHANCE - 0.1, Verdict.SUSPEND),
        (LEASE_SECONDS + LAST_CHANCE, LAST_CHANCE, Verdict.END),
        (9_999, None, Verdict.SUSPEND),
        (1, 99, Verdict.GO_ON),
    ],
)
def test_what_becomes_of_a_run_by_the_age_of_its_lease(
    age: float, suspended_for: float | None, verdict: Verdict
):
    assert judge(age, suspended_for, goes_on=False) is verdict


def test_a_run_that_may_go_on_without_a_lease_is_neither_suspended_nor_ended():
    for age in (LEASE_SECONDS, 9_999):
        assert judge(age, None, goes_on=True) is Verdict.RENEW_AT_DATABASE


def test_a_worker_ends_its_run_before_others_may_call_it_lost():
    assert LEASE_SECONDS + LAST_CHANCE < LEASE_SECONDS + CERTAINTY


def test_an_inquiry_at_the_database_does_not_read_the_clock_of_a_redis_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[str] = []
    clock.keep_fresh(lambda: asked.append("Redis"), max_age=0.0)

    def renew(job_id: str, worker_name: str) -> Hold:
        clock.now()
        return Hold.HELD

    monkeypatch.setattr(at_database, "renew", renew)
    monkeypatch.setattr(lease, "die_with_parent", lambda parent: None)
    monkeypatch.setattr("signal.signal", lambda *args: None)
    monkeypatch.setattr("os._exit", lambda code: asked.append(Hold(code).name))
    inquire: Callable[..., object] = lease._inquire
    inquire(1, "job-1", "w1")
    assert asked == ["HELD"]


def test_a_renewal_in_redis_that_comes_too_late_does_not_count():
    held = Lease(RUN, BEGIN)
    held.renew(BEGIN + LEASE_SECONDS + 1)
    assert held.renewed == BEGIN


def test_an_answer_that_comes_late_counts_from_when_the_renewal_was_sent():
    held = Lease(RUN, BEGIN)
    for sent in (BEGIN + 5, BEGIN + 3):
        held.renew(sent)
    assert held.renewed == BEGIN + 5


class World:
    """What a keeper talks to: Redis, the database, a clock, and the child."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.keeper = LeaseKeeper(self.renew_in_redis, "w1")
        self.redis_answers = self.database_answers = True
        self.hold = Hold.HELD
        self.signals: list[signal.Signals] = []
        self.asked = 0

    def renew_in_redis(self, run: Run) -> None:
        if not self.redis_answers:
            raise ConnectionError("unreachable")
        self.keeper.renewed(run, self.now)

    def inquiry(self, job_id: str, worker_name: str) -> SimpleNamespace:
        self.asked += 1
        sent = self.now

        def answer() -> Hold | None:
            if self.database_answers:
                return self.hold
            return Hold.UNKNOWN if self.now >= sent + LAST_CHANCE else None

        return SimpleNamespace(sent=sent, answer=answer, end=lambda: None)

    def keep(self, seconds: float, run: Run = RUN, *, is_running: bool = True) -> Hold | None:
        """Keep the lease for so many seconds, with a look each half second; return why not."""
        for _ in range(round(seconds * 2)):
            why = self.keeper.keep(run, PID, is_running=is_running)
            if why is not None:
                return why
            self.now += 0.5
        return None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(lease, "elapsed_clock", lambda: world.now)
    monkeypatch.setattr(lease, "Inquiry", world.inquiry)
    monkeypatch.setattr(lease, "send", lambda pid, number: world.signals.append(number))
    # In this thread, not in one of its own.
    monkeypatch.setattr(LeaseKeeper, "_renew", lambda keeper, run: keeper._try_to_renew(run))
    return world


def test_a_worker_that_reaches_redis_never_asks_the_database(world: World):
    world.database_answers = False
    assert world.keep(10 * LEASE_SECONDS) is None
    assert (world.asked, world.signals) == (0, [])


def test_a_worker_that_does_not_reach_redis_renews_at_the_database(world: World):
    world.redis_answers = False
    assert world.keep(10 * LEASE_SECONDS) is None
    assert world.asked >= 10
    assert world.signals == []


def test_a_run_whose_worker_reaches_neither_is_suspended_and_then_ended(world: World):
    world.redis_answers = world.database_answers = False
    assert world.keep(LEASE_SECONDS - 0.5) is None
    assert world.signals == []
    assert world.keep(9_999) is Hold.UNKNOWN
    assert world.now < BEGIN + LEASE_SECONDS + CERTAINTY
    assert set(world.signals) == {signal.SIGSTOP}


@pytest.mark.parametrize("hold", [Hold.CLOSED, Hold.STOPPED])
def test_a_worker_that_finds_its_run_closed_at_the_database_ends_it(world: World, hold: Hold):
    world.redis_answers, world.hold = False, hold
    assert world.keep(LEASE_SECONDS) is hold


def test_a_run_whose_worker_was_frozen_is_suspended_first_and_goes_on_if_it_is_still_its_own(
    world: World,
):
    world.keep(5)
    world.now += 3_600
    world.database_answers = False
    world.keep(0.5)
    assert world.signals == [signal.SIGSTOP]
    world.database_answers = True
    assert world.keep(5) is None
    assert world.signals[-1] == signal.SIGCONT


def test_a_run_whose_worker_was_frozen_is_ended_if_it_was_closed_meanwhile(world: World):
    world.keep(5)
    world.now += 3_600
    world.hold = Hold.CLOSED
    assert world.keep(5) is Hold.CLOSED
    assert set(world.signals) == {signal.SIGSTOP}


def test_a_run_that_may_go_on_does_and_is_ended_only_on_request(world: World):
    world.redis_answers = world.database_answers = False
    assert world.keep(10 * LEASE_SECONDS, GOES_ON) is None
    world.database_answers, world.hold = True, Hold.CLOSED
    assert world.keep(LEASE_SECONDS, GOES_ON) is None
    world.hold = Hold.STOPPED
    assert world.keep(LEASE_SECONDS, GOES_ON) is Hold.STOPPED
    assert world.signals == []


def test_a_run_whose_row_does_not_say_running_yet_is_left_alone(world: World):
    world.redis_answers = world.database_answers = False
    assert world.keep(10 * LEASE_SECONDS, is_running=False) is None
    assert (world.asked, world.signals) == (0, [])


def test_the_next_run_has_a_lease_of_its_own(world: World):
    world.redis_answers = world.database_answers = False
    world.keep(LEASE_SECONDS)
    following = Run("job-2", "execution-2", "default", 60, 0.0, leased=world.now)
    world.signals.clear()
    assert world.keep(LEASE_SECONDS - 1, following) is None
    assert world.signals == []


# The process that asks


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that says what the processes that ask the database do."""

    def behave(behaviour: Callable[[], object]) -> None:
        monkeypatch.setattr(at_database, "renew", lambda job_id, worker_name: behaviour())

    return behave


def answer_of(inquiry: lease.Inquiry) -> Hold:
    return next(
        answer for answer in (inquiry.answer() for _ in itertools.count()) if answer is not None
    )


@pytest.mark.parametrize("hold", list(Hold))
def test_a_process_that_asks_the_database_exits_with_the_answer(
    exits: Callable[[Callable[[], object]], None], hold: Hold
):
    exits(lambda: hold)
    assert answer_of(lease.Inquiry("job-1", "w1")) is hold


def test_a_process_that_fails_or_hangs_has_no_answer(
    exits: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
):
    exits(lambda: 1 / 0)
    assert answer_of(lease.Inquiry("job-1", "w1")) is Hold.UNKNOWN
    monkeypatch.setattr(lease, "LAST_CHANCE", 0.2)
    exits(signal.pause)
    assert answer_of(lease.Inquiry("job-1", "w1")) is Hold.UNKNOWN
