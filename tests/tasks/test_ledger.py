"""The books: Redis as the rows say, a row for every due instant, no run that never ends."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis import Redis

from tasks import ledger, projection, registry, rescue, spool
from tasks.job import Job, RunId
from tasks.models import ScheduledTask
from tasks.projection import SCHEDULES_KEY
from tasks.scheduler import Scheduler
from tasks.services import SchedulerService
from tests.tasks.conftest import MakeSchedule, ago, make_row
from tests.tasks.functions import ECHO, queued, work_off

pytestmark = pytest.mark.django_db(transaction=True)


def steps(task: ScheduledTask, *numbers: int) -> list[datetime]:
    """Return the due instants with these numbers, counted from the schedule's first."""
    first, step = task.first, timedelta(seconds=task.interval or 0)
    assert first is not None
    return [first + step * number for number in numbers]


def rows(task: ScheduledTask) -> dict[datetime | None, str]:
    return dict(task.runs.order_by("due").values_list("due", "status"))


def settle_lost(redis: Redis, clock: SimpleNamespace) -> None:
    """Balance the books until it is certain what is lost."""
    watch = rescue.Watch()
    for _ in range(2):
        look_now()
        ledger.balance(redis, watch)
        clock.now += rescue.CERTAINTY


def look_now() -> None:
    """Have the books of all schedules looked at."""
    ScheduledTask.objects.update(look_at=ago(1))


def in_redis(redis: Redis) -> set[str]:
    return {member.decode() for member in redis.zrange(SCHEDULES_KEY, 0, -1)}


# Redis as the rows say


def test_all_live_schedules_are_back_after_a_flush(redis_connection: Redis, put: MakeSchedule):
    tasks = [put(), put(cron="@daily"), put(status="failed")]
    redis_connection.flushall()
    ledger.reconcile(redis_connection)
    assert in_redis(redis_connection) == {task.job_id for task in tasks}


def test_paused_and_dead_schedules_are_taken_out(redis_connection: Redis, put: MakeSchedule):
    put(status="death")
    put(status="paused", paused_at=ago(1))
    ledger.reconcile(redis_connection)
    assert redis_connection.keys("rq:*") == []


def test_strays_are_removed_and_foreign_jobs_are_not(
    redis_connection: Redis, put: MakeSchedule, scheduler: Scheduler
):
    task = put()
    foreign = scheduler.enqueue_in(timedelta(hours=1), ECHO)
    ScheduledTask.objects.filter(pk=task.pk)._raw_delete("default")
    ledger.reconcile(redis_connection)
    assert in_redis(redis_connection) == {foreign.id}
    assert not redis_connection.exists(Job.key_for(task.job_id))


@pytest.mark.parametrize(
    "values", [{"interval": 60}, {"args": [1]}, {"timeout": 9}, {"queue": "low"}], ids=str
)
def test_what_was_written_past_the_services_takes_effect(
    redis_connection: Redis, put: MakeSchedule, values: dict[str, Any]
):
    task = put()
    before = redis_connection.hgetall(Job.key_for(task.job_id))
    ScheduledTask.objects.update(**values)
    ledger.reconcile(redis_connection)
    assert redis_connection.hgetall(Job.key_for(task.job_id)) != before


def test_what_is_right_already_is_not_touched(redis_connection: Redis, put: MakeSchedule):
    task = put()
    redis_connection.hset(Job.key_for(task.job_id), "mark", "untouched")
    ledger.reconcile(redis_connection)
    assert redis_connection.hget(Job.key_for(task.job_id), "mark") == b"untouched"


BROKEN: list[dict[str, Any]] = [
    {"function": "gone"},
    {"type": "cron", "cron": "nonsense", "first": None, "interval": None},
    {"type": "cron", "cron": "@daily", "timezone": "Mars", "first": None, "interval": None},
    {"queue": "gone"},
]


@pytest.mark.parametrize("values", BROKEN, ids=str)
def test_a_row_that_cannot_be_scheduled_says_why_and_stops_no_other(
    redis_connection: Redis, put: MakeSchedule, values: dict[str, Any]
):
    broken, good = put(), put()
    ScheduledTask.objects.filter(pk=broken.pk).update(**values)
    redis_connection.flushall()
    ledger.reconcile(redis_connection)
    broken.refresh_from_db()
    assert broken.problem != ""
    assert in_redis(redis_connection) == {good.job_id}
    assert redis_connection.exists(projection.MARKER_KEY)


