"""The leader's regular work."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from redis import Redis

from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY, SPOOL_KEY
from tasks.ledger import housekeeping
from tasks.ledger.housekeeping import Housekeeper
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
    monkeypatch.setattr(housekeeping, "pruning", lambda: done.append("prune"))
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
