"""Dispatch: each occurrence once, on time, whatever else is in Redis."""

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django_rq
import pytest
from django.db import DataError, OperationalError
from django.utils import timezone
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tasks import catchup, ledger, projection, rescue
from tasks import scheduler as module
from tasks.exceptions import UnknownTaskFunction
from tasks.job import Job, RunId, to_milliseconds
from tasks.models import ScheduledTask
from tasks.projection import SCHEDULES_KEY, TEXTS_KEY
from tasks.scheduler import Scheduler
from tasks.services import TaskService
from tests.tasks import functions
from tests.tasks.conftest import MakeSchedule, ago
from tests.tasks.functions import ECHO, perform, queued, work_off

pytestmark = pytest.mark.django_db(transaction=True)


def steps(task: ScheduledTask, *numbers: int) -> list[datetime]:
    """Return the due instants with these numbers, counted from the schedule's first."""
    first, step = task.first, timedelta(seconds=task.interval or 0)
    assert first is not None
    return [first + step * number for number in numbers]


def missed(task: ScheduledTask) -> list[datetime]:
    return sorted(task.runs.filter(status="missed").values_list("due", flat=True))


def dues(job_ids: list[str]) -> list[datetime | None]:
    return [run.due for run in map(RunId.parse, job_ids) if run is not None]


def moment(redis: Redis, task: ScheduledTask) -> float | None:
    return redis.zscore(SCHEDULES_KEY, task.job_id)


# Each occurrence once


def test_a_due_occurrence_is_dispatched_once(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(5), accounted_until=ago(6))
    assert dues(scheduler.enqueue_jobs()) == [task.first]
    assert scheduler.enqueue_jobs() == []
    assert len(queued(redis_connection)) == 1


def test_what_is_not_due_waits(put: MakeSchedule, scheduler: Scheduler):
    put(first=ago(-60))
    assert scheduler.enqueue_jobs() == []


def test_a_dispatched_occurrence_runs(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(5), accounted_until=ago(6), args=[1], kwargs={"a": 2})
    scheduler.enqueue_jobs()
    work_off(redis_connection)
    run = task.runs.get()
    assert (run.status, run.due, run.result) == ("finished", task.first, [[1], {"a": 2}])


def test_killed_after_dispatch_and_repeated_it_runs_once(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(5), accounted_until=ago(6))
    [job_id] = scheduler.enqueue_jobs()
    for _ in range(2):
        perform(redis_connection, job_id)
        redis_connection.delete(Job.key_for(job_id))
        redis_connection.zadd(SCHEDULES_KEY, {task.job_id: projection.to_score(task.first)})
        scheduler.enqueue_jobs()
    assert task.runs.count() == 1


def test_an_interval_keeps_its_anchor(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(95), interval=30, accounted_until=ago(95))
    scheduler.enqueue_jobs()
    assert moment(redis_connection, task) == projection.to_score(task.first) + 120


