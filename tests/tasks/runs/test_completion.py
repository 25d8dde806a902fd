"""A run is ended once, and its schedule follows."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis import Redis

from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.runs import completion
from tests.tasks.functions import queued
from tests.tasks.schedules import ago, make_row


@pytest.fixture
def run(db: None) -> ScheduledTaskInstance:
    row = make_row(retries=1)
    return row.runs.create(name="x", due=ago(5), started=ago(4))


def test_a_run_is_closed_once(run: ScheduledTaskInstance, redis_connection: Redis):
    assert completion.close(run, "finished", redis_connection, result=1)
    assert not completion.close(run, "failed", redis_connection, reason="late")
    run.refresh_from_db()
    assert (run.status, run.result, run.reason) == ("finished", 1, "")


def test_a_closed_attempt_is_not_closed_by_an_earlier_one(
    run: ScheduledTaskInstance, redis_connection: Redis
):
    ScheduledTaskInstance.objects.update(attempt=2)
    assert not completion.close(run, "failed", redis_connection)
    assert queued(redis_connection) == []


@pytest.mark.parametrize(
    ("before", "end", "after"),
    [
        ("running", "failed", "failed"),
        ("failed", "finished", "running"),
        ("failed", "canceled", "failed"),
        ("death", "finished", "death"),
    ],
)
def test_a_schedule_is_failing_after_a_failed_run_and_active_after_a_success(
    run: ScheduledTaskInstance, redis_connection: Redis, before: str, end: str, after: str
):
    ScheduledTask.objects.update(status=before)
    completion.close(run, end, redis_connection)
    assert ScheduledTask.objects.get().status == after


@pytest.mark.parametrize(("status", "retried"), [("failed", 1), ("death", 0)])
def test_only_a_live_schedule_has_its_runs_tried_again(
    run: ScheduledTaskInstance, redis_connection: Redis, status: str, retried: int
):
    run.parent.status = status
    completion.close(run, "failed", redis_connection)
    assert len(queued(redis_connection)) == retried


def test_a_retry_that_cannot_be_enqueued_does_not_undo_the_end(
    run: ScheduledTaskInstance, redis_connection: Redis, redis_unavailable: Any
):
    redis_unavailable(True)
    assert completion.close(run, "failed", redis_connection)


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets only one write")
def test_a_stop_at_the_moment_of_a_failure_waits_for_the_row(redis_connection: Redis):
    run = make_row().runs.create(
        name="x", due=ago(5), status="running", started=ago(4), worker_name="w"
    )
    with CaptureQueriesContext(connection) as queries:
        completion.close(run, "failed", redis_connection, reason="x")
    sql = [query["sql"] for query in queries]
    locked = next(number for number, text in enumerate(sql) if " FOR UPDATE" in text)
    written = next(number for number, text in enumerate(sql) if text.startswith("UPDATE"))
    assert locked < written
