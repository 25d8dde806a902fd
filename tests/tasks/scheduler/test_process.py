"""The loop, leadership, and rq-scheduler's interface."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
import pytest
from django.conf import LazySettings
from django.db import OperationalError
from django.utils import timezone
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tasks import clock
from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY
from tasks.exceptions import NotPossible, UnknownTaskFunction
from tasks.models import ScheduledTask
from tasks.scheduler import Scheduler, external_jobs, process
from tasks.services import TaskService
from tests.tasks import functions
from tests.tasks.functions import ECHO, perform, queued
from tests.tasks.scheduler.bad_members import BAD_MEMBERS
from tests.tasks.scheduler.dispatch_script import planned, score, take
from tests.tasks.schedules import MakeSchedule, ago

pytestmark = pytest.mark.django_db(transaction=True)


# Several schedulers


def test_a_leader_that_was_frozen_dispatches_nothing_twice(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    schedule = put(first=ago(5), settled_through=ago(6))
    steps, now = planned(scheduler.dispatcher)
    other: Scheduler = django_rq.get_scheduler("default")
    other.enqueue_jobs()
    after = score(redis_connection, schedule)
    assert take(scheduler.dispatcher, steps, now) == []
    assert (len(queued(redis_connection)), score(redis_connection, schedule)) == (1, after)


@pytest.mark.usefixtures("loop")
def test_the_second_of_two_schedulers_stands_by(scheduler: Scheduler, put: MakeSchedule):
    put(first=ago(5), settled_through=ago(6))
    other: Scheduler = django_rq.get_scheduler("default")
    scheduler.lead_or_stand_by()
    other.lead_or_stand_by()
    assert (scheduler.leads, other.leads) == (True, False)


@pytest.mark.usefixtures("loop")
def test_when_something_comes_due_nothing_is_left_to_do_but_its_dispatch(
    scheduler: Scheduler, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    start = timezone.now()
    put(first=start + timedelta(seconds=10.1))
    time_is, happened = [start], []

    def sleep(seconds: float) -> None:
        time_is[0] += timedelta(seconds=max(seconds, 0.001))

    def noting(what: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            found = method(*args)
            happened.append(f"{what} {len(found)}" if found else what)
            return found

        return noted

    monkeypatch.setattr(clock, "now", lambda: time_is[0])
    monkeypatch.setattr(clock, "timestamp", lambda: time_is[0].timestamp())
    monkeypatch.setattr(time, "monotonic", lambda: time_is[0].timestamp())
    monkeypatch.setattr(scheduler.alarm, "sleep", sleep)
    dispatch = scheduler.dispatcher.dispatch_punctual
    monkeypatch.setattr(scheduler, "_look_after", noting("look after", scheduler._look_after))
    monkeypatch.setattr(scheduler.dispatcher, "dispatch_punctual", noting("dispatch", dispatch))
    prepare = scheduler.dispatcher.prepare
    monkeypatch.setattr(scheduler.dispatcher, "prepare", noting("prepare", prepare))
    while "dispatch 1" not in happened:
        scheduler.lead_or_stand_by()
    assert happened[-4:] == ["dispatch", "look after", "prepare", "dispatch 1"]


# Redis's clock


@pytest.mark.usefixtures("loop")
def test_after_redis_clock_was_set_dispatch_waits_until_it_is_steady(
    scheduler: Scheduler,
    put: MakeSchedule,
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    put(first=ago(1), settled_through=ago(2))
    steady = [process.STEADY_SECONDS - 0.1]
    monkeypatch.setattr(clock, "steady_for", lambda: steady[0])
    scheduler.lead_or_stand_by()
    scheduler._catch_up()
    assert queued(redis_connection) == []
    steady[0] = process.STEADY_SECONDS
    scheduler.lead_or_stand_by()
    assert len(queued(redis_connection)) == 1


# Reserved calls and delayed retries


def test_a_reserved_call_is_enqueued_when_it_is_due(
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


def test_an_external_job_is_enqueued_when_it_is_due(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    job = scheduler.enqueue_at(utc_now, functions.echo, 1, a=2)
    scheduler.enqueue_in(timedelta(hours=1), functions.echo)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [job.id]
    assert perform(redis_connection, job.id).return_value() == [[1], {"a": 2}]
    assert scheduler.count() == 1


def test_an_external_interval_runs_as_often_as_its_repeats_say(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    job = scheduler.schedule(utc_now, functions.echo, interval=60, repeat=2)
    scheduler.enqueue_jobs()
    assert job in scheduler
    scheduler.change_execution_time(job, utc_now)
    scheduler.enqueue_jobs()
    assert job not in scheduler
    assert queued(redis_connection) == [job.id] * 2


def test_an_external_cron_job_moves_to_its_next_due(scheduler: Scheduler, utc_now: datetime):
    job = scheduler.cron("0 0 1 1 *", functions.echo)
    scheduler.change_execution_time(job, utc_now)
    scheduler.enqueue_jobs()
    [(same, at)] = scheduler.get_jobs(with_times=True)
    assert (same.id, at.month, at.day, at.year) == (job.id, 1, 1, utc_now.year + 1)


@pytest.mark.parametrize("interval", [0, -5, 0.5])
def test_an_external_interval_below_a_second_runs_once(
    scheduler: Scheduler, utc_now: datetime, interval: float
):
    job = scheduler.schedule(utc_now, functions.echo, interval=1)
    job.meta["interval"] = interval
    job.save()
    scheduler.enqueue_jobs()
    assert job not in scheduler


def test_a_cancelled_external_job_is_not_enqueued(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    job = scheduler.enqueue_at(utc_now, functions.echo)
    scheduler.cancel(job)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == []


def test_an_external_job_of_an_unregistered_function_is_never_run(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    with pytest.raises(UnknownTaskFunction):
        scheduler.enqueue_at(utc_now, "os.getpid")
    job = scheduler.enqueue_at(utc_now, functions.echo)
    job.func_name = "os.getpid"
    job.save()
    scheduler.enqueue_jobs()
    done = perform(redis_connection, job.id)
    assert done.get_status() == "failed"
    assert UnknownTaskFunction.__name__ in done.latest_result().exc_string


def test_a_class_that_the_meta_of_an_external_job_names_is_never_imported(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    sys.modules.pop("this", None)
    job = scheduler.enqueue_at(utc_now, functions.echo, meta={"queue_class_name": "this.s"})
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [job.id]
    assert "this" not in sys.modules


def test_an_external_job_for_a_queue_of_others_is_refused_and_set_aside(
    scheduler: Scheduler, redis_connection: Redis, settings: LazySettings, utc_now: datetime
):
    settings.RQ_QUEUES = settings.RQ_QUEUES | {"pickled": {"URL": settings.REDIS_URL}}
    with pytest.raises(NotPossible, match="“pickled” are not JSON"):
        scheduler.enqueue_at(utc_now, functions.echo, queue_name="pickled")
    job = scheduler.enqueue_at(utc_now, functions.echo)
    redis_connection.hset(job.key, "origin", "pickled")
    scheduler.enqueue_jobs()
    [kept] = external_jobs.quarantined(redis_connection)
    assert "“pickled” are not JSON" in kept.reason
    assert redis_connection.llen("rq:queue:pickled") == 0


def test_jobs_that_rq_has_scheduled_on_a_queue_of_others_are_left_alone(
    scheduler: Scheduler, redis_connection: Redis, settings: LazySettings
):
    settings.RQ_QUEUES = settings.RQ_QUEUES | {"pickled": {"URL": settings.REDIS_URL}}
    for queue in ("pickled", "low"):
        django_rq.get_queue(queue).enqueue_in(timedelta(seconds=-1), functions.echo)
    scheduler.enqueue_jobs()
    assert [redis_connection.llen(f"rq:queue:{queue}") for queue in ("pickled", "low")] == [0, 1]
    assert redis_connection.zcard("rq:scheduled:pickled") == 1


def test_schedules_are_listed_among_rq_schedulers_jobs(put: MakeSchedule, scheduler: Scheduler):
    schedule = put(first=ago(-60), interval=60)
    [(job, at)] = scheduler.get_jobs(with_times=True)
    assert (job.id, job.func_name, job.meta) == (schedule.job_id, ECHO, {"interval": 60})
    assert at.replace(tzinfo=UTC) == schedule.first


def test_listing_scheduled_jobs_never_changes_anything(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    put(first=ago(5))
    for add_bad_member in BAD_MEMBERS.values():
        add_bad_member(redis_connection)
    before = redis_connection.zrange(SCHEDULES_KEY, 0, -1)
    assert len(list(scheduler.get_jobs())) == 1
    assert redis_connection.zrange(SCHEDULES_KEY, 0, -1) == before


# The loop


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the loop poll often and run alone, and restore this process's signal handlers."""
    monkeypatch.setattr(process, "POLL_INTERVAL", 0.01)
    monkeypatch.setattr(process, "OUTAGE_POLL_INTERVAL", 0.01)
    # Private: the threads beside the loop, which would go on while the next test runs.
    monkeypatch.setattr(Scheduler, "_while_leading", lambda *args: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("loop")
def test_a_burst_dispatches_what_is_due_by_the_rows_and_returns(
    schedule: ScheduledTask, redis_connection: Redis, scheduler: Scheduler
):
    ScheduledTask.objects.update(settled_through=ago(60))
    scheduler.run(burst=True)
    assert len(queued(redis_connection)) == 1


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("error", [RedisConnectionError, OperationalError, KeyError])
def test_the_loop_of_the_scheduler_survives_an_error(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    answers: list[type[Exception] | None] = [error, None]

    def round_of_dispatch() -> list[str]:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        scheduler.stop()
        return []

    monkeypatch.setattr(scheduler.dispatcher, "dispatch_punctual", round_of_dispatch)
    scheduler.run()
    assert answers == []


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("key", [SCHEDULES_KEY, DISPATCH_RECORDS_KEY])
def test_a_key_of_the_wrong_type_is_named_and_dispatch_resumes_when_it_is_removed(
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
            scheduler.stop()

    monkeypatch.setattr(scheduler.alarm, "sleep", mend)
    scheduler.run()
    assert f"Redis is unavailable: The key {key} in Redis is a string, not a " in caplog.text
    assert len(queued(redis_connection)) == 1


@pytest.mark.usefixtures("loop")
def test_a_scheduler_that_stops_lets_another_lead_at_once(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scheduler.dispatcher, "dispatch_punctual", scheduler.stop)
    scheduler.run()
    other: Scheduler = django_rq.get_scheduler("default")
    assert other.acquire_lock()
