"""The child: runs job after job, and leaves nothing of one to the next."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone, translation
from redis import Redis
from rq.callbacks import Callback
from rq.job import Dependency, JobStatus, Retry
from rq.queue import Queue
from rq.registry import FinishedJobRegistry
from rq.repeat import Repeat
from rq.worker import DequeueStrategy

from tasks import clock
from tasks.broker.enqueue import enqueue_run, enqueue_task
from tasks.broker.in_flight import in_flight
from tasks.broker.keys import lease_key
from tasks.decorators import background_task
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, Task
from tasks.reasons import Code
from tasks.runs import holds, spool
from tasks.runs.writer import writer
from tasks.scheduler import Scheduler
from tasks.worker import Worker
from tasks.worker.child import Child, has_grown
from tasks.worker.pace import MOST_AT_A_TIME
from tasks.worker.queues import Batch
from tasks.worker.shared_state import FINISHED_SIZE, SharedState
from tests.tasks import functions
from tests.tasks.functions import CALL, CHECKED, ECHO, QUEUES, queued
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db

Behave = Callable[[Callable[..., Any]], None]


@pytest.fixture
def shared() -> SharedState:
    return SharedState()


@pytest.fixture
def child(redis_connection: Redis, shared: SharedState, monkeypatch: pytest.MonkeyPatch) -> Child:
    """Return what a worker's child does, in this process."""
    monkeypatch.setattr(writer, "witness", shared)
    child = Child(Worker(QUEUES, connection=redis_connection), shared)
    child._held = holds.read()
    return child


@pytest.fixture
def schedule() -> ScheduledTask:
    return make_row(function=CALL, settled_through=ago(3600), timeout=5, overlap="allow")


def dispatch(redis: Redis, schedule: ScheduledTask, number: int = 1) -> list[str]:
    runs = [RunId(schedule.job_id, ago(number - index)) for index in range(number)]
    for run_id in runs:
        enqueue_run(schedule, run_id, redis)
    return [run_id.job_id for run_id in runs]


def enqueue(redis: Redis, function: str = ECHO, **options: Any) -> Any:
    queue = Queue("default", connection=redis, job_class=Job, serializer="json")
    return queue.enqueue(function, **options)


def test_jobs_are_run_in_the_order_of_their_queue(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: 1)
    dispatch(redis_connection, schedule, 3)
    assert child.work_off() == (3, True)
    assert (
        list(schedule.runs.order_by("started").values_list("status", "result"))
        == [("finished", 1)] * 3
    )


