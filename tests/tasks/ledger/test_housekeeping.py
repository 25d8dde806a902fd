"""The leader's regular work."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from redis import Redis

from tasks import clock as one_clock
from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY, SPOOL_KEY
from tasks.broker.leases import LEASE_SECONDS
from tasks.ledger.housekeeping import STOPPED_SECONDS, Housekeeper
from tasks.ledger.retention import Retention
from tasks.models import ScheduledTask
from tasks.runs import spool
from tests.tasks.in_redis import schedules_in_redis
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_tick_of_housekeeping_drains_the_spool_and_fills_redis(
    schedule: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace
):
    run = schedule.runs.create(name="x", due=ago(60), started=ago(59))
    spool.push(redis_connection, run.run_job_id, "failed", reason="killed")
    Housekeeper(redis_connection).tick()
    run.refresh_from_db()
    assert run.status == "failed"
    assert schedules_in_redis(redis_connection) == {schedule.job_id}


def test_an_emptied_redis_is_filled_at_the_next_tick_of_housekeeping(
    schedule: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace
):
    housekeeper = Housekeeper(redis_connection)
    housekeeper.tick()
    redis_connection.flushall()
    housekeeper.tick()
    assert schedules_in_redis(redis_connection) == {schedule.job_id}


@pytest.mark.parametrize("part", ["Reconciler.tick", "close_lost_runs", "settling_steps"])
def test_a_failing_part_of_housekeeping_stops_no_other_part(
    schedule: ScheduledTask,
    redis_connection: Redis,
    clock: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
):
    def fail(*args: Any) -> None:
        raise OperationalError

    done: list[str] = []
    monkeypatch.setattr(f"tasks.ledger.housekeeping.{part}", fail)
    monkeypatch.setattr(Retention, "steps", lambda self: done.append("prune"))
    Housekeeper(redis_connection).tick()
    assert done == ["prune"]


@pytest.mark.parametrize("key", [SPOOL_KEY, DISPATCH_RECORDS_KEY, SCHEDULES_KEY])
def test_housekeeping_names_a_redis_key_of_the_wrong_type(
    redis_connection: Redis, key: str, caplog: Any
):
    make_row()
    redis_connection.set(key, "x")
    Housekeeper(redis_connection).tick()
    assert f"The key {key} in Redis is a string, not a " in caplog.text
    assert "Traceback" not in caplog.text


# `close_lost_runs` has a proof of its own that leases could be renewed.
PARTS_BY_LEASE = ["enqueueing_lost_jobs", "settling_steps"]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the parts of housekeeping that have taken what isn't leased for dead."""
    judged: list[str] = []
    for name in PARTS_BY_LEASE:
        part = f"tasks.ledger.housekeeping.{name}"
        monkeypatch.setattr(part, lambda *args, name=name: judged.append(name))
    return judged


@pytest.fixture
def elapsed(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return the clock that counts suspension, which the test moves by `elapsed.now += seconds`."""
    elapsed = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(one_clock, "elapsed_clock", lambda: elapsed.now)
    return elapsed


def step_of_redis_clock(elapsed: SimpleNamespace, clock: SimpleNamespace) -> None:
    one_clock.observe(5_000.0, elapsed.now, elapsed.now)
    one_clock.observe(9_000.0, elapsed.now, elapsed.now)


def suspension(elapsed: SimpleNamespace, clock: SimpleNamespace) -> None:
    one_clock.observe(5_000.0, elapsed.now, elapsed.now)
    elapsed.now += 600  # and no time has passed by the monotonic clock
    one_clock.observe(5_600.0, elapsed.now, elapsed.now)


def stop_of_the_process(elapsed: SimpleNamespace, clock: SimpleNamespace) -> None:
    clock.now += STOPPED_SECONDS + 1
    elapsed.now += STOPPED_SECONDS + 1


@pytest.mark.parametrize("disturb", [step_of_redis_clock, suspension, stop_of_the_process])
def test_nobody_is_taken_for_dead_until_a_lease_after_leases_may_have_lapsed(
    redis_connection: Redis,
    clock: SimpleNamespace,
    elapsed: SimpleNamespace,
    judged: list[str],
    disturb: Any,
):
    housekeeper = Housekeeper(redis_connection)
    housekeeper.tick()
    assert sorted(judged) == sorted(PARTS_BY_LEASE)
    judged.clear()
    disturb(elapsed, clock)
    for _ in range(LEASE_SECONDS - 1):
        clock.now += 1
        elapsed.now += 1
        housekeeper.tick()
    assert judged == []
    for _ in range(2):
        clock.now += 1
        elapsed.now += 1
        housekeeper.tick()
    assert "settling_steps" in judged
