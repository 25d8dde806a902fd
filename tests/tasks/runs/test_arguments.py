"""A manual run with arguments of its own: they are for this run only, however often it is tried."""

from typing import Any

import pytest
from redis import Redis

from tasks.broker.leases import CERTAINTY
from tasks.exceptions import InvalidArguments
from tasks.models import ScheduledTask
from tasks.runs import lost
from tasks.runs.lost import Watch
from tasks.services import SchedulerService
from tests.tasks.functions import CALL, ECHO, LOG_IN, work_off
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_is_called_with_its_own_arguments_once(redis_connection: Redis):
    schedule = make_row(args=[1], kwargs={"a": 2})
    SchedulerService.run_now(schedule, [3], {"b": 4})
    work_off(redis_connection)
    SchedulerService.run_now(schedule)
    work_off(redis_connection)
    own, plain = schedule.runs.order_by("id")
    assert (own.result, plain.result) == ([[3], {"b": 4}], [[1], {"a": 2}])
    assert own.called_with == ([3], {"b": 4})
    assert plain.called_with == ([1], {"a": 2})
    schedule.refresh_from_db()
    assert (schedule.args, schedule.kwargs) == ([1], {"a": 2})


def test_no_arguments_are_arguments_too(redis_connection: Redis):
    schedule = make_row(args=[1])
    SchedulerService.run_now(schedule, [])
    work_off(redis_connection)
    assert schedule.runs.get().result == [[], {}]


def test_a_retry_has_the_same_arguments(redis_connection: Redis, behave: Any):
    calls: list[Any] = []

    def fail_first(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            raise ValueError

    behave(fail_first)
    schedule = make_row(function=CALL, args=[1], retries=1)
    SchedulerService.run_now(schedule, [2])
    while work_off(redis_connection):
        pass
    assert calls == [(2,), (2,)]


def test_they_survive_the_loss_of_redis(redis_connection: Redis, clock: Any):
    schedule = make_row(args=[1])
    SchedulerService.run_now(schedule, [2])
    redis_connection.flushall()
    ScheduledTask.objects.get().requests.update(requested=ago(60))
    watch = Watch()
    for _ in range(2):
        lost.enqueue_lost_jobs(redis_connection, watch)
        clock.now += CERTAINTY
    work_off(redis_connection)
    assert schedule.runs.get().result == [[2], {}]


def test_arguments_that_do_not_fit_are_refused():
    schedule = make_row(function=LOG_IN, args=["1234"])
    with pytest.raises(InvalidArguments):
        SchedulerService.run_now(schedule, [], {"unknown": 1})
    assert not schedule.requests.exists()


def test_their_secrets_are_hidden_in_what_the_run_leaves(redis_connection: Redis, behave: Any):
    def fail(pin: str, *rest: Any) -> None:
        raise ValueError(f"wrong: {pin}")

    behave(fail)
    schedule = make_row(function=LOG_IN, args=["1234-5678"])
    SchedulerService.run_now(schedule, ["8765-4321"])
    work_off(redis_connection)
    run = schedule.runs.get()
    assert run.status == "failed"
    assert "8765-4321" not in run.reason + run.log + run.traceback
    assert "8765-4321" in run.secret_values


def test_a_schedule_of_another_function_is_unaffected(redis_connection: Redis):
    one, other = make_row(function=ECHO, args=[1]), make_row(function=ECHO, args=[2])
    SchedulerService.run_now(one, [3])
    SchedulerService.run_now(other)
    work_off(redis_connection)
    assert other.runs.get().result == [[2], {}]
