"""A run with a process of its own is recorded as any other."""

import logging
import os
import signal
import threading
import time
from typing import Any

import pytest
from redis import Redis

import tasks
from tasks import registry
from tasks.broker import projection
from tasks.broker.enqueue import build_job, enqueue_task
from tasks.job import Job
from tasks.models import ScheduledTask, Task
from tasks.runs.isolation import is_isolated
from tasks.storable import MAX_RESULT
from tasks.worker import Worker
from tasks.worker.child import Child
from tasks.worker.shared_state import SharedState
from tests.tasks.functions import CALL, perform
from tests.tasks.runs.attempts import Behave, Run, end, enqueue, raising
from tests.tasks.schedules import make_row
from tests.tasks.worker.test_child import enqueue as enqueue_external

pytestmark = pytest.mark.django_db


@pytest.fixture
def schedule(schedule: ScheduledTask) -> ScheduledTask:
    ScheduledTask.objects.update(isolated=True)
    schedule.refresh_from_db()
    return schedule


def test_an_isolated_run_that_returns_is_finished_with_its_result(run: Run):
    row = run(lambda: {"process": os.getpid()})
    assert row.status == "finished"
    assert row.result is not None
    assert row.result["process"] != os.getpid()


def test_an_isolated_run_changes_nothing_in_its_workers_process(run: Run):
    seen: list[int] = []
    assert run(lambda: seen.append(1)).status == "finished"
    assert seen == []


def test_an_isolated_run_that_raises_is_failed_with_reason_class_and_traceback(run: Run):
    row = run(raising(ValueError("not so")))
    assert end(row) == ("failed", "Failed for: ValueError: not so")
    assert row.exception_class == "builtins.ValueError"
    assert "raise_it" in row.traceback


def test_what_an_isolated_run_raises_reaches_rq(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(raising(ValueError("not so")))
    job = perform(redis_connection, enqueue(redis_connection, schedule))
    assert job.get_status() == "failed"
    assert "raise_it" in job.latest_result().exc_string


def test_an_isolated_run_that_is_killed_is_lost_and_its_log_is_kept(run: Run):
    def log_and_die() -> None:
        logging.getLogger("tests.any").info("the last words")
        os.kill(os.getpid(), signal.SIGKILL)

    row = run(log_and_die)
    assert end(row) == ("failed", "Lost: its process was killed by signal 9.")
    assert "the last words" in row.log
    assert row.log.endswith("Lost: its process was killed by signal 9.\n")


def test_an_isolated_run_that_is_killed_is_lost_though_another_process_holds_its_pipe(run: Run):
    def fork_and_die() -> None:
        if os.fork() == 0:
            time.sleep(5)  # Longer than the timeout.
        os.kill(os.getpid(), signal.SIGKILL)

    assert end(run(fork_and_die)) == ("failed", "Lost: its process was killed by signal 9.")


def test_an_isolated_run_that_gets_no_process_has_failed(run: Run, monkeypatch: pytest.MonkeyPatch):
    def refuse() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", refuse)
    assert end(run(lambda: 1)) == ("failed", "Failed for: BlockingIOError: no more processes")


def test_an_isolated_run_that_times_out_has_failed(run: Run):
    row = run(lambda: time.sleep(30))
    assert row.reason.startswith("Failed for: JobTimeoutException: Task exceeded")


def test_an_isolated_run_that_times_out_while_it_logs_has_failed(run: Run):
    def log() -> None:
        while True:
            logging.getLogger("tests.any").info("x" * 10_000)

    row = run(log)
    assert row.reason.startswith("Failed for: JobTimeoutException: Task exceeded")


def test_the_log_of_an_isolated_run_has_what_its_threads_log(run: Run):
    def log() -> None:
        for number in range(50):
            logging.getLogger("tests.any").info("line %d %s", number, "x" * 100)

    def work() -> None:
        threads = [threading.Thread(target=log) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert run(work).log.count("line 49") == 4


def test_the_progress_of_an_isolated_run_is_recorded(run: Run):
    def work() -> None:
        tasks.progress(1, 4, "quarter")
        raise ValueError

    row = run(work)
    assert (row.progress, row.progress_message) == (25, "quarter")


def test_a_result_that_is_no_json_or_too_large_is_noted_for_an_isolated_run(run: Run):
    row = run(lambda: "x" * 10**6)
    assert row.result is not None
    assert row.result["size"] == 10**6 + 2
    assert len(row.result["beginning"]) < MAX_RESULT


def test_an_isolated_background_call_is_recorded(
    redis_connection: Redis, behave: Behave, settings: Any
):
    settings.TASKS_ISOLATED = True
    behave(os.getpid)
    task = Task.objects.create(name="x", function=CALL)
    enqueue_task(task, redis_connection)
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert task.status == "finished"
    assert task.result != os.getpid()


def test_an_external_job_gets_a_process_of_its_own_too(
    redis_connection: Redis, behave: Behave, settings: Any
):
    settings.TASKS_ISOLATED = True
    behave(os.getpid)
    job = enqueue_external(redis_connection, CALL)
    Child(Worker(["default"], connection=redis_connection), SharedState()).work_off()
    assert job.return_value(refresh=True) not in (None, os.getpid())


def test_an_external_job_that_fails_in_a_process_of_its_own_has_failed(
    redis_connection: Redis, behave: Behave, settings: Any
):
    settings.TASKS_ISOLATED = True
    behave(raising(ValueError("no")))
    job = enqueue_external(redis_connection, CALL)
    Child(Worker(["default"], connection=redis_connection), SharedState()).work_off()
    assert "ValueError: no" in job.latest_result().exc_string


@pytest.mark.parametrize(
    ("by_schedule", "by_function", "by_setting", "isolated"),
    [
        (None, None, False, False),
        (None, None, True, True),
        (None, False, True, False),
        (None, True, False, True),
        (False, True, True, False),
        (True, False, False, True),
    ],
)
def test_whether_a_run_is_isolated_is_for_its_schedule_to_say_then_its_function_then_the_setting(
    redis_connection: Redis,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    by_schedule: bool | None,
    by_function: bool | None,
    by_setting: bool,
    isolated: bool,
):
    settings.TASKS_ISOLATED = by_setting
    function = registry.get(CALL)
    changed = registry.TaskFunction(
        CALL, function.func, function.kinds, "default", None, isolated=by_function
    )
    monkeypatch.setitem(registry._functions, CALL, changed)
    schedule = make_row(function=CALL, isolated=by_schedule)
    projection.put([schedule], redis_connection)
    jobs = [
        build_job(schedule, "any", redis_connection),
        Job.fetch(schedule.job_id, connection=redis_connection),
    ]
    assert [is_isolated(job) for job in jobs] == [isolated, isolated]


def test_a_schedule_that_becomes_isolated_is_written_to_redis_again(schedule: ScheduledTask):
    record = projection.dispatch_record(schedule)
    schedule.isolated = None
    assert projection.dispatch_record(schedule) != record
