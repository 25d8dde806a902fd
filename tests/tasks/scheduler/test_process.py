"""The loop, leadership, and rq-scheduler's interface."""

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
import pytest
from django.db import OperationalError
from django.utils import timezone
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY
from tasks.exceptions import UnknownTaskFunction
from tasks.models import ScheduledTask
from tasks.scheduler import Scheduler, process
from tasks.services import TaskService
from tests.tasks import functions
from tests.tasks.functions import ECHO, perform, queued
from tests.tasks.scheduler.due_schedules import POISONS, moment
from tests.tasks.schedules import MakeSchedule, ago

pytestmark = pytest.mark.django_db(transaction=True)


# Several schedulers


def test_a_frozen_leader_does_no_harm(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(5), settled_through=ago(6))
    now = timezone.now()
    due = scheduler.dispatcher.read_due("-inf", now.timestamp())
    steps, _ = scheduler.dispatcher.decide_steps(due, now)
    other: Scheduler = django_rq.get_scheduler("default")
    other.enqueue_jobs()
    after = moment(redis_connection, schedule)
    assert scheduler.dispatcher.take_steps(steps, now) == []
    assert (len(queued(redis_connection)), moment(redis_connection, schedule)) == (1, after)


@pytest.mark.usefixtures("loop")
def test_the_second_scheduler_stands_by(scheduler: Scheduler, put: MakeSchedule):
    put(first=ago(5), settled_through=ago(6))
    other: Scheduler = django_rq.get_scheduler("default")
    scheduler._lead_or_stand_by()
    other._lead_or_stand_by()
    assert (scheduler._leads, other._leads) == (True, False)


# Reserved calls and delayed retries


def test_a_reserved_call_is_moved_when_it_is_due(
    scheduler: Scheduler, redis_connection: Redis, django_capture_on_commit_callbacks: Any
):
    with django_capture_on_commit_callbacks(execute=True):
        task = TaskService.reserve_task(timedelta(hours=1), functions.echo)
    assert scheduler.enqueue_jobs() == []
    redis_connection.zadd("rq:scheduled:default", {task.job_id: time.time() - 1})
    assert scheduler.enqueue_jobs() == [task.job_id]
    assert scheduler.enqueue_jobs() == []
    assert queued(redis_connection) == [task.job_id]


# rq-scheduler's own interface


@pytest.fixture
def utc_now() -> datetime:
    """Return now as rq-scheduler wants it."""
    return datetime.now(UTC).replace(tzinfo=None)


