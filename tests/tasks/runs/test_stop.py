"""A run that is to be stopped says so on its row, and whatever ends it, it ends as canceled."""

import json
from typing import Any

import pytest
from redis import Redis

from tasks.exceptions import NotPossible
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reasons import Code, reason
from tasks.runs import completion, spool
from tasks.runs.stop import stop_again
from tasks.services import SchedulerService
from tests.tasks.functions import queued
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)
WORKER = "somewhere.1"


@pytest.fixture
def run() -> ScheduledTaskInstance:
    return make_run(make_row(retries=3), status="running", worker_name=WORKER)


@pytest.fixture
def commands(redis_connection: Redis) -> Any:
    """Return what reads the next command that the run's worker gets, None if there is none."""
    pubsub = redis_connection.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(f"rq:pubsub:{WORKER}")
    pubsub.get_message()

    def read() -> str | None:
        message = pubsub.get_message()
        return None if message is None else json.loads(message["data"])["job_id"]

    return read


def test_a_run_that_is_stopped_says_by_whom_and_its_worker_gets_the_command(
    run: ScheduledTaskInstance, commands: Any
):
    SchedulerService.stop_run(run, "ops-lead")
    run.refresh_from_db()
    assert (run.status, run.reason_in_words()) == ("running", "Stopped by ops-lead.")
    assert commands() == run.run_job_id


def test_the_first_who_stops_a_run_is_named_and_the_command_is_sent_again(
    run: ScheduledTaskInstance, commands: Any, redis_connection: Redis
):
    SchedulerService.stop_run(run, "first")
    SchedulerService.stop_run(run, "second")
    stop_again(redis_connection)
    run.refresh_from_db()
    assert run.reason_in_words() == "Stopped by first."
    assert [commands() for _ in range(4)] == [run.run_job_id] * 3 + [None]


def test_a_run_that_nobody_stops_gets_no_command(
    run: ScheduledTaskInstance, commands: Any, redis_connection: Redis
):
    stop_again(redis_connection)
    assert commands() is None


@pytest.mark.parametrize("how", ["spooled by its worker", "lost with its worker", "failed"])
def test_however_a_stopped_run_ends_it_is_canceled_with_the_name_and_not_retried(
    run: ScheduledTaskInstance, redis_connection: Redis, how: str
):
    SchedulerService.stop_run(run, "ops-lead")
    if how == "spooled by its worker":
        ended = {"ended": ago(0), **reason(Code.STOPPED).fields}
        spool.push(redis_connection, run.run_job_id, "canceled", **ended)
        spool.drain(redis_connection)
    elif how == "failed":
        completion.close(run, "failed", redis_connection, reason="Failed for: x")
    else:
        lost = reason(Code.LOST_CONTACT, worker=WORKER)
        completion.close(run, "failed", redis_connection, **lost.fields)
    run.refresh_from_db()
    assert (run.status, run.reason_in_words()) == ("canceled", "Stopped by ops-lead.")
    assert queued(redis_connection) == []
    assert ScheduledTask.objects.get().status == "running"


def test_a_run_that_finishes_before_it_can_be_stopped_has_finished(
    run: ScheduledTaskInstance, redis_connection: Redis
):
    SchedulerService.stop_run(run, "ops-lead")
    completion.close(run, "finished", redis_connection, reason_code=None, reason_values=None)
    run.refresh_from_db()
    assert (run.status, run.reason_in_words()) == ("finished", "")


@pytest.mark.parametrize("status", ["finished", "failed", "canceled", "missed", "skipped"])
def test_a_run_that_is_not_running_cannot_be_stopped(status: str):
    ended = make_run(make_row(), status=status)
    with pytest.raises(NotPossible, match="isn't running"):
        SchedulerService.stop_run(ended, "ops-lead")
    ended.refresh_from_db()
    assert (ended.status, ended.reason_code) == (status, None)


def test_a_run_is_marked_to_be_stopped_while_redis_is_unavailable(
    run: ScheduledTaskInstance, redis_unavailable: Any
):
    redis_unavailable(True)
    SchedulerService.stop_run(run, "ops-lead")
    run.refresh_from_db()
    assert run.reason_in_words() == "Stopped by ops-lead."