def test_while_a_run_runs_its_row_says_running_and_the_row_of_the_run_before_has_its_end(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[list[str]] = []
    behave(
        lambda: seen.append(list(schedule.runs.order_by("due").values_list("status", flat=True)))
    )
    dispatch(redis_connection, schedule, 2)
    child.work_off()
    assert seen == [["running"], ["finished", "running"]]


@pytest.mark.parametrize(("policy", "goes_on"), [("stop", False), ("continue", True)])
def test_a_worker_knows_without_the_database_whether_a_run_goes_on_when_it_is_cut_off(
    child: Child,
    shared: SharedState,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    policy: str,
    goes_on: bool,
):
    seen: list[bool] = []
    behave(lambda: seen.append(shared.run.goes_on))
    schedule.on_disconnect = policy
    dispatch(redis_connection, schedule)
    child.work_off()
    assert seen == [goes_on]


def test_while_a_check_is_asked_the_row_of_the_run_before_has_its_end(
    child: Child, redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    values = {"first": ago(3600), "interval": 1, "settled_through": ago(3600)}
    schedule = make_row(function=CHECKED, overlap="allow", **values)
    seen: list[list[str]] = []
    look = lambda: seen.append(list(schedule.runs.values_list("status", flat=True)))  # noqa: E731
    monkeypatch.setattr(functions, "check", look)
    behave(lambda: None)
    for number in (1, 2):
        due = schedule.first + timedelta(seconds=number)
        enqueue_run(schedule, RunId(schedule.job_id, due), redis_connection)
    child.work_off()
    assert seen == [[], ["finished"]]


def test_a_child_runs_no_more_jobs_than_it_was_ordered(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: None)
    dispatch(redis_connection, schedule, 3)
    assert child.work_off(limit=2) == (2, True)
    assert redis_connection.llen("rq:queue:default") == 1
    assert schedule.runs.filter(status="finished").count() == 2


def test_a_child_that_is_requested_to_stop_takes_no_further_job(
    child: Child,
    shared: SharedState,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
):
    behave(shared.request_stop)
    dispatch(redis_connection, schedule, 2)
    assert child.work_off() == (1, True)
    assert schedule.runs.get().status == "finished"


def test_the_shared_state_holds_the_current_run_of_the_child(
    child: Child,
    shared: SharedState,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
):
    seen: list[Any] = []
    behave(lambda: seen.append((shared.run.job_id, shared.run.timeout, shared.is_running)))
    [job_id] = dispatch(redis_connection, schedule)
    child.work_off()
    assert seen == [(job_id, 5, True)]
    assert (shared.run, shared.end) == (None, None)


def test_the_shared_state_keeps_the_end_of_a_run_until_it_is_in_its_row(
    child: Child,
    shared: SharedState,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
):
    [job_id] = dispatch(redis_connection, schedule)
    behave(lambda: "result")
    child.run(child.next_job(1))
    assert schedule.runs.get().status == "running"
    end = shared.end
    assert end is not None
    assert (end["job_id"], end["values"]["result"]) == (job_id, "result")
    spool.push(redis_connection, job_id, "finished", **end["values"])
    spool.drain(redis_connection)
    assert (schedule.runs.get().status, schedule.runs.get().result) == ("finished", "result")


def test_the_end_of_a_run_that_neither_server_takes_is_recorded_once_redis_is_back(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    redis_unavailable: Any,
    behave: Behave,
    monkeypatch: pytest.MonkeyPatch,
):
    def lose_both_servers() -> None:
        redis_unavailable(True)
        raise ValueError("no")

    def be_unavailable(*args: Any, **values: Any) -> bool:
        raise OperationalError("the database is unavailable")

    behave(lose_both_servers)
    dispatch(redis_connection, schedule)
    with monkeypatch.context() as patch:
        patch.setattr("tasks.runs.recorder.patiently", lambda step: step())
        patch.setattr("tasks.runs.completion.close", be_unavailable)
        assert child.work_off() == (0, False)
    redis_unavailable(False)
    child.work_off()
    spool.drain(redis_connection)
    run = schedule.runs.get()
    assert (run.status, run.exception_class) == ("failed", "builtins.ValueError")


def test_a_job_that_raises_fails_and_the_next_job_runs(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    outcomes = iter([ValueError("no"), None])

    def fail_once() -> None:
        if error := next(outcomes):
            raise error

    behave(fail_once)
    first, _ = dispatch(redis_connection, schedule, 2)
    assert child.work_off() == (2, True)
    assert list(schedule.runs.order_by("due").values_list("status", flat=True)) == [
        "failed",
        "finished",
    ]
    job = Job.fetch(first, connection=redis_connection)
    assert job.get_status() == JobStatus.FAILED
    assert "ValueError: no" in job.latest_result().exc_string


def test_the_exception_handlers_of_the_worker_are_called_for_a_failed_run(
    shared: SharedState, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    def fail() -> None:
        raise ValueError("no")

    behave(fail)
    seen: list[Any] = []
    handler = lambda job, kind, error, trace: seen.append((job.id, kind))  # noqa: E731
    worker = Worker(["default"], connection=redis_connection, exception_handlers=[handler])
    [job_id] = dispatch(redis_connection, schedule)
    Child(worker, shared).work_off()
    assert seen == [(job_id, ValueError)]


def fail() -> None:
    raise ValueError("no")


def test_a_failed_run_is_one_error_in_the_log_with_its_traceback(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave, caplog: Any
):
    behave(fail)
    dispatch(redis_connection, schedule)
    child.work_off()
    run = schedule.runs.get()
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage() == f"“{schedule.name}” failed: Failed for: ValueError: no"
    assert record.levelno == logging.ERROR
    assert isinstance(record.exc_info[1], ValueError)
    assert 'raise ValueError("no")' in run.traceback


def test_a_run_that_cannot_be_called_is_one_line_in_the_log(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, caplog: Any
):
    [job_id] = dispatch(redis_connection, schedule)
    redis_connection.hset(Job.key_for(job_id), "data", "nonsense")
    child.work_off()
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "\n" not in record.getMessage()
    assert schedule.runs.get().reason in record.getMessage()


def test_a_traceback_that_is_in_no_row_is_logged(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave, caplog: Any
):
    def fail_too_late() -> None:
        schedule.runs.update(status="canceled", ended=timezone.now())
        raise ValueError("too late")

    behave(fail_too_late)
    dispatch(redis_connection, schedule)
    child.work_off()
    assert "ValueError: too late" in caplog.text
    enqueue(redis_connection, CALL)
    behave(fail)
    child.work_off()
    assert "ValueError: no" in caplog.text


def test_a_failing_callback_of_a_failed_run_is_logged(
    child: Child, redis_connection: Redis, schedule: ScheduledTask, behave: Behave, caplog: Any
):
    behave(fail)
    [job_id] = dispatch(redis_connection, schedule)
    redis_connection.hset(Job.key_for(job_id), "failure_callback_name", BROKEN)
    child.work_off()
    assert "KeyError: 'of the callback'" in caplog.text


def test_a_queue_whose_key_holds_something_else_is_logged_and_the_other_queues_are_served(
    child: Child, redis_connection: Redis, schedule: ScheduledTask, caplog: Any
):
    caplog.set_level(logging.INFO)
    redis_connection.set("rq:queue:high", "x")
    enqueue(redis_connection)
    enqueue(redis_connection)
    assert child.work_off() == (2, True)
    assert child.work_off() == (0, True)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == [
        "Queue “high” can't be used; the others can. The key rq:queue:high in Redis is a "
        "string, not a list: delete or rename it."
    ]
    redis_connection.delete("rq:queue:high")
    Queue("high", connection=redis_connection, job_class=Job, serializer="json").enqueue(ECHO)
    assert child.work_off() == (1, True)
    assert "Queue “high” can be used again." in caplog.text


def test_a_key_of_the_wrong_type_that_keeps_a_worker_waiting_is_logged(
    child: Child, redis_connection: Redis, caplog: Any
):
    job = enqueue(redis_connection)
    redis_connection.set("rq:finished:default", "x")
    assert child.work_off() == (1, False)
    assert "The key rq:finished:default in Redis is a string, not a zset" in caplog.text
    redis_connection.delete("rq:finished:default")
    assert child.work_off() == (0, True)
    assert job.get_status(refresh=True) == JobStatus.FINISHED


@pytest.mark.parametrize("result", [Decimal("1.5"), date(2026, 1, 31), {1: {2}}], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"retry": Retry(max=1)},
        {"repeat": Repeat(times=1)},
        {"on_success": Callback(ECHO)},
        {"meta": {"a": 1}},
    ],
    ids=lambda options: "".join(options) or "plain",
)
def test_a_job_whose_result_is_not_json_has_finished_without_it_and_its_dependents_follow(
    child: Child,
    redis_connection: Redis,
    behave: Behave,
    caplog: Any,
    result: Any,
    options: dict[str, Any],
):
    calls: list[Any] = []

    def call() -> Any:
        calls.append(1)
        return result

    behave(call)
    job = enqueue(redis_connection, CALL, **options)
    alone = enqueue(redis_connection, CALL)
    dependent = enqueue(redis_connection, depends_on=Dependency(job))
    while child.work_off() != (0, True):
        pass
    for one in (job, alone, dependent):
        assert one.get_status(refresh=True) == JobStatus.FINISHED
    for one in (job, alone):
        assert one.return_value() is None
        assert f"Job {one.id} has finished. Its result is left out" in caplog.text
    assert len(calls) == (3 if "repeat" in options else 2)


def test_an_external_job_whose_result_is_not_json_has_finished(
    child: Child, scheduler: Scheduler, redis_connection: Redis, behave: Behave
):
    behave(lambda: Decimal(1))
    job = scheduler.schedule(datetime.now(UTC), functions.call, interval=3600)
    scheduler.enqueue_jobs()
    assert child.work_off() == (1, True)
    assert job.get_status(refresh=True) == JobStatus.FINISHED
    assert job in scheduler


def test_a_job_with_a_callback_that_is_not_registered_is_not_called(
    child: Child, redis_connection: Redis, behave: Behave, caplog: Any
):
    calls: list[Any] = []
    behave(lambda: calls.append(1))
    sys.modules.pop("this", None)
    for callback in ("success", "failure", "stopped"):
        job = enqueue(redis_connection, CALL)
        redis_connection.hset(job.key, f"{callback}_callback_name", "this.s")
        child.work_off()
        assert job.get_status(refresh=True) == JobStatus.FAILED
        assert "“this.s” is not a registered task function" in job.latest_result().exc_string
    assert (calls, "this" in sys.modules) == ([], False)


def test_a_job_whose_success_callback_raises_fails_and_the_next_job_runs(
    child: Child, redis_connection: Redis
):
    job = enqueue(redis_connection, on_success=Callback(BROKEN))
    after = enqueue(redis_connection)
    assert child.work_off() == (2, True)
    assert job.get_status(refresh=True) == JobStatus.FAILED
    assert "of the callback" in job.latest_result().exc_string
    assert after.get_status(refresh=True) == JobStatus.FINISHED


@background_task
def broken_callback(*args: Any) -> None:
    raise KeyError("of the callback")


BROKEN = f"{broken_callback.__module__}.{broken_callback.__qualname__}"


def test_dependents_are_enqueued_when_a_job_has_finished(child: Child, redis_connection: Redis):
    first = enqueue(redis_connection)
    second = enqueue(redis_connection, depends_on=Dependency(first))
    assert child.work_off() == (2, True)
    for job in (first, second):
        assert job.get_status(refresh=True) == JobStatus.FINISHED


def test_a_finished_job_is_counted_once_by_rq(child: Child, redis_connection: Redis):
    enqueue(redis_connection)
    assert [child.work_off(), child.work_off()] == [(1, True), (0, True)]
    [worker] = redis_connection.scan_iter("rq:worker:*")
    assert redis_connection.hget(worker, "successful_job_count") == b"1"


def test_the_success_callback_of_a_job_is_called(
    child: Child, redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []
    monkeypatch.setattr(
        "rq.worker.base.execute_success_callback", lambda job, *args: seen.append(job.id)
    )
    job = enqueue(redis_connection, on_success="tests.tasks.functions.echo")
    child.work_off()
    assert seen == [job.id]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", b"\xff not JSON"),
        ("status", b"\xff"),
        ("created_at", b"not a date"),
        ("timeout", b"soon"),
        ("retry_intervals", b"{"),
    ],
)
def test_a_job_whose_hash_cannot_be_read_fails_only_its_own_run(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    field: str,
    value: bytes,
):
    behave(lambda: None)
    bad, _ = dispatch(redis_connection, schedule, 2)
    redis_connection.hset(Job.key_for(bad), field, value)
    assert child.work_off() == (2, True)
    first, second = schedule.runs.order_by("due")
    assert (first.status, second.status) == ("failed", "finished")
    assert first.reason.startswith("Failed for: ")


@pytest.fixture
def other_worker(redis_connection: Redis) -> Worker:
    """Return a worker of the same queues that is live as well."""
    worker = Worker(QUEUES, connection=redis_connection, name="other")
    worker.register_birth()
    return worker


# What the code of another version may have put on a queue: a job's payload.
UNKNOWN = [["gone.away", None, [], {}], ["tests.only_scheduled", None, ["abc"], {}]]


def make_unknown(redis: Redis, job_id: str, payload: Any = UNKNOWN[0]) -> None:
    redis.hset(Job.key_for(job_id), "data", json.dumps(payload))


def move_scheduled(redis: Redis) -> None:
    """Do what the scheduler does once the jobs that were put back are due."""
    for job_id in redis.zrange("rq:scheduled:default", 0, -1):
        redis.zrem("rq:scheduled:default", job_id)
        redis.rpush("rq:queue:default", job_id)


@pytest.mark.parametrize("payload", UNKNOWN)
def test_a_job_that_this_workers_code_does_not_know_is_left_to_the_others(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    other_worker: Worker,
    payload: Any,
):
    behave(lambda: "ran")
    unknown, known = dispatch(redis_connection, schedule, 2)
    make_unknown(redis_connection, unknown, payload)
    before = clock.timestamp()
    assert child.work_off() == (2, True)
    assert [run.run_job_id for run in schedule.runs.all()] == [known]
    job = Job.fetch(unknown, connection=redis_connection)
    assert (job.get_status(), job.worker_name) == (JobStatus.SCHEDULED, None)
    assert redis_connection.zcard("rq:wip:default") == 0
    assert not redis_connection.exists(lease_key(unknown))
    assert redis_connection.zrange("rq:scheduled:default", 0, -1) == [unknown.encode()]
    due = redis_connection.zscore("rq:scheduled:default", unknown)
    assert before + 1 <= due <= clock.timestamp() + 1
    assert in_flight([(unknown, "default")], redis_connection) == [True]


def test_a_job_that_was_left_to_the_others_is_run_by_one_that_knows_it(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    other_worker: Worker,
):
    behave(lambda: "ran")
    [job_id] = dispatch(redis_connection, schedule)
    payload = redis_connection.hget(Job.key_for(job_id), "data")
    make_unknown(redis_connection, job_id)
    child.work_off()
    redis_connection.hset(Job.key_for(job_id), "data", payload)
    move_scheduled(redis_connection)
    Child(other_worker, SharedState()).work_off()
    assert [(run.status, run.result) for run in schedule.runs.all()] == [("finished", "ran")]
    assert not redis_connection.hexists(Job.key_for(job_id), "refused_by")


def test_a_job_that_all_live_workers_have_refused_fails_and_says_so(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, other_worker: Worker
):
    [job_id] = dispatch(redis_connection, schedule)
    make_unknown(redis_connection, job_id)
    child._worker.register_birth()
    child.work_off()
    for _ in range(2):
        move_scheduled(redis_connection)
        child.work_off()
        assert not schedule.runs.exists()
    move_scheduled(redis_connection)
    Child(other_worker, SharedState()).work_off()
    run = schedule.runs.get()
    assert (run.status, run.reason_code) == ("failed", Code.REFUSED_BY_ALL)
    assert run.reason_in_words().startswith(
        "Failed for: UnknownTaskFunction: No task function is registered as “gone.away”."
    )
    assert "number of workers: 2." in run.reason_in_words()
    job = Job.fetch(job_id, connection=redis_connection)
    assert job.get_status() == JobStatus.FAILED


def test_a_job_that_the_only_worker_does_not_know_fails_at_once(
    child: Child, schedule: ScheduledTask, redis_connection: Redis
):
    child._worker.register_birth()
    [job_id] = dispatch(redis_connection, schedule)
    make_unknown(redis_connection, job_id, UNKNOWN[1])
    child.work_off()
    run = schedule.runs.get()
    assert (run.status, run.reason_code) == ("failed", Code.REFUSED_BY_ALL)
    assert "“number” must be a whole number, not 'abc'." in run.reason


def test_a_job_that_nobody_has_taken_for_too_long_fails_and_says_so(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    other_worker: Worker,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
):
    settings.TASKS_UNKNOWN_AFTER = 60
    [job_id] = dispatch(redis_connection, schedule)
    make_unknown(redis_connection, job_id)
    child.work_off()
    assert not schedule.runs.exists()
    move_scheduled(redis_connection)
    later = clock.timestamp() + 61
    monkeypatch.setattr(clock, "timestamp", lambda: later)
    child.work_off()
    run = schedule.runs.get()
    assert (run.status, run.reason_code) == ("failed", Code.REFUSED_TOO_LONG)
    assert "No worker knew its function and arguments within 61 s" in run.reason_in_words()


def test_a_background_call_that_was_left_to_others_still_waits_in_its_row(
    child: Child, redis_connection: Redis, other_worker: Worker
):
    task = Task.objects.create(name="x", function=ECHO)
    enqueue_task(task, redis_connection)
    make_unknown(redis_connection, task.job_id)
    child.work_off()
    task.refresh_from_db()
    assert (task.status, task.started) == ("queued", None)


def test_a_job_that_is_left_to_others_is_one_warning_of_each_worker(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    other_worker: Worker,
    caplog: Any,
):
    [job_id] = dispatch(redis_connection, schedule)
    make_unknown(redis_connection, job_id)
    child.work_off()
    move_scheduled(redis_connection)
    child.work_off()
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.getMessage().startswith(f"Job {job_id} is left to other workers: No task func")


def test_a_job_whose_payload_cannot_be_read_is_not_left_to_others(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, other_worker: Worker
):
    [job_id] = dispatch(redis_connection, schedule)
    redis_connection.hset(Job.key_for(job_id), "data", "nonsense")
    child.work_off()
    run = schedule.runs.get()
    assert (run.status, run.reason_code) == ("failed", None)


def test_a_job_that_was_left_to_others_is_not_returned_a_second_time_when_the_child_dies(
    child: Child,
    shared: SharedState,
    schedule: ScheduledTask,
    redis_connection: Redis,
    other_worker: Worker,
):
    [job_id] = dispatch(redis_connection, schedule)
    make_unknown(redis_connection, job_id)
    taken = child.next_job(1)
    child.run(taken)
    assert shared.run is None
    assert not child._queues.return_to_queue(taken)
    child._queues.put_off(taken, 0.0, {})
    assert redis_connection.llen("rq:queue:default") == 0
    assert redis_connection.zscore("rq:scheduled:default", job_id) > 0


def test_a_job_whose_meta_cannot_be_read_runs_all_the_same(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: None)
    [bad] = dispatch(redis_connection, schedule)
    redis_connection.hset(Job.key_for(bad), "meta", b"\xff")
    child.work_off()
    assert schedule.runs.get().status == "finished"


def test_a_child_whose_run_swallowed_its_timeout_is_due_for_recycling(
    child: Child, redis_connection: Redis, behave: Behave
):
    schedule = make_row(function=CALL, settled_through=ago(3600), timeout=1)

    def swallow() -> None:
        try:
            threading.Event().wait(10)
        except Exception:
            return

    behave(swallow)
    dispatch(redis_connection, schedule, 1)
    child.work_off()
    assert child.is_due_for_recycling
    assert schedule.runs.get().status == "failed"


def test_a_child_is_due_for_recycling_after_its_maximum_number_of_runs(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    settings: Any,
):
    settings.TASKS_CHILD_MAX_RUNS = 2
    behave(lambda: None)
    dispatch(redis_connection, schedule, 3)
    assert child.work_off() == (2, True)
    assert child.is_due_for_recycling


on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="what PostgreSQL lets a function do"
)


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@on_postgresql
@pytest.mark.parametrize("sql", ["SET default_transaction_read_only = on", "SET search_path = x"])
@pytest.mark.django_db(transaction=True)
def test_what_a_function_sets_on_its_database_connection_does_not_keep_the_next_run_from_starting(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave, sql: str
):
    behave(lambda: execute(sql))
    dispatch(redis_connection, schedule, 3)
    child.work_off()
    connection.close()
    spool.drain(redis_connection)
    assert list(schedule.runs.values_list("status", flat=True)) == ["finished"] * 3


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_migration_while_a_worker_is_running_costs_no_run(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: None)
    dispatch(redis_connection, schedule, 2)
    child.work_off()
    try:
        execute("ALTER TABLE tasks_scheduledtask ALTER name TYPE varchar(333)")
        execute("ALTER TABLE tasks_scheduledtaskinstance ALTER name TYPE varchar(333)")
        dispatch(redis_connection, schedule, 4)
        child.work_off()
    finally:
        execute("ALTER TABLE tasks_scheduledtaskinstance ALTER name TYPE varchar(200)")
        execute("ALTER TABLE tasks_scheduledtask ALTER name TYPE varchar(200)")
    assert list(schedule.runs.values_list("status", flat=True)) == ["finished"] * 6


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "leave_open",
    [
        lambda: transaction.atomic().__enter__(),
        lambda: transaction.set_autocommit(False),
        pytest.param(lambda: execute("BEGIN"), marks=on_postgresql),
    ],
    ids=["a block", "autocommit off", "its own BEGIN"],
)
def test_a_transaction_that_a_function_left_open_is_rolled_back_and_reaches_no_other_row(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    leave_open: Callable[[], None],
):
    def leave_work_open() -> None:
        leave_open()
        ScheduledTask.objects.filter(pk=schedule.pk).update(note="not committed")

    behave(leave_work_open)
    dispatch(redis_connection, schedule, 2)
    child.work_off()
    connection.close()
    schedule.refresh_from_db()
    assert schedule.note == ""
    ends = [(run.status, run.reason_in_words()) for run in schedule.runs.all()]
    assert ends == [("finished", "It left a transaction open, which was rolled back.")] * 2


