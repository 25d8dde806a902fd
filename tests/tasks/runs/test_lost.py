"""Nothing runs for ever on paper, and what waits by its row is not lost in Redis."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis

from tasks.broker.enqueue import enqueue_run
from tasks.broker.leases import CERTAINTY, renew_lease
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.reasons import Code
from tasks.runs import lost
from tasks.runs.lost import Watch
from tasks.services import TaskService
from tests.tasks.functions import CHECKED, ECHO, queued, work_off
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def close_lost_runs(redis: Redis, clock: SimpleNamespace) -> None:
    """Look for lost runs until they are certain."""
    watch = Watch()
    for _ in range(2):
        lost.close_lost_runs(redis, watch)
        clock.now += CERTAINTY


def enqueue_lost_jobs(redis: Redis, clock: SimpleNamespace) -> None:
    """Look for lost jobs until they are certain."""
    watch = Watch()
    for _ in range(2):
        lost.enqueue_lost_jobs(redis, watch)
        clock.now += CERTAINTY


@pytest.fixture
def running(schedule: ScheduledTask) -> ScheduledTaskInstance:
    """Return a running run without a lease."""
    return schedule.runs.create(name="x", due=ago(60), started=ago(59), worker_name="w1")


def test_a_run_without_a_lease_is_closed_as_lost(
    running: ScheduledTaskInstance, redis_connection: Redis, clock: SimpleNamespace
):
    close_lost_runs(redis_connection, clock)
    running.refresh_from_db()
    assert (running.status, running.reason_in_words()) == (
        "failed",
        "Lost: the worker “w1” died or lost contact.",
    )


def test_a_run_with_a_lease_is_not_closed_as_lost(
    running: ScheduledTaskInstance, redis_connection: Redis, clock: SimpleNamespace
):
    renew_lease(redis_connection, running.run_job_id, "w1")
    close_lost_runs(redis_connection, clock)
    running.refresh_from_db()
    assert running.status == "running"


def test_a_lease_that_is_renewed_in_time_was_never_lost(
    running: ScheduledTaskInstance, redis_connection: Redis, clock: SimpleNamespace
):
    watch = Watch()
    for leased in (False, True, False):
        if leased:
            renew_lease(redis_connection, running.run_job_id, "w1")
        else:
            redis_connection.flushall()
        lost.close_lost_runs(redis_connection, watch)
        clock.now += 10
    running.refresh_from_db()
    assert running.status == "running"


def test_looking_for_lost_runs_does_not_read_their_logs(
    running: ScheduledTaskInstance, redis_connection: Redis, django_assert_num_queries: Any
):
    with django_assert_num_queries(2) as captured:
        lost.close_lost_runs(redis_connection, Watch())
    assert not any('"log"' in query["sql"] for query in captured.captured_queries)


def test_the_parts_of_a_watch_remember_their_own_suspects(clock: SimpleNamespace):
    watch = Watch()
    watch.confirmed(["a"], 1)
    clock.now += CERTAINTY
    assert watch.confirmed(["b"], 2) == []
    assert watch.confirmed(["a"], 1) == ["a"]
    watch.confirmed([], 1)
    assert watch.confirmed(["a"], 1) == []


def test_a_lost_run_is_tried_again(
    running: ScheduledTaskInstance, redis_connection: Redis, clock: SimpleNamespace
):
    ScheduledTask.objects.update(retries=1)
    close_lost_runs(redis_connection, clock)
    assert queued(redis_connection) == [running.run_id.next_attempt().job_id]
    work_off(redis_connection)
    running.refresh_from_db()
    assert (running.status, running.attempt) == ("finished", 2)


def test_a_lost_call_is_closed_and_not_tried_again(redis_connection: Redis, clock: SimpleNamespace):
    task = Task.objects.create(name="x", function=ECHO, status="running", started=ago(60))
    close_lost_runs(redis_connection, clock)
    task.refresh_from_db()
    assert (task.status, queued(redis_connection)) == ("failed", [])


@pytest.mark.parametrize(
    ("delay", "ended", "expected"), [(0, 60, 1), (0, 4000, 0), (86_400, 4000, 1), (0, 90_000, 0)]
)
def test_a_lost_retry_is_enqueued_again_unless_long_overdue(
    redis_connection: Redis, clock: SimpleNamespace, delay: int, ended: int, expected: int
):
    schedule = make_row(retries=1, retry_delay=delay)
    schedule.runs.create(
        name="x", due=ago(ended), started=ago(ended), ended=ago(ended), status="failed"
    )
    enqueue_lost_jobs(redis_connection, clock)
    waiting = len(queued(redis_connection)) + redis_connection.zcard("rq:scheduled:default")
    assert waiting == expected


@pytest.mark.parametrize(
    "values", [{}, {"status": "reserved", "reserved_for": ago(-86_400)}], ids=["now", "later"]
)
def test_a_waiting_call_that_redis_lost_is_enqueued_again(
    redis_connection: Redis, clock: SimpleNamespace, values: dict[str, Any]
):
    task = Task.objects.create(name="x", function=ECHO, **values)
    Task.objects.update(created=ago(60))
    enqueue_lost_jobs(redis_connection, clock)
    assert redis_connection.exists(Job.key_for(task.job_id))


def test_a_waiting_call_of_an_unregistered_function_fails(
    redis_connection: Redis, clock: SimpleNamespace
):
    Task.objects.create(name="x", function="gone")
    Task.objects.update(created=ago(60))
    enqueue_lost_jobs(redis_connection, clock)
    assert Task.objects.get().status == "failed"


@pytest.mark.parametrize("state", ["queued", "started", "failed"])
def test_a_call_that_was_popped_and_lost_is_enqueued_again(
    redis_connection: Redis, clock: SimpleNamespace, state: str
):
    task = TaskService.enqueue_task(ECHO)
    Task.objects.update(created=ago(60))
    redis_connection.delete("rq:queue:default")
    redis_connection.hset(Job.key_for(task.job_id), "status", state)
    enqueue_lost_jobs(redis_connection, clock)
    assert queued(redis_connection) == [task.job_id]


@pytest.mark.parametrize(
    ("state", "status"), [("canceled", "canceled"), ("stopped", "canceled"), ("finished", "failed")]
)
def test_a_call_that_waits_although_its_job_has_ended_ends_and_does_not_run(
    redis_connection: Redis, clock: SimpleNamespace, state: str, status: str
):
    task = TaskService.enqueue_task(ECHO)
    Task.objects.update(created=ago(60))
    redis_connection.delete("rq:queue:default")
    redis_connection.hset(Job.key_for(task.job_id), "status", state)
    enqueue_lost_jobs(redis_connection, clock)
    task.refresh_from_db()
    assert (task.status, queued(redis_connection)) == (status, [])
    assert (
        "Its job was" in task.reason_in_words()
        or "Whether it ran is not known." in task.reason_in_words()
    )


def test_a_call_that_is_cancelled_by_rqs_interface_is_canceled(
    redis_connection: Redis, clock: SimpleNamespace
):
    task = TaskService.reserve_task(timedelta(days=1), ECHO)
    Task.objects.update(created=ago(60))
    Job.fetch(task.job_id, connection=redis_connection).cancel()
    enqueue_lost_jobs(redis_connection, clock)
    task.refresh_from_db()
    assert (task.status, task.reason_in_words()) == ("canceled", "Its job was cancelled in RQ.")


def test_a_call_whose_row_forgot_that_it_ran_does_not_run_again(
    redis_connection: Redis, clock: SimpleNamespace
):
    task = TaskService.enqueue_task(ECHO)
    work_off(redis_connection)
    # As a database that was restored from a backup.
    Task.objects.update(
        status="queued", started=None, ended=None, created=ago(60), result=None, worker_name=""
    )
    enqueue_lost_jobs(redis_connection, clock)
    assert work_off(redis_connection) == 0
    task.refresh_from_db()
    assert (task.status, task.result) == ("failed", None)


def test_a_call_whose_job_ends_between_two_looks_is_left_alone(
    redis_connection: Redis, clock: SimpleNamespace
):
    task = TaskService.enqueue_task(ECHO)
    Task.objects.update(created=ago(60))
    redis_connection.hset(Job.key_for(task.job_id), "status", "finished")
    lost.enqueue_lost_jobs(redis_connection, Watch())
    assert Task.objects.get().status == "queued"


def test_a_retry_that_was_popped_and_lost_is_enqueued_again(
    running: ScheduledTaskInstance, redis_connection: Redis, clock: SimpleNamespace
):
    ScheduledTask.objects.update(retries=1)
    close_lost_runs(redis_connection, clock)
    redis_connection.delete("rq:queue:default")
    enqueue_lost_jobs(redis_connection, clock)
    assert queued(redis_connection) == [running.run_id.next_attempt().job_id]


def test_a_retry_that_was_refused_is_not_enqueued_again(
    running: ScheduledTaskInstance, redis_connection: Redis, clock: SimpleNamespace
):
    ScheduledTask.objects.update(retries=1)
    close_lost_runs(redis_connection, clock)
    redis_connection.delete("rq:queue:default")
    job_id = running.run_id.next_attempt().job_id
    redis_connection.hset(Job.key_for(job_id), "status", "finished")
    enqueue_lost_jobs(redis_connection, clock)
    assert queued(redis_connection) == []


def test_a_call_on_its_queue_is_left_there(redis_connection: Redis, clock: SimpleNamespace):
    task = TaskService.enqueue_task(ECHO)
    Task.objects.update(created=ago(60))
    enqueue_lost_jobs(redis_connection, clock)
    assert queued(redis_connection) == [task.job_id]


@pytest.mark.parametrize("kind", ["manual", "backfill", "retry"])
def test_a_requested_run_or_retry_whose_check_killed_its_process_twice_is_given_up(
    redis_connection: Redis, clock: SimpleNamespace, kind: str
):
    due = ago(7_200)
    schedule = make_row(function=CHECKED, first=due, retries=1)
    run_id = RunId(schedule.job_id, due, is_backfill=kind == "backfill")
    if kind == "retry":
        failed = {"status": "failed", "started": ago(60), "ended": ago(60)}
        schedule.runs.create(name="x", due=due, **failed)
        run_id = run_id.next_attempt()
    else:
        if kind == "manual":
            run_id = RunId(schedule.job_id, None, requested=due)
        schedule.requests.create(due=run_id.due, requested=due)
    enqueue_run(schedule, run_id, redis_connection)
    redis_connection.lpop("rq:queue:default")
    redis_connection.hset(Job.key_for(run_id.job_id), "put_back", "the first execution")
    enqueue_lost_jobs(redis_connection, clock)
    run = schedule.runs.get()
    assert (run.status, run.reason_code) == (
        "failed" if kind == "retry" else "missed",
        Code.NEVER_STARTED,
    )
    assert (queued(redis_connection), schedule.requests.count()) == ([], 0)