def test_its_problem_is_cleared_when_it_is_mended(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    task = make_row()
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_functions", {})
        ledger.reconcile(redis_connection)
    ledger.reconcile(redis_connection)
    task.refresh_from_db()
    assert (task.problem, in_redis(redis_connection)) == ("", {task.job_id})


def test_a_template_of_the_wrong_type_is_mended_and_stops_no_other(
    redis_connection: Redis, put: MakeSchedule
):
    broken, good = put(), put()
    redis_connection.flushall()
    redis_connection.set(Job.key_for(broken.job_id), "x")
    ledger.reconcile(redis_connection)
    assert in_redis(redis_connection) == {broken.job_id, good.job_id}


def test_a_change_while_it_is_projected_is_not_overwritten(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    task = put()
    original = projection.put_images

    def pause_meanwhile(images: list[projection.Image], redis: Redis) -> None:
        if images:
            ScheduledTask.objects.update(status="paused", paused_at=ago(0), updated=timezone.now())
        original(images, redis)

    monkeypatch.setattr(projection, "put_images", pause_meanwhile)
    ledger.project(task, redis_connection)
    assert in_redis(redis_connection) == set()


def test_a_schedule_deleted_while_it_is_projected_stays_out(
    redis_connection: Redis, schedule: ScheduledTask
):
    copy = ScheduledTask.objects.get()
    schedule.delete()
    ledger.project(copy, redis_connection)
    assert redis_connection.keys("rq:*") == []


# Nothing owed is lost


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("latest", ["finished", "missed", "missed", "finished"]),
        ("all", ["finished", "finished", "finished", "finished"]),
        ("none", ["finished", "missed", "missed", "missed"]),
    ],
)
def test_after_a_flush_lost_occurrences_run_or_are_missed(
    redis_connection: Redis,
    put: MakeSchedule,
    scheduler: Scheduler,
    policy: str,
    expected: list[str],
):
    task = put(first=ago(350), interval=100, accounted_until=ago(351), catch_up=policy)
    task.runs.create(name="x", due=task.first, status="finished", started=ago(350), ended=ago(349))
    redis_connection.flushall()
    ledger.reconcile(redis_connection)
    scheduler.enqueue_jobs()
    work_off(redis_connection)
    assert rows(task) == dict(zip(steps(task, 0, 1, 2, 3), expected, strict=True))


@pytest.mark.parametrize(
    ("policy", "expected"), [("latest", ["missed", "finished"]), ("none", ["missed", "missed"])]
)
def test_a_lost_occurrence_is_run_or_recorded_as_missed(
    redis_connection: Redis,
    put: MakeSchedule,
    clock: SimpleNamespace,
    policy: str,
    expected: list[str],
):
    task = put(first=ago(150), interval=100, accounted_until=ago(151), catch_up=policy)
    redis_connection.zadd(SCHEDULES_KEY, {task.job_id: ago(-50).timestamp()})
    settle_lost(redis_connection, clock)
    work_off(redis_connection)
    assert rows(task) == dict(zip(steps(task, 0, 1), expected, strict=True))


def test_a_lost_occurrence_is_not_filled_before_it_is_certain(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace
):
    put(first=ago(150), accounted_until=ago(151))
    watch = rescue.Watch()
    ledger.balance(redis_connection, watch)
    clock.now += rescue.CERTAINTY - 1
    look_now()
    ledger.balance(redis_connection, watch)
    assert queued(redis_connection) == []


@pytest.mark.parametrize("where", ["queue", "later", "lease"])
def test_what_is_in_flight_is_not_lost(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace, where: str
):
    task = put(first=ago(150), accounted_until=ago(151))
    run_id = RunId(task.job_id, task.first)
    if where == "lease":
        rescue.renew_lease(redis_connection, run_id.job_id, "worker")
    else:
        at = None if where == "queue" else ago(-60)
        projection.enqueue_run(task, run_id, redis_connection, at=at)
    before = queued(redis_connection)
    settle_lost(redis_connection, clock)
    assert (rows(task), queued(redis_connection)) == ({}, before)


def test_a_recent_due_is_still_under_way(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace
):
    put(first=ago(20), accounted_until=ago(21))
    settle_lost(redis_connection, clock)
    assert queued(redis_connection) == []


def test_a_lost_occurrence_that_cannot_be_filled_stops_no_other(
    redis_connection: Redis, put: MakeSchedule, clock: SimpleNamespace
):
    broken = put(first=ago(150), accounted_until=ago(151))
    good = put(first=ago(150), accounted_until=ago(151))
    ScheduledTask.objects.filter(pk=broken.pk).update(function="gone")
    settle_lost(redis_connection, clock)
    assert queued(redis_connection) == [RunId(good.job_id, good.first).job_id]


def test_the_books_are_closed_up_to_the_first_due_without_a_row(
    redis_connection: Redis, put: MakeSchedule
):
    task = put(first=ago(350), interval=100, accounted_until=ago(351))
    for due in steps(task, 0, 1, 3):
        task.runs.create(name="x", due=due, status="missed", ended=due)
    ledger.balance(redis_connection, rescue.Watch())
    task.refresh_from_db()
    assert [task.accounted_until] == steps(task, 1)