def test_a_foreign_job_is_enqueued_when_it_is_due(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    job = scheduler.enqueue_at(utc_now, functions.echo, 1, a=2)
    scheduler.enqueue_in(timedelta(hours=1), functions.echo)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [job.id]
    assert perform(redis_connection, job.id).return_value() == [[1], {"a": 2}]
    assert scheduler.count() == 1


def test_a_foreign_interval_repeats_as_often_as_it_says(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    job = scheduler.schedule(utc_now, functions.echo, interval=60, repeat=2)
    scheduler.enqueue_jobs()
    assert job in scheduler
    scheduler.change_execution_time(job, utc_now)
    scheduler.enqueue_jobs()
    assert job not in scheduler
    assert queued(redis_connection) == [job.id] * 2


def test_foreign_cron_goes_on(scheduler: Scheduler, utc_now: datetime):
    job = scheduler.cron("0 0 1 1 *", functions.echo)
    scheduler.change_execution_time(job, utc_now)
    scheduler.enqueue_jobs()
    [(same, at)] = scheduler.get_jobs(with_times=True)
    assert (same.id, at.month, at.day, at.year) == (job.id, 1, 1, utc_now.year + 1)


@pytest.mark.parametrize("interval", [0, -5, 0.5])
def test_a_foreign_interval_below_a_second_runs_once(
    scheduler: Scheduler, utc_now: datetime, interval: float
):
    job = scheduler.schedule(utc_now, functions.echo, interval=1)
    job.meta["interval"] = interval
    job.save()
    scheduler.enqueue_jobs()
    assert job not in scheduler


def test_a_cancelled_foreign_job_is_not_enqueued(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    job = scheduler.enqueue_at(utc_now, functions.echo)
    scheduler.cancel(job)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == []


def test_a_foreign_job_of_an_unregistered_function_is_never_run(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    job = scheduler.enqueue_at(utc_now, "os.getpid")
    scheduler.enqueue_jobs()
    done = perform(redis_connection, job.id)
    assert done.get_status() == "failed"
    assert UnknownTaskFunction.__name__ in done.latest_result().exc_string


def test_ours_are_listed_among_the_scheduled_jobs(put: MakeSchedule, scheduler: Scheduler):
    schedule = put(first=ago(-60), interval=60)
    [(job, at)] = scheduler.get_jobs(with_times=True)
    assert (job.id, job.func_name, job.meta) == (schedule.job_id, ECHO, {"interval": 60})
    assert at.replace(tzinfo=UTC) == schedule.first


def test_looking_never_changes_anything(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    put(first=ago(5))
    for poison in POISONS.values():
        poison(redis_connection)
    before = redis_connection.zrange(SCHEDULES_KEY, 0, -1)
    assert len(list(scheduler.get_jobs())) == 1
    assert redis_connection.zrange(SCHEDULES_KEY, 0, -1) == before


# The loop


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the loop's naps short, and keep the signal handlers of this process as they are."""
    monkeypatch.setattr(process, "POLL_INTERVAL", 0.01)
    monkeypatch.setattr(process, "OUTAGE_POLL_INTERVAL", 0.01)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("loop")
def test_a_burst_dispatches_what_the_rows_say_and_returns(
    schedule: ScheduledTask, redis_connection: Redis, scheduler: Scheduler
):
    ScheduledTask.objects.update(settled_through=ago(60))
    scheduler.run(burst=True)
    assert len(queued(redis_connection)) == 1


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("error", [RedisConnectionError, OperationalError, KeyError])
def test_the_loop_goes_on_after_an_error(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    answers: list[type[Exception] | None] = [error, None]

    def round_of_dispatch() -> list[str]:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        scheduler._stopping.set()
        return []

    monkeypatch.setattr(scheduler, "_while_leading", lambda *args: None)
    monkeypatch.setattr(scheduler.dispatcher, "dispatch_punctual", round_of_dispatch)
    scheduler.run()
    assert answers == []


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("key", [SCHEDULES_KEY, DISPATCH_RECORDS_KEY])
def test_a_key_that_holds_something_else_is_named_and_dispatch_goes_on_without_it(
    scheduler: Scheduler,
    put: MakeSchedule,
    redis_connection: Redis,
    key: str,
    caplog: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    put(first=ago(1), interval=60, settled_through=ago(2))
    redis_connection.rename(key, "kept")
    redis_connection.set(key, "x")

    def mend(seconds: float) -> None:
        if redis_connection.exists("kept"):
            redis_connection.rename("kept", key)
        else:
            scheduler._stopping.set()

    monkeypatch.setattr(scheduler, "_while_leading", lambda *args: None)
    monkeypatch.setattr(scheduler._alarm, "sleep", mend)
    scheduler.run()
    assert f"Dispatch waits for Redis: The key {key} in Redis is a string, not a " in caplog.text
    assert len(queued(redis_connection)) == 1


@pytest.mark.usefixtures("loop")
def test_who_stops_lets_another_lead_at_once(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scheduler, "_while_leading", lambda *args: None)
    monkeypatch.setattr(scheduler.dispatcher, "dispatch_punctual", scheduler._stopping.set)
    scheduler.run()
    other: Scheduler = django_rq.get_scheduler("default")
    assert other._leadership.hold()
