"""Pausing everything, or a queue: what is due meanwhile, and what goes on afterwards."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from redis import Redis

from tasks import clock, holds
from tasks.broker.reconcile import reconcile
from tasks.exceptions import NotPossible
from tasks.ledger.audit import OVERDUE, tallies
from tasks.ledger.holds import LOCK
from tasks.ledger.settling import settle
from tasks.models import Hold, ScheduledTask
from tasks.runs import holds as reading
from tasks.runs.lost import Watch
from tasks.scheduler import Scheduler
from tasks.services import SchedulerService, TaskService
from tasks.worker import Worker
from tasks.worker.child import Child
from tasks.worker.shared_state import SharedState
from tests.tasks.functions import ECHO, QUEUES, queued
from tests.tasks.schedules import MakeSchedule, ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)

Status = ScheduledTask.Status
Advance = Callable[[float], None]


@pytest.fixture
def advance(monkeypatch: pytest.MonkeyPatch) -> Advance:
    """Return a function that has the one clock be ahead by so many more seconds."""
    ahead = [0.0]
    monkeypatch.setattr(clock, "timestamp", lambda: time.time() + ahead[0])

    def advance_by(seconds: float) -> None:
        ahead[0] += seconds

    return advance_by


@pytest.fixture
def child(redis_connection: Redis) -> Child:
    return Child(Worker(QUEUES, connection=redis_connection), SharedState())


def make_frequent(put: MakeSchedule, **values: Any) -> ScheduledTask:
    """Return a schedule that is due every 10 seconds, for the first time in 5."""
    return put(first=ago(-5), interval=10, **values)


def status_of(schedule: ScheduledTask) -> str:
    schedule.refresh_from_db()
    return schedule.status


def tally_of(schedule: ScheduledTask) -> tuple[bool, int]:
    """Return whether the schedule's ledger closes, and how many occurrences were due."""
    [tally] = tallies([schedule.pk])
    return tally.closes, tally.due


# Everything


def test_what_is_due_while_everything_is_paused_is_neither_dispatched_nor_expected(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis, advance: Advance
):
    schedule = make_frequent(put)
    hold = holds.pause_everything("ops")
    advance(3600)
    assert scheduler.enqueue_jobs() == []
    settle(redis_connection, Watch())
    assert tally_of(schedule) == (True, 0)
    holds.resume(hold)
    assert scheduler.enqueue_jobs() == []
    assert tally_of(schedule) == (True, 0)


def test_after_a_pause_of_everything_schedules_are_dispatched_again(
    put: MakeSchedule, scheduler: Scheduler, advance: Advance
):
    schedule = make_frequent(put)
    holds.resume(holds.pause_everything("ops"))
    advance(6)
    assert len(scheduler.enqueue_jobs()) == 1
    assert status_of(schedule) == Status.RUNNING


def test_a_paused_period_says_who_paused_everything_and_why(put: MakeSchedule):
    schedule = make_frequent(put, note="a note of its own")
    holds.resume(holds.pause_everything("ops", "database move"))
    period = schedule.periods.get(kind="paused")
    assert (period.held_by, period.note) == ("ops", "database move")
    assert period.in_words() == "Everything was paused by ops. database move"
    with translation.override("ko"):
        assert period.in_words() == "전체 일시 중지됨(ops). database move"


def test_a_paused_period_of_an_older_version_is_shown_with_its_note(put: MakeSchedule):
    note = "Everything was paused by ops."
    begin, end = ago(9), ago(5)
    period = put().periods.create(kind="paused", note=note, start=begin, end=end)
    assert period.in_words() == note


def test_what_waited_when_everything_was_paused_is_recorded_as_missed(
    due_schedule: ScheduledTask, scheduler: Scheduler
):
    scheduler.enqueue_jobs()
    holds.pause_everything("ops")
    assert [run.status for run in due_schedule.runs.all()] == ["missed"]


