"""Redis holds what the rows say, whatever has happened to it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis import Redis

from tasks import clock, registry
from tasks.broker import reconcile as reconcile_module
from tasks.broker.keys import MARKER_KEY
from tasks.broker.reconcile import Reconciler, reconcile
from tasks.job import Job
from tasks.ledger.settling import settle
from tasks.models import ScheduledTask
from tasks.runs.lost import Watch
from tasks.scheduler import Scheduler
from tests.tasks.functions import ECHO
from tests.tasks.in_redis import schedules_in_redis
from tests.tasks.schedules import MakeSchedule, ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


# Redis as the rows say


def test_all_live_schedules_are_back_in_redis_after_a_flush(
    redis_connection: Redis, put: MakeSchedule
):
    schedules = [put(), put(cron="@daily"), put(status="failed")]
    redis_connection.flushall()
    reconcile(redis_connection)
    assert schedules_in_redis(redis_connection) == {schedule.job_id for schedule in schedules}


def test_paused_and_ended_schedules_are_removed_from_redis(
    redis_connection: Redis, put: MakeSchedule
):
    put(status="death")
    put(status="paused", paused_at=ago(1))
    reconcile(redis_connection)
    assert redis_connection.keys("rq:*") == []


def test_unexpected_schedules_are_removed_from_redis_and_external_jobs_are_not(
    redis_connection: Redis, put: MakeSchedule, scheduler: Scheduler
):
    schedule = put()
    external = scheduler.enqueue_in(timedelta(hours=1), ECHO)
    # Private, because every public way to delete sends the signal that removes it from Redis.
    ScheduledTask.objects.filter(pk=schedule.pk)._raw_delete("default")
    reconcile(redis_connection)
    assert schedules_in_redis(redis_connection) == {external.id}
    assert not redis_connection.exists(Job.key_for(schedule.job_id))


@pytest.mark.parametrize(
    "values", [{"interval": 60}, {"args": [1]}, {"timeout": 9}, {"queue": "low"}], ids=str
)
def test_a_row_that_was_written_without_the_services_takes_effect(
    redis_connection: Redis, put: MakeSchedule, values: dict[str, Any]
):
    schedule = put()
    before = redis_connection.hgetall(Job.key_for(schedule.job_id))
    ScheduledTask.objects.update(**values)
    reconcile(redis_connection)
    assert redis_connection.hgetall(Job.key_for(schedule.job_id)) != before


def test_reconciliation_leaves_what_is_right_untouched(redis_connection: Redis, put: MakeSchedule):
    schedule = put()
    redis_connection.hset(Job.key_for(schedule.job_id), "mark", "untouched")
    reconcile(redis_connection)
    assert redis_connection.hget(Job.key_for(schedule.job_id), "mark") == b"untouched"


@pytest.fixture
def reconciler(redis_connection: Redis, put: MakeSchedule) -> Reconciler:
    """Return what has just made a complete round over a schedule, and rests."""
    put()
    reconciler = Reconciler(redis_connection)
    reconciler.tick()
    return reconciler


def test_a_change_that_did_not_reach_redis_is_brought_there_while_the_rounds_rest(
    reconciler: Reconciler, redis_connection: Redis
):
    schedule = ScheduledTask.objects.get()
    before = redis_connection.hgetall(Job.key_for(schedule.job_id))
    ScheduledTask.objects.update(args=["changed"], updated=clock.now())
    reconciler.tick()
    assert redis_connection.hgetall(Job.key_for(schedule.job_id)) != before


@pytest.mark.parametrize("values", [{"status": "death"}, {"status": "paused"}], ids=str)
def test_a_schedule_that_has_ended_leaves_redis_while_the_rounds_rest(
    reconciler: Reconciler, redis_connection: Redis, values: dict[str, Any]
):
    paused_at = clock.now() if values["status"] == "paused" else None
    ScheduledTask.objects.update(**values, paused_at=paused_at, updated=clock.now())
    reconciler.tick()
    assert schedules_in_redis(redis_connection) == set()


def test_what_has_not_changed_is_not_looked_at_while_the_rounds_rest(
    reconciler: Reconciler, redis_connection: Redis
):
    ScheduledTask.objects.update(args=["changed"], updated=ago(3600))
    before = redis_connection.hgetall(Job.key_for(ScheduledTask.objects.get().job_id))
    reconciler.tick()
    assert redis_connection.hgetall(Job.key_for(ScheduledTask.objects.get().job_id)) == before


def test_a_look_at_very_many_changes_leaves_time_for_other_work(
    reconciler: Reconciler,
    put: MakeSchedule,
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    put()
    before = {key: redis_connection.hgetall(key) for key in redis_connection.keys("rq:job:*")}
    ScheduledTask.objects.update(args=["changed"], updated=clock.now())
    monkeypatch.setattr(reconcile_module, "CHUNK", 1)
    monkeypatch.setattr(reconcile_module, "TIME_SLICE", 0)

    def changed() -> int:
        return sum(redis_connection.hgetall(key) != fields for key, fields in before.items())

    counts = []
    for _ in range(2):
        reconciler.tick()
        counts.append(changed())
    assert counts == [1, 2]


def test_a_round_rests_after_each_step(
    reconciler: Reconciler, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    for _ in range(3):
        put()
    monkeypatch.setattr(reconcile_module, "CHUNK", 1)
    monkeypatch.setattr(reconcile_module, "SHARE", 1e-9)
    reconciler._rests_until = 0.0
    with CaptureQueriesContext(connection) as first:
        reconciler.tick()
    with CaptureQueriesContext(connection) as second:
        reconciler.tick()
    assert [query for query in first if 'ORDER BY "tasks_scheduledtask"."id"' in query["sql"]]
    assert not second.captured_queries


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
    reconcile(redis_connection)
    broken.refresh_from_db()
    assert broken.problem != ""
    assert schedules_in_redis(redis_connection) == {good.job_id}
    assert redis_connection.exists(MARKER_KEY)


def test_the_problem_of_a_schedule_is_cleared_when_it_can_be_scheduled(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    schedule = make_row()
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_functions", {})
        reconcile(redis_connection)
    reconcile(redis_connection)
    schedule.refresh_from_db()
    assert (schedule.problem, schedules_in_redis(redis_connection)) == ("", {schedule.job_id})


def test_reconciliation_repairs_a_template_of_the_wrong_type_and_restores_all_others(
    redis_connection: Redis, put: MakeSchedule
):
    broken, good = put(), put()
    redis_connection.flushall()
    redis_connection.set(Job.key_for(broken.job_id), "x")
    reconcile(redis_connection)
    assert schedules_in_redis(redis_connection) == {broken.job_id, good.job_id}


def test_reconciliation_reads_each_chunk_of_rows_by_its_keys(
    redis_connection: Redis, put: MakeSchedule
):
    """By the index on the status, every chunk would read the rows of all schedules."""
    put()
    put(status="paused", paused_at=ago(1))
    put(first=ago(100), settled_through=ago(101))
    with CaptureQueriesContext(connection) as round_of_all:
        reconcile(redis_connection)
        settle(redis_connection, Watch())
    selects = [query["sql"] for query in round_of_all if query["sql"].startswith("SELECT")]
    with connection.cursor() as cursor:
        plans = [cursor.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall() for sql in selects]
    by_status = [plan for plan in plans if "schedule_next_check" in str(plan)]
    assert len(by_status) == 1, "only settling may use that index"
