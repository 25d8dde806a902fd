"""Jobs are put on their queues, and withdrawn."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone
from redis import Redis

from tasks.broker import projection
from tasks.broker.enqueue import build_job, enqueue_run, enqueue_task, kind_of, withdraw
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, Task
from tests.tasks.functions import COROUTINE, ECHO, queued
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("at", [None, timezone.now() + timedelta(hours=1)])
def test_a_run_that_is_enqueued_twice_is_on_its_queue_once(
    schedule: ScheduledTask, redis_connection: Redis, at: Any
):
    run_id = RunId(schedule.job_id, ago(1))
    for _ in range(2):
        enqueue_run(schedule, run_id, redis_connection, at=at)
    kept = [*queued(redis_connection), *redis_connection.zrange("rq:scheduled:default", 0, -1)]
    assert len(kept) == 1


def test_a_run_that_is_enqueued_for_later_keeps_its_milliseconds(
    schedule: ScheduledTask, redis_connection: Redis
):
    at = timezone.now().replace(microsecond=250_000) + timedelta(hours=1)
    enqueue_run(schedule, RunId(schedule.job_id, at), redis_connection, at=at)
    entries: list[Any] = redis_connection.zrange("rq:scheduled:default", 0, -1, withscores=True)
    [(_, score)] = entries
    assert score == at.timestamp()


def test_a_job_has_the_timeout_of_its_row_else_of_its_function(redis_connection: Redis):
    row = make_row(function="tests.only_scheduled", args=[1])
    assert build_job(row, row.job_id, redis_connection).timeout == 77
    row.timeout = 5
    assert build_job(row, row.job_id, redis_connection).timeout == 5


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"function": COROUTINE}, b"coroutine"),
        ({"function": COROUTINE, "isolated": True}, None),
        ({"function": COROUTINE, "on_disconnect": "continue"}, None),
        ({"function": ECHO}, None),
    ],
)
def test_a_job_says_whether_it_can_run_beside_others(
    redis_connection: Redis, values: dict[str, Any], kind: bytes | None
):
    schedule = make_row(**values)
    run_id = RunId(schedule.job_id, ago(1))
    enqueue_run(schedule, run_id, redis_connection)
    projection.put([schedule], redis_connection)
    for job_id in (run_id.job_id, schedule.job_id):
        assert redis_connection.hget(Job.key_for(job_id), "kind") == kind


def test_where_all_runs_are_isolated_no_job_runs_beside_others(settings: LazySettings):
    call = Task(function=COROUTINE)
    assert kind_of(call) == "coroutine"
    settings.TASKS_ISOLATED = True
    assert kind_of(call) == ""


def test_a_function_that_becomes_a_coroutine_changes_the_dispatch_record(
    monkeypatch: pytest.MonkeyPatch, schedule: ScheduledTask
):
    before = projection.dispatch_record(schedule)
    monkeypatch.setattr(projection, "marks_of", lambda record: {"kind": "coroutine"})
    assert projection.dispatch_record(schedule) != before


def test_nothing_in_redis_is_left_of_a_withdrawn_call(redis_connection: Redis):
    waiting = Task.objects.create(name="x", function=ECHO)
    reserved = Task.objects.create(
        name="x", function=ECHO, status="reserved", reserved_for=timezone.now() + timedelta(hours=1)
    )
    for call in (waiting, reserved):
        enqueue_task(call, redis_connection)
        withdraw(call.job_id, call.queue, redis_connection)
    assert queued(redis_connection) == []
    assert redis_connection.keys("rq:job:*") == redis_connection.keys("rq:scheduled:*") == []