def test_a_pause_of_everything_is_restored_after_redis_was_emptied(
    put: MakeSchedule, scheduler: Scheduler, redis_connection: Redis, advance: Advance
):
    make_frequent(put)
    holds.pause_everything("ops")
    redis_connection.flushall()
    reconcile(redis_connection)
    advance(60)
    assert scheduler.enqueue_jobs() == []


def test_external_jobs_and_reserved_calls_wait_while_everything_is_paused(
    scheduler: Scheduler, redis_connection: Redis, advance: Advance
):
    external = scheduler.enqueue_at(ago(5), ECHO)
    call = TaskService.reserve_task(ago(-5), ECHO, "x")
    hold = holds.pause_everything("ops")
    advance(10)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == []
    holds.resume(hold)
    scheduler.enqueue_jobs()
    assert set(queued(redis_connection)) == {external.id, call.job_id}


def test_a_schedule_that_was_paused_before_stays_paused_after_a_pause_of_everything():
    schedule = make_row()
    SchedulerService.pause(schedule)
    holds.resume(holds.pause_everything("ops"))
    assert status_of(schedule) == Status.PAUSED


def test_a_schedule_that_is_cancelled_while_everything_is_paused_stays_cancelled():
    schedule = make_row()
    hold = holds.pause_everything("ops")
    SchedulerService.cancel(schedule)
    holds.resume(hold)
    assert status_of(schedule) == Status.DEATH


def test_a_failing_schedule_is_failing_still_after_a_pause_of_everything():
    schedule = make_row(status=Status.FAILED)
    make_run(schedule, status="failed")
    holds.resume(holds.pause_everything("ops"))
    assert status_of(schedule) == Status.FAILED


@pytest.mark.parametrize("was", ["new", "cancelled"])
def test_a_schedule_that_is_requested_while_everything_is_paused_goes_on_afterwards(
    scheduler: Scheduler, advance: Advance, was: str
):
    if was == "cancelled":
        SchedulerService.cancel(SchedulerService.schedule(ago(-5), ECHO, interval=10))
    hold = holds.pause_everything("ops")
    schedule = SchedulerService.schedule(ago(-5), ECHO, interval=10)
    assert schedule.status == Status.PAUSED
    advance(60)
    assert scheduler.enqueue_jobs() == []
    holds.resume(hold)
    assert status_of(schedule) == Status.RUNNING
    assert tally_of(schedule) == (True, 0)


def test_a_schedule_can_not_be_resumed_while_everything_is_paused():
    schedule = make_row()
    holds.pause_everything("ops")
    with pytest.raises(NotPossible, match="ops has paused everything"):
        SchedulerService.resume(schedule)


def test_a_leader_dispatches_nothing_while_everything_is_paused(
    scheduler: Scheduler, redis_connection: Redis
):
    scheduler.enqueue_at(ago(5), ECHO)
    holds.pause_everything("ops")
    scheduler._read_holds()
    scheduler.lead_or_stand_by()
    scheduler._catch_up()
    assert (scheduler.leads, queued(redis_connection)) == (True, [])


# A queue


def test_a_worker_takes_no_job_from_a_paused_queue_and_starts_what_waits_afterwards(child: Child):
    held = TaskService.enqueue_task(ECHO, "x")
    hold = holds.pause_queue("default", "ops")
    assert child.work_off() == (0, True)
    holds.resume(hold)
    assert child.work_off() == (1, True)
    held.refresh_from_db()
    assert held.status == "finished"


def test_the_other_queues_of_a_worker_go_on_while_one_is_paused(
    child: Child, put: MakeSchedule, scheduler: Scheduler
):
    for queue in ("default", "low"):
        put(first=ago(5), settled_through=ago(6), queue=queue)
    scheduler.enqueue_jobs()
    holds.pause_queue("default", "ops")
    assert (child.work_off(), child.held_queues) == ((1, True), ["default"])


