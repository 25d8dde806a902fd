"""Dispatch while schedules are changed, on a real Valkey: the rows decide at the next due.

The scheduler has read and planned before the change is made, and takes its step after it. It does
all of that in one call, so a test that changes something in between calls the private parts.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import django_rq
import pytest
from django.db import connections
from django.utils import timezone
from redis import Redis

from tasks.broker import projection
from tasks.broker.keys import DISPATCH_RECORDS_KEY, SCHEDULES_KEY
from tasks.broker.reconcile import Reconciler, reconcile
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.scheduler import Scheduler
from tasks.scheduler.planning import Step
from tasks.services import SchedulerService
from tests.servers import wait_for
from tests.tasks.scheduler import dispatch_script

pytestmark = pytest.mark.django_db(transaction=True)

Change = Callable[[ScheduledTask], Any]


@pytest.fixture
def scheduler(redis_connection: Redis) -> Scheduler:
    return django_rq.get_scheduler("default")


@pytest.fixture
def schedule(scheduler: Scheduler) -> ScheduledTask:
    """Return a schedule that is due now, and every hour."""
    return SchedulerService.schedule(timezone.now(), "tests.jobs.answer", interval=3600)


def planned(scheduler: Scheduler) -> tuple[list[Step], datetime]:
    """Return the steps that the scheduler takes next, and for when they are planned."""
    steps, now = dispatch_script.planned(scheduler.dispatcher)
    assert steps
    return steps, now


def take(scheduler: Scheduler, steps: list[Step], now: datetime) -> list[str]:
    """Have the scheduler take planned steps; return the ids of the jobs that it dispatched."""
    return dispatch_script.take(scheduler.dispatcher, steps, now)


def queue_length(redis: Redis) -> int:
    return redis.llen("rq:queue:default")


def edit(schedule: ScheduledTask) -> None:
    schedule.first = timezone.now() + timedelta(hours=1)
    SchedulerService.save(schedule)


def edit_arguments(schedule: ScheduledTask) -> None:
    schedule.description, schedule.timeout = "changed", 77
    SchedulerService.save(schedule)


def pause_and_resume(schedule: ScheduledTask) -> None:
    SchedulerService.pause(schedule)
    SchedulerService.resume(schedule)


CHANGES: dict[str, Change] = {
    "edit": edit,
    "pause": SchedulerService.pause,
    "pause and resume": pause_and_resume,
    "cancel": SchedulerService.cancel,
    "delete": lambda schedule: schedule.delete(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_a_schedule_wins_over_a_dispatch_that_is_already_planned(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis, change: Change
):
    steps, now = planned(scheduler)
    change(schedule)
    assert take(scheduler, steps, now) == []
    assert scheduler.enqueue_jobs() == []
    assert queue_length(redis_connection) == 0


def test_a_job_that_is_dispatched_after_an_edit_has_the_edited_values(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis
):
    steps, now = planned(scheduler)
    edit_arguments(schedule)
    assert take(scheduler, steps, now) == []
    [job_id] = scheduler.enqueue_jobs()
    assert redis_connection.hget(f"rq:job:{job_id}", "timeout") == b"77"


def test_an_occurrence_that_was_dispatched_before_a_change_is_not_dispatched_again(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis
):
    steps, now = planned(scheduler)
    [job_id] = take(scheduler, steps, now)
    SchedulerService.save(schedule)
    assert take(scheduler, steps, now) == scheduler.enqueue_jobs() == []
    assert queue_length(redis_connection) == 1
    assert RunId.parse(job_id).schedule_job_id == schedule.job_id


def test_a_projection_that_dispatch_has_overtaken_does_not_move_the_schedule_back(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis
):
    image = projection.image(ScheduledTask.objects.get())
    scheduler.enqueue_jobs()
    moved = redis_connection.zscore(SCHEDULES_KEY, schedule.job_id)
    projection.put_images([image], redis_connection)
    assert redis_connection.zscore(SCHEDULES_KEY, schedule.job_id) == moved


def test_nothing_is_dispatched_after_a_schedule_was_cancelled(
    scheduler: Scheduler, redis_connection: Redis
):
    stop = threading.Event()
    waiting: dict[str, list[str]] = {}

    def keep_dispatching() -> None:
        while not stop.is_set():
            scheduler.enqueue_jobs()
        connections.close_all()

    schedules = [
        SchedulerService.schedule(
            timezone.now(), "tests.jobs.answer", interval=1, name=f"schedule {number}"
        )
        for number in range(20)
    ]
    thread = threading.Thread(target=keep_dispatching)
    thread.start()
    try:
        wait_for(lambda: queue_length(redis_connection) >= 40, "two rounds of dispatch")
        for schedule in schedules:
            SchedulerService.cancel(schedule)
            waiting[schedule.job_id] = waiting_of(schedule.job_id, redis_connection)
        beyond = timezone.now() + timedelta(seconds=1.2)
        wait_for(lambda: timezone.now() > beyond, "another due")
    finally:
        stop.set()
        thread.join()
    assert waiting == {job_id: waiting_of(job_id, redis_connection) for job_id in waiting}


def waiting_of(schedule_job_id: str, redis: Redis) -> list[str]:
    job_ids = map(bytes.decode, redis.lrange("rq:queue:default", 0, -1))
    return [job_id for job_id in job_ids if job_id.startswith(schedule_job_id)]


def test_after_many_changes_during_reconciliation_redis_has_what_the_rows_say(
    scheduler: Scheduler, redis_connection: Redis
):
    stop = threading.Event()

    def keep_reconciling() -> None:
        while not stop.is_set():
            reconcile(redis_connection)
        connections.close_all()

    later = timezone.now() + timedelta(hours=1)
    schedules = [
        SchedulerService.schedule(later, "tests.jobs.answer", name=f"schedule {number}")
        for number in range(5)
    ]
    thread = threading.Thread(target=keep_reconciling)
    thread.start()
    try:
        for number in range(6):
            for schedule in schedules:
                (SchedulerService.resume if number % 2 else SchedulerService.pause)(schedule)
                if number == 4:
                    redis_connection.delete(SCHEDULES_KEY)
    finally:
        stop.set()
        thread.join()
    reconcile(redis_connection)
    members = {
        member.decode() for member in redis_connection.zrange("rq:scheduler:scheduled_jobs", 0, -1)
    }
    assert members == {schedule.job_id for schedule in schedules}


def test_a_schedule_whose_template_redis_lost_is_restored_and_dispatched(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis
):
    reconciler = Reconciler(redis_connection)
    reconciler.tick()
    redis_connection.delete(f"rq:job:{schedule.job_id}")
    assert scheduler.enqueue_jobs() == []
    reconciler.tick()
    assert len(scheduler.enqueue_jobs()) == 1


@pytest.mark.parametrize("key", [SCHEDULES_KEY, DISPATCH_RECORDS_KEY])
def test_reconciliation_restores_a_key_that_redis_has_lost(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis, key: str
):
    redis_connection.delete(key)
    reconcile(redis_connection)
    assert len(scheduler.enqueue_jobs()) == 1