def test_a_schedule_read_before_a_change_does_not_close_the_new_books(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    task = put(first=ago(350), interval=100, accounted_until=ago(351))
    task.runs.create(name="x", due=task.first, status="missed", ended=ago(0))
    original = ledger._look

    def look(*args: Any) -> Any:
        found = original(*args)
        task.interval = 70
        SchedulerService.save(task)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "_look", look)
        next(ledger.balancing(redis_connection, rescue.Watch()))
    before = task.accounted_until
    task.refresh_from_db()
    assert task.accounted_until == before > ago(50)
    assert task.look_at <= timezone.now()


@pytest.mark.parametrize("recorded", [True, False])
def test_it_is_looked_at_again_when_something_is_due_or_soon_if_it_is_open(
    redis_connection: Redis, put: MakeSchedule, recorded: bool
):
    task = put(first=ago(100), interval=600, accounted_until=ago(101))
    if recorded:
        task.runs.create(name="x", due=task.first, status="missed", ended=ago(0))
    ledger.balance(redis_connection, rescue.Watch())
    task.refresh_from_db()
    wait = task.look_at - timezone.now()
    assert timedelta(0) < wait < timedelta(seconds=510)
    assert (wait > timedelta(seconds=400)) is recorded


def test_what_cannot_be_amiss_costs_one_query(
    redis_connection: Redis, put: MakeSchedule, django_assert_num_queries: Any
):
    for _ in range(3):
        put(look_at=ago(-60))
    with django_assert_num_queries(1):
        ledger.balance(redis_connection, rescue.Watch())


def test_the_books_of_many_are_closed_with_few_queries(
    redis_connection: Redis, put: MakeSchedule, django_assert_max_num_queries: Any
):
    for _ in range(20):
        task = put(first=ago(100), accounted_until=ago(101))
        task.runs.create(name="x", due=task.first, status="missed", ended=ago(0))
    with django_assert_max_num_queries(6):
        ledger.balance(redis_connection, rescue.Watch())
    assert not ScheduledTask.objects.filter(accounted_until__lt=ago(101)).exists()


def test_each_chunk_is_read_by_its_keys(redis_connection: Redis, put: MakeSchedule):
    """By the index of the status, every chunk would read the rows of all schedules."""
    put()
    put(status="paused", paused_at=ago(1))
    put(first=ago(100), accounted_until=ago(101))
    with CaptureQueriesContext(connection) as round_of_all:
        ledger.reconcile(redis_connection)
        ledger.balance(redis_connection, rescue.Watch())
    selects = [query["sql"] for query in round_of_all if query["sql"].startswith("SELECT")]
    with connection.cursor() as cursor:
        plans = [cursor.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall() for sql in selects]
    by_status = [plan for plan in plans if "schedule_to_look_at" in str(plan)]
    assert len(by_status) == 1, "only what has to be looked at is asked for by it"


def test_each_schedule_is_looked_at_once_a_round(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger, "BOOKS_AT_ONCE", 2)
    monkeypatch.setattr(ledger, "_write_books", lambda entries: None)
    tasks = [put(look_at=ago(1)) for _ in range(5)]
    seen: list[int] = []
    original = ledger._look

    def look(tasks: list[ScheduledTask], now: datetime) -> Any:
        seen.extend(task.pk for task in tasks)
        return original(tasks, now)

    monkeypatch.setattr(ledger, "_look", look)
    ledger.balance(redis_connection, rescue.Watch())
    assert sorted(seen) == [task.pk for task in tasks]


def test_many_due_instants_of_one_schedule_are_looked_at_too(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger, "FEW", 1)
    task = put(first=ago(350), interval=100, accounted_until=ago(351))
    for due in steps(task, 0, 1, 3):
        task.runs.create(name="x", due=due, status="missed", ended=due)
    ledger.balance(redis_connection, rescue.Watch())
    task.refresh_from_db()
    assert [task.accounted_until] == steps(task, 1)


# The end of a schedule


@pytest.fixture
def exhausted(put: MakeSchedule) -> ScheduledTask:
    """Return a schedule whose only occurrence has run."""
    task = put(first=ago(60), interval=None, accounted_until=ago(61))
    task.runs.create(name="x", due=task.first, status="finished", started=ago(59), ended=ago(58))
    return task


def status(task: ScheduledTask) -> str:
    task.refresh_from_db()
    return task.status


def test_an_exhausted_schedule_is_over_and_leaves_redis(
    exhausted: ScheduledTask, redis_connection: Redis
):
    ledger.balance(redis_connection, rescue.Watch())
    assert status(exhausted) == "death"
    assert redis_connection.keys("rq:*") == []