def test_a_child_that_has_used_too_much_memory_counts_as_grown(settings: Any):
    assert not has_grown()
    settings.TASKS_CHILD_MAX_MEMORY = 1
    assert has_grown()


def test_a_run_leaves_no_signal_handler_language_or_zone_to_the_next(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []

    def leave_things() -> None:
        seen.append(
            (
                signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
                translation.get_language(),
                timezone.get_current_timezone_name(),
            )
        )
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        translation.activate("de")
        timezone.activate("Asia/Tokyo")

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    behave(leave_things)
    dispatch(redis_connection, schedule, 2)
    try:
        child.work_off()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert seen[0] == seen[1] == (False, translation.get_language(), "UTC")


def test_when_redis_becomes_unavailable_during_a_run_its_row_is_written_and_rq_is_told_later(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    redis_unavailable: Any,
):
    behave(lambda: redis_unavailable(True))
    [job_id] = dispatch(redis_connection, schedule)
    assert child.work_off() == (1, False)
    assert schedule.runs.get().status == "finished"
    redis_unavailable(False)
    assert child.work_off() == (0, True)
    assert Job.fetch(job_id, connection=redis_connection).get_status() == JobStatus.FINISHED


def test_an_external_job_is_run_and_has_its_result_in_redis(child: Child, redis_connection: Redis):
    job = enqueue(redis_connection, args=[7])
    child.work_off()
    assert job.return_value(refresh=True) == [[7], {}]


@pytest.mark.django_db(transaction=True)
def test_an_external_job_gets_a_fresh_database_connection_when_the_old_one_is_obsolete(
    child: Child, redis_connection: Redis, behave: Behave
):
    connection.ensure_connection()
    connection.close_at = 0.0  # obsolete
    kept = connection.connection
    seen: list[Any] = []
    behave(lambda: seen.append(connection.connection))
    enqueue(redis_connection, CALL)
    child.work_off()
    assert seen != [kept]


def test_the_database_connection_is_kept_from_run_to_run(
    child: Child, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []
    behave(lambda: seen.append(connection.connection))
    dispatch(redis_connection, schedule, 2)
    child.work_off()
    assert seen[0] is seen[1] is not None


@pytest.mark.django_db(transaction=True)
def test_a_child_answers_an_order_and_exits_when_its_worker_closes_the_connection(
    redis_connection: Redis,
):
    worker = Worker(["default"], connection=redis_connection)
    # What `work` forks, it keeps to itself until it has ended.
    process = worker._fork()
    process.orders.send(0)
    assert process.orders.recv() == (0, True, False, [])
    process.orders.close()
    assert os.waitpid(process.pid, 0)[1] == 0


# What is taken ahead


@pytest.fixture
def steps(child: Child, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many jobs each step has taken so far."""
    taken: list[int] = []
    step = child._queues.step

    def count(*args: Any, **options: Any) -> Batch:
        batch = step(*args, **options)
        taken.append(len(batch.taken))
        return batch

    monkeypatch.setattr(child._queues, "step", count)
    return taken


def at_full_pace(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a child take as many jobs at a time as it may, however long its runs take."""
    monkeypatch.setattr(child._pace, "next", lambda now: MOST_AT_A_TIME)


def test_while_runs_are_short_more_and_more_jobs_are_taken_at_a_time(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("tasks.worker.pace.AHEAD_SECONDS", 60)
    behave(lambda: None)
    job_ids = dispatch(redis_connection, schedule, 18)
    child.work_off()
    assert steps == [1, 2, 4, 8, 3, 0]
    assert [run.run_job_id for run in schedule.runs.order_by("pk")] == job_ids
    finished = FinishedJobRegistry("default", redis_connection)
    assert sorted(finished.get_job_ids()) == sorted(job_ids)


@pytest.mark.parametrize("strategy", [DequeueStrategy.ROUND_ROBIN, DequeueStrategy.RANDOM])
def test_a_worker_that_goes_round_its_queues_takes_one_job_at_a_time(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
    strategy: DequeueStrategy,
):
    at_full_pace(child, monkeypatch)
    child._worker._dequeue_strategy = strategy
    behave(lambda: None)
    dispatch(redis_connection, schedule, 2)
    child.work_off()
    assert steps == [1, 1, 0]


def test_what_was_taken_ahead_is_back_on_its_queue_when_a_child_is_requested_to_stop(
    child: Child,
    shared: SharedState,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    monkeypatch: pytest.MonkeyPatch,
):
    at_full_pace(child, monkeypatch)
    behave(shared.request_stop)
    first, *others = dispatch(redis_connection, schedule, 4)
    assert child.work_off() == (1, True)
    assert queued(redis_connection) == others
    assert (shared.ahead, shared.unreported) == ([], [])
    assert Job.fetch(first, connection=redis_connection).get_status() == JobStatus.FINISHED


def test_what_was_taken_ahead_too_long_ago_is_taken_anew(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
):
    at_full_pace(child, monkeypatch)
    monkeypatch.setattr("tasks.worker.child.MAX_AHEAD_SECONDS", -1)
    behave(lambda: None)
    dispatch(redis_connection, schedule, 3)
    child.work_off()
    assert steps == [3, 2, 1, 0]
    assert schedule.runs.filter(status="finished").count() == 3


def test_what_the_worker_has_given_back_meanwhile_is_not_begun(
    child: Child,
    shared: SharedState,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    monkeypatch: pytest.MonkeyPatch,
):
    at_full_pace(child, monkeypatch)
    [_, other] = dispatch(redis_connection, schedule, 2)
    behave(shared.take_over)
    child.work_off()
    assert schedule.runs.get().status == "finished"
    assert [taken.job_id for taken in child._queues.repeat("unknown").taken] == []
    assert Job.fetch(other, connection=redis_connection).get_status() == JobStatus.STARTED


def test_what_the_worker_has_reported_meanwhile_is_not_reported_again(
    child: Child,
    shared: SharedState,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    monkeypatch: pytest.MonkeyPatch,
):
    at_full_pace(child, monkeypatch)
    reports: list[int] = []
    step = child._queues.step

    def note(finished: Any, *args: Any, **options: Any) -> Batch:
        reports.append(len(finished))
        return step(finished, *args, **options)

    monkeypatch.setattr(child._queues, "step", note)
    outcomes = iter([lambda: None, shared.take_over])
    behave(lambda: next(outcomes)())
    dispatch(redis_connection, schedule, 2)
    child.work_off()
    assert reports == [0, 1]


def test_a_result_too_large_to_be_kept_is_reported_before_the_next_job_is_begun(
    child: Child,
    redis_connection: Redis,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
):
    at_full_pace(child, monkeypatch)
    jobs = [enqueue(redis_connection, args=["x" * FINISHED_SIZE]) for _ in range(2)]
    child.work_off()
    assert steps == [2, 1, 0]
    assert all(len(job.return_value()[0][0]) == FINISHED_SIZE for job in jobs)


def test_a_job_that_depends_on_one_of_several_runs_after_it(
    child: Child, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    at_full_pace(child, monkeypatch)
    first, *_ = [enqueue(redis_connection) for _ in range(3)]
    dependent = enqueue(redis_connection, depends_on=first)
    assert child.work_off() == (4, True)
    assert dependent.get_status(refresh=True) == JobStatus.FINISHED


def test_what_was_taken_ahead_when_redis_went_away_runs_when_it_is_back(
    child: Child,
    schedule: ScheduledTask,
    redis_connection: Redis,
    redis_unavailable: Any,
    behave: Behave,
    shared: SharedState,
    monkeypatch: pytest.MonkeyPatch,
):
    at_full_pace(child, monkeypatch)
    monkeypatch.setattr("tasks.worker.child.MAX_AHEAD_SECONDS", -1)
    behave(lambda: redis_unavailable(True))
    [_, *others] = dispatch(redis_connection, schedule, 3)
    assert child.work_off() == (1, False)
    assert [taken.job_id for taken in shared.ahead] == others
    redis_unavailable(False)
    behave(lambda: None)
    child.work_off()
    assert schedule.runs.filter(status="finished").count() == 3
