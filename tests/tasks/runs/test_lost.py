"""Nothing runs for ever on paper, and what waits by its row is not lost in Redis."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError

from tasks.broker.enqueue import enqueue_run
from tasks.broker.keys import LEASE_PROBE_KEY, lease_key
from tasks.broker.leases import CERTAINTY, LEASE_SECONDS, renew_lease
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.reasons import Code
from tasks.runs import completion, lease, lost
from tasks.runs.lease import Hold
from tasks.runs.lost import Watch
from tasks.services import TaskService
from tests.tasks.functions import CHECKED, ECHO, queued, work_off
from tests.tasks.runs.rescue import Rescue, close_lost_runs
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


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


@pytest.fixture
def rescue(redis_connection: Redis, clock: SimpleNamespace) -> Rescue:
    """Return the search, some time after the scheduler began to lead."""
    rescue = Rescue(redis_connection, clock)
    rescue.look(LEASE_SECONDS + 2)
    return rescue


def is_going(run: ScheduledTaskInstance) -> bool:
    run.refresh_from_db()
    return run.status == "running"


def test_a_lease_that_is_renewed_in_time_was_never_lost(
    rescue: Rescue, running: ScheduledTaskInstance, redis_connection: Redis
):
    for _ in range(3):
        redis_connection.delete(lease_key(running.run_job_id))
        rescue.look(CERTAINTY - 5)
        renew_lease(redis_connection, running.run_job_id, "w1")
        rescue.look()
    assert is_going(running)


def test_nobody_is_judged_for_a_lease_after_a_scheduler_begins_to_lead(
    running: ScheduledTaskInstance, redis_connection: Redis, clock: SimpleNamespace
):
    rescue = Rescue(redis_connection, clock)
    rescue.look(LEASE_SECONDS + CERTAINTY - 1)
    assert is_going(running)
    rescue.look(3)
    assert not is_going(running)


Interruption = Callable[[Rescue, Redis, SimpleNamespace, pytest.MonkeyPatch], None]


def _redis_is_unavailable(
    rescue: Rescue, redis: Redis, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis.connection_pool.connection_kwargs["server"]
    server.connected = False
    with pytest.raises(RedisError):
        rescue.look_once()
    server.connected = True


def _redis_refuses_writes(
    rescue: Rescue, redis: Redis, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ReadOnlyError("You can't write against a read only replica.")

    with monkeypatch.context() as patch:
        patch.setattr(redis, "set", refuse)
        with pytest.raises(ReadOnlyError):
            rescue.look_once()


def _redis_is_emptied(
    rescue: Rescue, redis: Redis, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.flushall()


def _another_scheduler_leads(
    rescue: Rescue, redis: Redis, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    Rescue(redis, clock).look_once()


def _the_scheduler_is_frozen(
    rescue: Rescue, redis: Redis, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.delete(LEASE_PROBE_KEY)  # It has lapsed meanwhile.


def _the_clock_of_redis_is_set(
    rescue: Rescue, redis: Redis, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_at = clock.now
    monkeypatch.setattr("tasks.clock.undisturbed_for", lambda: clock.now - set_at)


def _the_database_is_unavailable(
    rescue: Rescue, redis: Redis, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OperationalError("the database is unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(ScheduledTaskInstance.objects, "running", fail)
        with pytest.raises(OperationalError):
            rescue.look_once()


INTERRUPTIONS: list[tuple[Interruption, float]] = [
    (_redis_is_unavailable, LEASE_SECONDS),
    (_redis_refuses_writes, LEASE_SECONDS),
    (_redis_is_emptied, LEASE_SECONDS),
    (_another_scheduler_leads, LEASE_SECONDS),
    (_the_scheduler_is_frozen, LEASE_SECONDS),
    (_the_clock_of_redis_is_set, LEASE_SECONDS),
    (_the_database_is_unavailable, 0),
]


@pytest.mark.parametrize(("interruption", "wait"), INTERRUPTIONS)
def test_whatever_keeps_workers_from_renewing_their_leases_starts_the_wait_anew(
    rescue: Rescue,
    running: ScheduledTaskInstance,
    redis_connection: Redis,
    clock: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    interruption: Interruption,
    wait: float,
):
    rescue.look(CERTAINTY - 3)
    interruption(rescue, redis_connection, clock, monkeypatch)
    rescue.look(wait + CERTAINTY - 1)
    assert is_going(running)
    rescue.look(3)
    assert not is_going(running)


def test_a_run_whose_worker_renews_its_lease_at_the_database_is_not_lost(
    rescue: Rescue, running: ScheduledTaskInstance
):
    for _ in range(6):
        assert lease.renew(running.run_job_id, "w1") is Hold.HELD
        rescue.look(LEASE_SECONDS - 1)
    assert is_going(running)


def test_a_run_whose_lease_at_the_database_is_over_is_lost_a_lease_later(
    rescue: Rescue, running: ScheduledTaskInstance
):
    lease.renew(running.run_job_id, "w1")
    rescue.look(LEASE_SECONDS + CERTAINTY - 1)
    assert is_going(running)
    rescue.look(2)
    assert not is_going(running)


def test_a_run_whose_lease_is_renewed_at_the_last_moment_is_not_closed(
    rescue: Rescue,
    running: ScheduledTaskInstance,
    monkeypatch: pytest.MonkeyPatch,
):
    close = completion.close

    def close_late(record: Any, *args: Any, **values: Any) -> bool:
        lease.renew(running.run_job_id, "w1")
        return close(record, *args, **values)

    with monkeypatch.context() as patch:
        patch.setattr(completion, "close", close_late)
        rescue.look(CERTAINTY + 1)
    assert is_going(running)


def test_looking_for_lost_runs_does_not_read_their_logs(
    rescue: Rescue, running: ScheduledTaskInstance, django_assert_num_queries: Any
):
    with django_assert_num_queries(2) as captured:
        rescue.look_once()
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