@pytest.mark.parametrize(
    "values",
    [{"status": "running", "ended": None}, {"status": "failed"}],
    ids=["still running", "to be tried again"],
)
def test_a_schedule_with_a_run_to_come_is_not_over(
    exhausted: ScheduledTask, redis_connection: Redis, values: dict[str, Any]
):
    ScheduledTask.objects.update(retries=1)
    exhausted.runs.update(**values)
    exhausted.runs.create(
        name="x", requested=ago(1), status="finished", started=ago(1), ended=ago(1)
    )
    ledger.balance(redis_connection, rescue.Watch())
    assert status(exhausted) == "running"


def test_a_schedule_whose_last_try_has_failed_is_over(
    exhausted: ScheduledTask, redis_connection: Redis
):
    exhausted.runs.update(status="failed")
    ledger.balance(redis_connection, rescue.Watch())
    assert status(exhausted) == "death"


def test_a_schedule_with_more_dues_to_look_at_is_not_over(
    put: MakeSchedule, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger, "DUES_AT_ONCE", 2)
    task = put(first=ago(400), interval=100, repeat=4, accounted_until=ago(401))
    for due in steps(task, 0, 1):
        task.runs.create(name="x", due=due, status="missed", ended=due)
    ledger.balance(redis_connection, rescue.Watch())
    assert status(task) == "running"


# Retention


def ended_runs(task: ScheduledTask, number: int) -> None:
    for index in range(number):
        at = ago((number - index) * 86_400)
        task.runs.create(name="x", due=at, status="finished", started=at, ended=at)


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"keep_runs": 2}, 2),
        ({"keep_runs": None, "keep_days": 3}, 2),
        ({"keep_runs": 1, "keep_days": 30}, 1),
        ({"keep_runs": None}, 5),
    ],
    ids=str,
)
def test_retention_keeps_the_newest(values: dict[str, Any], kept: int):
    task = make_row(**values)
    ended_runs(task, 5)
    newest = list(task.runs.order_by("-id").values_list("pk", flat=True)[:kept])
    ledger.prune()
    assert list(task.runs.order_by("-id").values_list("pk", flat=True)) == newest


def test_retention_keeps_what_is_running():
    task = make_row(keep_runs=1)
    task.runs.create(name="x", due=ago(200_000), started=ago(600))
    ended_runs(task, 1)
    ledger.prune()
    assert sorted(task.runs.values_list("status", flat=True)) == ["finished", "running"]


def test_retention_keeps_what_the_books_are_still_open_for():
    task = make_row(keep_runs=1, accounted_until=ago(400_000))
    ended_runs(task, 4)
    ledger.prune()
    assert task.runs.filter(due__gt=task.accounted_until).count() == 4


def test_retention_leaves_other_schedules_alone():
    small, other = make_row(keep_runs=1), make_row(keep_runs=None)
    ended_runs(small, 2)
    ended_runs(other, 2)
    ledger.prune()
    assert (small.runs.count(), other.runs.count()) == (1, 2)


# The housekeeper


def test_a_tick_does_all_of_it(
    schedule: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace
):
    run = schedule.runs.create(name="x", due=ago(60), started=ago(59))
    spool.push(redis_connection, run.run_job_id, "failed", reason="killed")
    ledger.Housekeeper(redis_connection).tick()
    run.refresh_from_db()
    assert run.status == "failed"
    assert in_redis(redis_connection) == {schedule.job_id}


def test_an_emptied_redis_is_filled_at_the_next_tick(
    schedule: ScheduledTask, redis_connection: Redis, clock: SimpleNamespace
):
    housekeeper = ledger.Housekeeper(redis_connection)
    housekeeper.tick()
    redis_connection.flushall()
    housekeeper.tick()
    assert in_redis(redis_connection) == {schedule.job_id}


@pytest.mark.parametrize("part", ["Reconciler.tick", "rescue.close_lost_runs", "balancing"])
def test_one_parts_failure_stops_no_other(
    schedule: ScheduledTask,
    redis_connection: Redis,
    clock: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
):
    def fail(*args: Any) -> None:
        raise OperationalError

    done: list[str] = []
    remaining: Callable[..., None] = lambda: done.append("prune")  # noqa: E731
    monkeypatch.setattr(f"tasks.ledger.{part}", fail)
    monkeypatch.setattr(ledger, "pruning", remaining)
    ledger.Housekeeper(redis_connection).tick()
    assert done == ["prune"]


@pytest.mark.parametrize("key", [spool.SPOOL_KEY, projection.TEXTS_KEY, projection.SCHEDULES_KEY])
def test_a_key_that_holds_something_else_is_named(redis_connection: Redis, key: str, caplog: Any):
    make_row()
    redis_connection.set(key, "x")
    ledger.Housekeeper(redis_connection).tick()
    assert f"The key {key} in Redis is a string, not a " in caplog.text
    assert "Traceback" not in caplog.text