def test_a_worker_takes_no_job_at_all_while_everything_is_paused(child: Child):
    TaskService.enqueue_task(ECHO, "x")
    holds.pause_everything("ops")
    assert (child.work_off(), set(child.held_queues)) == ((0, True), set(QUEUES))


def test_what_waits_on_a_paused_queue_is_missed_once_its_start_deadline_has_passed(
    child: Child, put: MakeSchedule, scheduler: Scheduler, advance: Advance
):
    schedule = put(first=ago(0.5), settled_through=ago(1), start_deadline=30)
    scheduler.enqueue_jobs()
    hold = holds.pause_queue("default", "ops")
    child.work_off()
    advance(60)
    holds.resume(hold)
    child.work_off()
    assert [run.reason_code for run in schedule.runs.all()] == ["past_start_deadline"]


def test_what_waits_on_a_paused_queue_for_long_is_not_overdue(
    put: MakeSchedule, scheduler: Scheduler, advance: Advance
):
    schedule = put(first=ago(0.5), settled_through=ago(1), period_start=ago(1))
    scheduler.enqueue_jobs()
    holds.pause_queue("default", "ops")
    advance(2 * OVERDUE.total_seconds())
    assert tally_of(schedule) == (True, 1)


def test_a_child_that_has_never_read_what_is_held_takes_no_job_while_the_database_is_unavailable(
    redis_connection: Redis, child: Child, monkeypatch: pytest.MonkeyPatch
):
    TaskService.enqueue_task(ECHO)
    holds.pause_everything("ops")

    def unavailable() -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as outage:
        outage.setattr(reading, "read", unavailable)
        assert child.work_off() == (0, True)
        assert set(child.held_queues) == set(QUEUES)
    holds.resume(Hold.objects.get())
    assert child.work_off() == (1, True)


def test_a_worker_keeps_what_it_knows_of_holds_while_the_database_is_unavailable(
    child: Child, monkeypatch: pytest.MonkeyPatch
):
    TaskService.enqueue_task(ECHO, "x")
    holds.pause_queue("default", "ops")
    child.work_off()

    def unavailable() -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(reading, "read", unavailable)
    assert (child.work_off(), child.held_queues) == ((0, True), ["default"])


@pytest.mark.parametrize("queue", ["", "default"])
def test_what_is_paused_can_not_be_paused_again(queue: str):
    pause(queue)
    with pytest.raises(NotPossible, match="is paused already"):
        pause(queue)


def test_a_pause_that_somebody_else_has_ended_can_not_be_ended_again():
    hold = holds.pause_queue("default", "ops")
    holds.resume(Hold.objects.get(pk=hold.pk))
    with pytest.raises(NotPossible, match="goes on already"):
        holds.resume(hold)


def pause(queue: str) -> Hold:
    return holds.pause_queue(queue, "ops") if queue else holds.pause_everything("ops")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets only one write")
@pytest.mark.parametrize("change", ["sync", "resume", "schedule"])
def test_whoever_changes_schedules_locks_rows_after_the_lock_of_holds(change: str):
    entry = {"name": "a", "cron_string": "@hourly", "task_func": ECHO}
    [schedule] = SchedulerService.sync([entry], owner="us")
    SchedulerService.pause(schedule)
    changes: dict[str, Callable[[], Any]] = {
        "sync": lambda: SchedulerService.sync([entry | {"name": "b"}], owner="us"),
        "resume": lambda: SchedulerService.resume(schedule),
        "schedule": lambda: SchedulerService.cron("@daily", ECHO, name="a"),
    }
    with CaptureQueriesContext(connection) as queries:
        changes[change]()
    sql = [query["sql"] for query in queries]
    lock = next(number for number, text in enumerate(sql) if f"_shared({LOCK})" in text)
    assert not any(" FOR " in text or "INSERT" in text for text in sql[:lock])
