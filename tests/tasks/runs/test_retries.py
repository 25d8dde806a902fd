"""Failed runs are tried again."""

import pytest
from redis import Redis

from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tests.tasks.functions import perform, queued
from tests.tasks.runs.attempts import Behave, Run, enqueue, failed_run, raising

pytestmark = pytest.mark.django_db


def test_a_failed_run_with_tries_left_is_enqueued_again(
    run: Run, schedule: ScheduledTask, redis_connection: Redis
):
    ScheduledTask.objects.update(retries=1)
    row = run(raising(ValueError()))
    assert queued(redis_connection) == [RunId(schedule.job_id, row.due, attempt=2).job_id]


def test_a_retry_waits_for_its_delay(run: Run, redis_connection: Redis):
    ScheduledTask.objects.update(retries=1, retry_delay=60)
    run(raising(ValueError()))
    assert queued(redis_connection) == []
    assert redis_connection.zcard("rq:scheduled:default") == 1


def test_the_next_attempt_of_a_run_reuses_its_row(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: "second")
    row = failed_run(schedule)
    perform(redis_connection, enqueue(redis_connection, schedule, row.run_id.next_attempt()))
    row.refresh_from_db()
    assert (row.status, row.attempt, row.result) == ("finished", 2, "second")
    assert row.exception_class == ""
    assert row.log.startswith("first try\n— attempt 2 —\n")


def test_no_attempt_follows_the_last(run: Run, redis_connection: Redis):
    run(raising(ValueError()))
    assert queued(redis_connection) == []