def test_cron_goes_on_at_its_next_moment(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(cron="* * * * *", accounted_until=ago(61))
    scheduler.enqueue_jobs()
    due = task.next_due(timezone.now())
    assert due is not None
    assert moment(redis_connection, task) == projection.to_score(due)


@pytest.mark.parametrize("values", [{"interval": None}, {"repeat": 1}, {}], ids=str)
def test_an_exhausted_schedule_leaves_the_set(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis, values: dict[str, Any]
):
    values = values or {"end": ago(4)}
    task = put(first=ago(5), accounted_until=ago(6), **values)
    assert len(scheduler.enqueue_jobs()) == 1
    assert moment(redis_connection, task) is None


def test_a_moment_that_is_not_of_the_spec_makes_no_occurrence(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(1800), accounted_until=ago(1700))
    scheduler.change_execution_time(
        Job.fetch(task.job_id, connection=redis_connection), datetime.now(UTC).replace(tzinfo=None)
    )
    assert scheduler.enqueue_jobs() == []
    assert moment(redis_connection, task) == projection.to_score(task.first) + 3600


def test_a_first_time_with_microseconds_makes_no_second_identity(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    first = ago(350) + timedelta(microseconds=456)
    task = put(first=first, interval=100, accounted_until=ago(351))
    scheduler.enqueue_jobs()
    work_off(redis_connection)
    ledger.balance(redis_connection, rescue.Watch())
    task.refresh_from_db()
    assert task.runs.count() == 4
    assert task.accounted_until == first.replace(microsecond=first.microsecond - 456) + (
        timedelta(seconds=300)
    )


def test_many_schedules_are_dispatched_in_chunks(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "FIRST_CHUNK", 1)
    monkeypatch.setattr(module, "CHUNK", 2)
    for _ in range(5):
        put(first=ago(5), accounted_until=ago(6))
    assert len(scheduler.enqueue_jobs()) == 5


# Catch-up


@pytest.mark.parametrize(
    ("policy", "ran"), [("latest", [3]), ("all", [0, 1, 2, 3]), ("none", [])], ids=str
)
def test_misfires_run_or_are_missed_by_the_policy(
    put: MakeSchedule, scheduler: Scheduler, policy: str, ran: list[int]
):
    task = put(first=ago(350), interval=100, accounted_until=ago(351), catch_up=policy)
    assert dues(scheduler.enqueue_jobs()) == steps(task, *ran)
    assert missed(task) == steps(task, *sorted({0, 1, 2, 3} - set(ran)))


def test_past_the_start_deadline_it_is_missed_with_its_reason(
    put: MakeSchedule, scheduler: Scheduler
):
    task = put(first=ago(50), accounted_until=ago(51), start_deadline=20)
    assert scheduler.enqueue_jobs() == []
    assert task.runs.get().reason == "It could not start within its start deadline of 20 s."


def test_what_has_run_is_not_recorded_as_missed(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(350), interval=100, accounted_until=ago(351), catch_up="all")
    scheduler.enqueue_jobs()
    ScheduledTask.objects.update(catch_up="none")
    redis_connection.zrem(SCHEDULES_KEY, task.job_id)
    ledger.reconcile(redis_connection)
    assert scheduler.enqueue_jobs() == []
    work_off(redis_connection)
    assert task.runs.filter(status="finished").count() == 4


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_a_long_outage_is_caught_up_as_one(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, policy: str
):
    monkeypatch.setattr(module, "PENDING_AT_ONCE", 50)
    monkeypatch.setattr(catchup, "CATCH_UP_CAP", 10)
    task = put(first=ago(12_050), interval=100, accounted_until=ago(12_051), catch_up=policy)
    ran = dues(scheduler.enqueue_jobs())
    assert ran == steps(task, *range(121 - (1 if policy == "latest" else 10), 121))
    assert len(missed(task)) == 121 - len(ran)


# Bad schedules hurt only themselves


def zadd(redis: Redis, member: bytes | str, seconds_ago: float = 5) -> None:
    redis.zadd(SCHEDULES_KEY, {member: timezone.now().timestamp() - seconds_ago})


def template_with(redis: Redis, name: str, field: bytes) -> None:
    redis.hset(f"rq:job:{name}", mapping={"origin": "default"})
    redis.hset(TEXTS_KEY, name, b"v" * 32 + b" " + field)
    zadd(redis, name)


def key_of_wrong_type(redis: Redis) -> None:
    redis.set("rq:job:bad", "x")
    zadd(redis, "bad")


def pickled_job(redis: Redis) -> None:
    redis.hset("rq:job:crafted", mapping={"data": b"\x80\x04.", "created_at": ""})
    zadd(redis, "crafted")


def policies(**values: Any) -> bytes:
    defaults = {"first": None, "start": None, "end": None, "catch_up": "all", "start_deadline": 5}
    return json.dumps(defaults | values).encode()


POISONS: dict[str, Callable[[Redis], None]] = {
    "undecodable field": lambda redis: template_with(redis, "schedule-bad", b"\xff{"),
    "field that is no object": lambda redis: template_with(redis, "schedule-bad", b"[1]"),
    "impossible spec": lambda redis: template_with(redis, "schedule-bad", policies(cron="x")),
    "unknown key": lambda redis: template_with(redis, "schedule-bad", policies(**{"\ud800": 1})),
    "wrong type": lambda redis: key_of_wrong_type(redis),
    "no job": lambda redis: zadd(redis, "gone"),
    "undecodable member": lambda redis: zadd(redis, b"\xff\xfe"),
    "undecodable member like ours": lambda redis: zadd(redis, b"schedule-\xff", -1_000_000),
    "member that is no id": lambda redis: zadd(redis, "with space\n"),
    "endless past": lambda redis: zadd(redis, "minus", float("inf")),
    "undecodable job": lambda redis: pickled_job(redis),
}


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS.keys())
def test_a_bad_schedule_stops_no_other(
    put: MakeSchedule,
    scheduler: Scheduler,
    redis_connection: Redis,
    poison: Callable[[Redis], None],
):
    poison(redis_connection)
    task = put(first=ago(4), accounted_until=ago(5))
    assert dues(scheduler.enqueue_jobs()) == [task.first]
    ledger.reconcile(redis_connection)
    assert redis_connection.exists(projection.MARKER_KEY)
    assert scheduler.enqueue_jobs() == []


def test_the_reason_is_noted_and_it_comes_back_when_mended(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(5), accounted_until=ago(6))
    redis_connection.hset(TEXTS_KEY, task.job_id, b"v" * 32 + b" {")
    assert scheduler.enqueue_jobs() == []
    task.refresh_from_db()
    assert task.problem.startswith("It could not be dispatched: JSONDecodeError")
    ledger.reconcile(redis_connection)
    assert len(scheduler.enqueue_jobs()) == 1
    task.refresh_from_db()
    assert task.problem == ""


def test_a_schedule_that_needs_the_database_waits_for_it(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    def away(*args: Any) -> None:
        raise OperationalError

    late = put(first=ago(50), accounted_until=ago(51), catch_up="none", name="late")
    punctual = put(first=ago(4), accounted_until=ago(5))
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "record_not_run", away)
        assert dues(scheduler.enqueue_jobs()) == [punctual.first]
    scheduler.enqueue_jobs()
    assert missed(late) == [late.first]


def test_what_is_on_time_is_dispatched_without_the_database(
    put: MakeSchedule, scheduler: Scheduler, django_assert_num_queries: Any
):
    punctual = put(first=ago(4), accounted_until=ago(5))
    put(first=ago(50), accounted_until=ago(51), catch_up="none")
    put(first=ago(4), accounted_until=ago(5), start_deadline=1)
    with django_assert_num_queries(0):
        assert dues(scheduler._dispatch_punctual()) == [punctual.first]


def test_what_is_on_time_does_not_wait_for_a_database_that_hangs(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(*args: Any) -> None:
        hangs.set()
        goes_on.wait(30)

    monkeypatch.setattr(ledger, "record_not_run", hang)
    put(first=ago(50), accounted_until=ago(51), catch_up="none")
    punctual = put(first=ago(4), accounted_until=ago(5))
    late = threading.Thread(target=scheduler._make_up)
    late.start()
    try:
        assert hangs.wait(30)
        assert dues(scheduler._dispatch_punctual()) == [punctual.first]
    finally:
        goes_on.set()
        late.join()


def test_what_is_late_by_its_start_deadline_does_not_wait_to_be_older(
    put: MakeSchedule, scheduler: Scheduler
):
    task = put(first=ago(4), accounted_until=ago(5), start_deadline=1)
    scheduler._dispatch_punctual()
    scheduler._make_up()
    assert missed(task) == [task.first]


def test_one_row_that_cannot_be_written_stops_no_other(
    put: MakeSchedule, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
):
    bad, good = (put(first=ago(50), accounted_until=ago(51), catch_up="none") for _ in range(2))
    original = ledger.record_not_run

    def refuse_one(plans: Any, redis: Redis) -> None:
        if bad.job_id in plans:
            raise DataError
        original(plans, redis)

    monkeypatch.setattr(ledger, "record_not_run", refuse_one)
    scheduler.enqueue_jobs()
    assert missed(good) == [good.first]
    assert missed(bad) == []


@pytest.mark.parametrize("lost", ["template", "text"])
def test_what_redis_has_lost_in_part_is_brought_back_at_once(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis, lost: str
):
    task, other = (put(first=ago(5), accounted_until=ago(6)) for _ in range(2))
    housekeeper = ledger.Reconciler(redis_connection)
    housekeeper.tick()
    if lost == "template":
        redis_connection.delete(Job.key_for(task.job_id))
    else:
        redis_connection.hdel(TEXTS_KEY, task.job_id)
    assert dues(scheduler.enqueue_jobs()) == [other.first]
    housekeeper.tick()
    assert dues(scheduler.enqueue_jobs()) == [task.first]


def test_a_queue_that_cannot_be_used_is_said_on_the_row(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(5), accounted_until=ago(6), queue="low")
    other = put(first=ago(5), accounted_until=ago(6))
    redis_connection.set("rq:queue:low", "x")
    assert dues(scheduler.enqueue_jobs()) == [other.first]
    task.refresh_from_db()
    assert task.problem == "It could not be dispatched: Its queue in Redis can't be used."


@pytest.mark.parametrize("late", [0, 30, 250], ids=str)
@pytest.mark.parametrize("limit", [None, 4])
def test_a_plain_interval_is_planned_as_any_other(
    schedule: ScheduledTask, late: int, limit: int | None
):
    """The end is far away: it only keeps the interval from being plain."""
    schedule.first, schedule.interval, schedule.start_deadline = ago(1000 + late), 100, limit
    plain = projection.dispatch_text(schedule).encode()
    schedule.end = ago(-1e9)
    other = projection.dispatch_text(schedule).encode()
    now = to_milliseconds(ago(0))
    score = projection.to_score(schedule.first)
    plans = [module.plan(schedule.job_id, score, text, now) for text in (plain, other)]
    for one in plans:
        (one.step if isinstance(one, module.LateStep) else one)[2] = "version"
    assert projection.read_text(plain).grid is not None
    assert projection.read_text(other).grid is None
    assert plans[0] == plans[1]


# Several schedulers


def test_a_frozen_leader_does_no_harm(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis
):
    task = put(first=ago(5), accounted_until=ago(6))
    now = timezone.now()
    plan, _ = scheduler._plan(scheduler._read("-inf", now.timestamp()), now)
    other: Scheduler = django_rq.get_scheduler("default")
    other.enqueue_jobs()
    after = moment(redis_connection, task)
    assert scheduler._execute(plan, now) == []
    assert (len(queued(redis_connection)), moment(redis_connection, task)) == (1, after)


@pytest.mark.usefixtures("loop")
def test_the_second_scheduler_stands_by(scheduler: Scheduler, put: MakeSchedule):
    put(first=ago(5), accounted_until=ago(6))
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
    task = put(first=ago(-60), interval=60)
    [(job, at)] = scheduler.get_jobs(with_times=True)
    assert (job.id, job.func_name, job.meta) == (task.job_id, ECHO, {"interval": 60})
    assert at.replace(tzinfo=UTC) == task.first


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
    monkeypatch.setattr(module, "NAP", 0.01)
    monkeypatch.setattr(module, "OUTAGE_NAP", 0.01)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("loop")
def test_a_burst_dispatches_what_the_rows_say_and_returns(
    schedule: ScheduledTask, redis_connection: Redis, scheduler: Scheduler
):
    ScheduledTask.objects.update(accounted_until=ago(60))
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
    monkeypatch.setattr(scheduler, "_dispatch_punctual", round_of_dispatch)
    scheduler.run()
    assert answers == []


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize("key", [projection.SCHEDULES_KEY, projection.TEXTS_KEY])
def test_a_key_that_holds_something_else_is_named_and_dispatch_goes_on_without_it(
    scheduler: Scheduler,
    put: MakeSchedule,
    redis_connection: Redis,
    key: str,
    caplog: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    put(first=ago(1), interval=60, accounted_until=ago(2))
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
    monkeypatch.setattr(scheduler, "_dispatch_punctual", scheduler._stopping.set)
    scheduler.run()
    other: Scheduler = django_rq.get_scheduler("default")
    assert other._leadership.hold()
