"""Ends that could not be written are written later, once, and a bad one stops no other."""

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from redis import Redis

from tasks.broker.keys import SPOOL_KEY, UNREADABLE_KEY
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.runs import completion, spool
from tests.tasks.functions import ECHO
from tests.tasks.schedules import ago

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(schedule: ScheduledTask) -> ScheduledTaskInstance:
    return schedule.runs.create(name="x", due=ago(5), started=ago(4))


def spooled(redis: Redis) -> tuple[int, int]:
    return redis.llen(SPOOL_KEY), redis.llen(UNREADABLE_KEY)


def test_a_spooled_end_is_written_to_its_row(run: ScheduledTaskInstance, redis_connection: Redis):
    ended = timezone.now().replace(microsecond=0)
    values = {"result": {"a": [1]}, "log": "bye \x1b\n", "reason": "", "ended": ended}
    spool.push(redis_connection, run.run_job_id, "finished", **values)
    assert spool.drain(redis_connection) == 1
    run.refresh_from_db()
    assert (run.status, run.result, run.log, run.ended) == (
        "finished",
        {"a": [1]},
        "bye \x1b\n",
        ended,
    )


def test_a_spooled_end_that_is_written_twice_changes_the_row_once(
    run: ScheduledTaskInstance, redis_connection: Redis
):
    spool.push(redis_connection, run.run_job_id, "failed", reason="first")
    spool.push(redis_connection, run.run_job_id, "finished", reason="second")
    spool.drain(redis_connection)
    run.refresh_from_db()
    assert (run.status, run.reason) == ("failed", "first")
    assert spooled(redis_connection) == (0, 0)


def test_the_spooled_end_of_a_background_call_is_written_too(redis_connection: Redis):
    task = Task.objects.create(name="x", function=ECHO, status="running", started=ago(1))
    spool.push(redis_connection, task.job_id, "canceled", reason="Stopped on request.")
    spool.drain(redis_connection)
    task.refresh_from_db()
    assert task.status == "canceled"


def test_the_spooled_end_of_an_earlier_attempt_is_dropped(
    run: ScheduledTaskInstance, redis_connection: Redis
):
    spool.push(redis_connection, run.run_job_id, "failed")
    ScheduledTaskInstance.objects.update(attempt=2)
    spool.drain(redis_connection)
    run.refresh_from_db()
    assert (run.status, spooled(redis_connection)) == ("running", (0, 0))


@pytest.mark.parametrize("job_id", ["gone", "task-1", f"schedule-{'0' * 32}-{10**12}"])
def test_the_spooled_end_of_a_deleted_row_is_dropped(redis_connection: Redis, job_id: str):
    spool.push(redis_connection, job_id, "failed")
    assert spool.drain(redis_connection) == 1
    assert spooled(redis_connection) == (0, 0)


@pytest.mark.parametrize(
    "entry",
    [
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b'{"job_id": "x"}',
        b'{"job_id": "x", "status": "failed", "values": {"ended": "yesterday"}}',
        b'{"job_id": "x", "status": "failed", "values": 5}',
        b'{"job_id": ["x"], "status": "failed", "values": {}}',
    ],
)
def test_an_unreadable_entry_of_the_spool_is_kept_aside_and_stops_no_other(
    run: ScheduledTaskInstance, redis_connection: Redis, entry: bytes
):
    redis_connection.rpush(SPOOL_KEY, entry)
    spool.push(redis_connection, run.run_job_id, "failed")
    spool.drain(redis_connection)
    run.refresh_from_db()
    assert run.status == "failed"
    assert redis_connection.lrange(UNREADABLE_KEY, 0, -1) == [entry]


@pytest.mark.parametrize(
    "values", [{"unknown": 1}, {"progress": 101}, {"status": "nonsense"}], ids=str
)
def test_an_entry_of_the_spool_that_the_row_refuses_is_kept_aside(
    run: ScheduledTaskInstance, redis_connection: Redis, values: dict[str, Any]
):
    entry = {"job_id": run.run_job_id, "status": "failed", "values": values}
    redis_connection.rpush(SPOOL_KEY, json.dumps(entry))
    spool.drain(redis_connection)
    run.refresh_from_db()
    assert (run.status, spooled(redis_connection)) == ("running", (0, 1))


def test_an_entry_stays_on_the_spool_while_the_database_is_unavailable(
    run: ScheduledTaskInstance, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    def away(*args: Any, **values: Any) -> None:
        raise OperationalError

    spool.push(redis_connection, run.run_job_id, "failed")
    monkeypatch.setattr(completion, "close", away)
    with pytest.raises(OperationalError):
        spool.drain(redis_connection)
    assert spooled(redis_connection) == (1, 0)
