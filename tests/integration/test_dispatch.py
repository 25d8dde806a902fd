"""Dispatch and changes at once, on a real Valkey: what the rows say takes effect at the next due.

The scheduler has read and planned already when the change is made; only then its step is taken.
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
    """Return the steps that the scheduler takes next."""
    now = timezone.now()
    steps, _ = scheduler.dispatcher.decide_steps(
        scheduler.dispatcher.read_due("-inf", now.timestamp()), now
    )
    assert steps
    return steps, now


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
    "delete": lambda task: task.delete(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_wins_over_a_step_that_is_planned_already(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis, change: Change
):
    steps, now = planned(scheduler)
    change(schedule)
    assert scheduler.dispatcher.take_steps(steps, now) == []
    assert scheduler.enqueue_jobs() == []
    assert queue_length(redis_connection) == 0


def test_what_is_dispatched_after_an_edit_is_as_edited(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis
):
    steps, now = planned(scheduler)
    edit_arguments(schedule)
    assert scheduler.dispatcher.take_steps(steps, now) == []
    [job_id] = scheduler.enqueue_jobs()
    assert redis_connection.hget(f"rq:job:{job_id}", "timeout") == b"77"


def test_a_step_taken_before_the_change_stays_and_is_not_taken_again(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis
):
    steps, now = planned(scheduler)
    [job_id] = scheduler.dispatcher.take_steps(steps, now)
    SchedulerService.save(schedule)
    assert scheduler.dispatcher.take_steps(steps, now) == scheduler.enqueue_jobs() == []
    assert queue_length(redis_connection) == 1
    assert RunId.parse(job_id).schedule_job_id == schedule.job_id


def test_a_projection_that_the_dispatch_overtakes_does_not_move_it_back(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis
):
    image = projection.image(ScheduledTask.objects.get())
    scheduler.enqueue_jobs()
    moved = redis_connection.zscore(SCHEDULES_KEY, schedule.job_id)
    projection.put_images([image], redis_connection)
    assert redis_connection.zscore(SCHEDULES_KEY, schedule.job_id) == moved


def test_nothing_is_dispatched_after_cancel_has_returned(
    scheduler: Scheduler, redis_connection: Redis
):
    stop = threading.Event()
    waiting: dict[str, list[str]] = {}

    def dispatch_all_the_time() -> None:
        while not stop.is_set():
            scheduler.enqueue_jobs()
        connections.close_all()

    schedules = [
        SchedulerService.schedule(
            timezone.now(), "tests.jobs.answer", interval=1, name=f"schedule {number}"
        )
        for number in range(20)
    ]
    thread = threading.Thread(target=dispatch_all_the_time)
    thread.start()
    try:
        wait_for(lambda: queue_length(redis_connection) >= 40, "two rounds of dispatch")
        for schedule in schedules:
            SchedulerService.cancel(schedule)
            waiting[schedule.job_id] = waiting_of(schedule.job_id, redis_connection)
        beyond = timezone.now() + timedelta(seconds=1.2)
        wait_for(lambda: timezone.now() > beyond, "another due moment")
    finally:
        stop.set()
        thread.join()
    assert waiting == {job_id: waiting_of(job_id, redis_connection) for job_id in waiting}


def waiting_of(schedule_job_id: str, redis: Redis) -> list[str]:
    job_ids = map(bytes.decode, redis.lrange("rq:queue:default", 0, -1))
    return [job_id for job_id in job_ids if job_id.startswith(schedule_job_id)]


def test_many_changes_and_rounds_at_once_end_with_what_the_rows_say(
    scheduler: Scheduler, redis_connection: Redis
):
    stop = threading.Event()

    def reconcile_all_the_time() -> None:
        while not stop.is_set():
            reconcile(redis_connection)
        connections.close_all()

    later = timezone.now() + timedelta(hours=1)
    schedules = [
        SchedulerService.schedule(later, "tests.jobs.answer", name=f"schedule {number}")
        for number in range(5)
    ]
    thread = threading.Thread(target=reconcile_all_the_time)
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


def test_a_schedule_that_redis_lost_in_part_is_brought_back_and_dispatched(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis
):
    housekeeper = Reconciler(redis_connection)
    housekeeper.tick()
    redis_connection.delete(f"rq:job:{schedule.job_id}")
    assert scheduler.enqueue_jobs() == []
    housekeeper.tick()
    assert len(scheduler.enqueue_jobs()) == 1


@pytest.mark.parametrize("key", [SCHEDULES_KEY, DISPATCH_RECORDS_KEY])
def test_a_round_brings_back_what_redis_has_lost_in_part(
    scheduler: Scheduler, schedule: ScheduledTask, redis_connection: Redis, key: str
):
    redis_connection.delete(key)
    reconcile(redis_connection)
    assert len(scheduler.enqueue_jobs()) == 1
