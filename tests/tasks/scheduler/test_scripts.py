"""The scripts that dispatch, each in one step."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from tasks.broker import projection
from tasks.broker.enqueue import enqueue_run
from tasks.broker.keys import SCHEDULES_KEY
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.scheduler.scripts import MOVE_SCHEDULED
from tasks.timing.instants import to_score
from tests.tasks.functions import ECHO, queued
from tests.tasks.scheduler.dispatch_script import NOW, dispatch, run_script, score, step
from tests.tasks.schedules import MakeSchedule, ago

pytestmark = pytest.mark.django_db


def test_dispatch_enqueues_a_copy_of_the_template_and_moves_the_schedule_forward(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    [job_id] = dispatch(redis_connection, due_schedule)
    assert queued(redis_connection) == [job_id]
    assert Job.fetch(job_id, connection=redis_connection).func_name == ECHO
    assert score(redis_connection, due_schedule) == to_score(due_schedule.first) + 3600


def test_a_repeated_dispatch_of_an_occurrence_does_nothing(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    dispatch(redis_connection, due_schedule)
    assert dispatch(redis_connection, due_schedule) == []
    assert len(queued(redis_connection)) == 1


def test_dispatch_enqueues_no_second_job_with_the_same_id(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    dispatch(redis_connection, due_schedule)
    redis_connection.zadd(SCHEDULES_KEY, {due_schedule.job_id: to_score(due_schedule.first)})
    assert dispatch(redis_connection, due_schedule) == []
    assert len(queued(redis_connection)) == 1
    assert score(redis_connection, due_schedule) == to_score(due_schedule.first) + 3600


@pytest.mark.parametrize("seen", [{"score": 1.0}, {"version": "x" * 32}], ids=str)
def test_dispatch_leaves_a_schedule_alone_that_has_changed_meanwhile(
    due_schedule: ScheduledTask, redis_connection: Redis, seen: dict[str, Any]
):
    before = score(redis_connection, due_schedule)
    assert dispatch(redis_connection, due_schedule, **seen) == []
    assert queued(redis_connection) == []
    assert score(redis_connection, due_schedule) == before


def test_dispatch_does_not_bring_back_a_removed_schedule(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    projection.remove([due_schedule.job_id], redis_connection)
    dispatch(redis_connection, due_schedule)
    assert redis_connection.keys("rq:*") == []


def test_dispatch_removes_a_schedule_that_is_never_due_again(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    dispatch(redis_connection, due_schedule, next_due=-1, run_job_ids=())
    assert score(redis_connection, due_schedule) is None


def test_dispatch_reports_a_schedule_whose_template_is_lost_and_dispatches_the_others(
    due_schedule: ScheduledTask, put: MakeSchedule, redis_connection: Redis
):
    other = put(first=ago(5), settled_through=ago(6))
    redis_connection.delete(Job.key_for(due_schedule.job_id))
    pushed, lost, stuck = run_script(redis_connection, step(due_schedule), step(other))
    assert (len(pushed), lost, stuck) == (1, [due_schedule.job_id], [])
    assert score(redis_connection, due_schedule) == to_score(due_schedule.first)


def test_dispatch_reports_a_template_of_the_wrong_type_and_leaves_no_copy(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    redis_connection.delete(Job.key_for(due_schedule.job_id))
    redis_connection.set(Job.key_for(due_schedule.job_id), "broken")
    assert run_script(redis_connection, step(due_schedule)) == [[], [due_schedule.job_id], []]
    assert redis_connection.keys("rq:job:*") == [Job.key_for(due_schedule.job_id).encode()]


def test_dispatch_reports_a_queue_that_is_not_a_list_and_dispatches_the_others(
    due_schedule: ScheduledTask, put: MakeSchedule, redis_connection: Redis
):
    other = put(first=ago(5), settled_through=ago(6))
    redis_connection.set("rq:queue:low", "broken")
    pushed, lost, stuck = run_script(redis_connection, step(due_schedule), step(other))
    assert (len(pushed), lost, stuck) == (1, [], [due_schedule.job_id])
    assert score(redis_connection, due_schedule) == to_score(due_schedule.first)
    redis_connection.delete("rq:queue:low")
    assert len(dispatch(redis_connection, due_schedule)) == 1


def test_a_scheduled_job_is_moved_to_its_queue_once(
    schedule: ScheduledTask, redis_connection: Redis
):
    later = timezone.now() + timedelta(hours=1)
    run_id = RunId(schedule.job_id, later)
    enqueue_run(schedule, run_id, redis_connection, at=later)
    args = ("rq:scheduled:default", NOW, "default", run_id.job_id, "schedule-missing")
    assert redis_connection.eval(MOVE_SCHEDULED, 1, *args) == 1
    assert redis_connection.eval(MOVE_SCHEDULED, 1, *args) == 0
    assert queued(redis_connection) == [run_id.job_id]
