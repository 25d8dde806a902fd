"""A run's row: live while its function runs, truthful when it ends."""

import contextlib
import json
import logging
import sys
import time
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from redis import Redis
from rq.timeouts import JobTimeoutException

import tasks
from tasks.broker.enqueue import enqueue_task
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.runs import live_writer, spool, sql
from tasks.storable import MAX_RESULT
from tests.tasks.functions import CALL, perform
from tests.tasks.runs.attempts import Behave, Run, end, enqueue, past, raising
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db


# How a run ends


def test_a_run_that_returns_is_finished_with_its_result(run: Run, schedule: ScheduledTask):
    row = run(lambda: {"new": 3})
    assert (row.status, row.result, row.progress, row.failed) == (
        "finished",
        {"new": 3},
        100,
        False,
    )
    assert row.started is not None
    assert row.name == schedule.name


def test_the_row_of_a_run_says_running_while_it_runs(run: Run, schedule: ScheduledTask):
    assert run(lambda: schedule.runs.get().status).result == "running"


def test_a_run_that_raises_is_failed_with_reason_and_traceback(run: Run):
    row = run(raising(ValueError("not so")))
    assert end(row) == ("failed", "Failed for: ValueError: not so")
    assert (row.exception_class, row.failed) == ("builtins.ValueError", True)
    assert "raise_it" in row.traceback
    assert "Failed for: ValueError: not so" in row.log


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_a_task_function_raises_is_recorded(run: Run, error: BaseException):
    assert run(raising(error)).reason.startswith(f"Failed for: {type(error).__name__}")


def test_what_a_task_function_raises_reaches_rq(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: sys.exit(3))
    job = perform(redis_connection, enqueue(redis_connection, schedule))
    assert job.get_status() == "failed"
    assert "SystemExit" in job.latest_result().exc_string


def test_a_failed_run_whose_error_has_an_unreadable_message_is_recorded(run: Run):
    class BadError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert run(raising(BadError())).status == "failed"


def test_a_failed_run_whose_message_no_database_stores_is_recorded(run: Run):
    row = run(raising(ValueError("nul \0, " + "long " * 1000)))
    assert row.reason.startswith("Failed for: ValueError: nul \ufffd, long")


def test_a_run_that_times_out_has_failed(run: Run):
    row = run(lambda: time.sleep(5))
    assert row.reason.startswith("Failed for: JobTimeoutException: Task exceeded")


def test_a_run_that_swallows_its_timeout_has_failed(run: Run):
    def swallow() -> str:
        with contextlib.suppress(JobTimeoutException):
            time.sleep(5)
        return "as if nothing had happened"

    assert run(swallow).reason.startswith("Failed for: JobTimeoutException: Task exceeded")


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (object(), "builtins.object"),
        ({1, 2}, "builtins.set"),
        (float("nan"), "builtins.float"),
        (timezone.now(), "datetime.datetime"),
        (10**5000, "builtins.int"),
    ],
    ids=["object", "set", "nan", "datetime", "huge"],
)
def test_a_result_that_is_not_json_is_noted_and_the_run_is_finished(
    run: Run, result: Any, name: str
):
    row = run(lambda: result)
    assert end(row) == ("finished", f"The result is not JSON and was not kept: {name}.")
    assert row.result is None


def test_characters_no_database_stores_are_replaced_in_the_result(run: Run):
    row = run(lambda: {"a\0": "\ud800", "b": "\\u0000"})
    assert row.result == {"a\ufffd": "?", "b": "\\u0000"}


def test_a_result_of_50_mb_is_bounded_and_its_row_says_so(run: Run, settings: Any):
    row = run(lambda: ["x" * 50] * 10**6)
    assert row.result is not None
    assert (row.result["truncated"], row.result["type"]) == (True, "builtins.list")
    assert row.result["beginning"].startswith('["xxx')
    assert len(json.dumps(row.result)) <= MAX_RESULT
    size = row.result["size"]
    assert end(row) == (
        "finished",
        f"The result has {size} bytes, and its beginning was kept: "
        "at most 65536 are (TASKS_MAX_RESULT).",
    )
    assert row.reason_code == "result_too_large"


def test_the_limit_of_a_result_is_a_setting(run: Run, settings: Any):
    settings.TASKS_MAX_RESULT = 1_024
    row = run(lambda: "x" * 2_000)
    assert row.result is not None
    assert row.result["size"] == 2_002


def test_the_status_of_a_schedule_follows_its_runs(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    statuses = []
    for number, error in enumerate([ValueError(), None, None]):
        behave(raising(error) if error else lambda: None)
        run_id = RunId(schedule.job_id, past(10 - number))
        perform(redis_connection, enqueue(redis_connection, schedule, run_id))
        schedule.refresh_from_db()
        statuses.append(schedule.status)
    assert statuses == ["failed", "running", "running"]


@pytest.mark.parametrize("status", ["death", "paused"])
def test_a_schedule_that_ended_during_a_run_stays_ended(
    run: Run, schedule: ScheduledTask, status: str
):
    paused_at = timezone.now() if status == "paused" else None

    def end_schedule() -> None:
        ScheduledTask.objects.update(status=status, paused_at=paused_at)
        raise ValueError

    run(end_schedule)
    schedule.refresh_from_db()
    assert schedule.status == status


def test_a_coroutine_function_runs_to_its_end(redis_connection: Redis):
    schedule = make_row(
        function="tests.tasks.functions.later", args=["text"], settled_through=ago(60)
    )
    perform(redis_connection, enqueue(redis_connection, schedule))
    row = schedule.runs.get()
    assert (row.status, row.result) == ("finished", "text")
    assert "in the coroutine" in row.log


# Logs and progress


def test_a_generator_is_a_result_that_is_not_json(run: Run):
    row = run(lambda: (number for number in range(3)))
    assert (row.status, row.result) == ("finished", None)
    assert "builtins.generator" in row.reason_in_words()


def test_what_any_logger_says_is_in_the_log_of_the_run(run: Run):
    row = run(lambda: logging.getLogger("tests.any").info("new\x1b[0m line"))
    assert r"INFO tests.any: new\x1b[0m line" in row.log


def test_the_log_of_a_run_is_bounded(run: Run):
    row = run(lambda: logging.getLogger("tests.any").info("x" * 10**6))
    assert len(row.log.encode()) <= 64 * 1024


@pytest.mark.django_db(transaction=True)
def test_progress_and_log_are_in_the_row_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, run: Run, schedule: ScheduledTask
):
    monkeypatch.setattr(live_writer, "PROGRESS_EVERY", 0.02)
    monkeypatch.setattr(live_writer, "LOG_EVERY", 0.04)
    seen: list[tuple[int, str, bool]] = []

    def work() -> None:
        logging.getLogger("tests.any").info("hello")
        tasks.progress(1, 4, "quarter\0")
        while len(seen) < 1:
            row = schedule.runs.get()
            if row.progress and row.log:
                seen.append((row.progress, row.progress_message, "hello" in row.log))

    run(work)
    assert seen == [(25, r"quarter\x00", True)]


@pytest.mark.django_db(transaction=True)
def test_progress_is_written_at_most_twice_a_second(
    monkeypatch: pytest.MonkeyPatch, run: Run, django_assert_max_num_queries: Any
):
    writes: list[dict[str, Any]] = []
    monkeypatch.setattr(
        ScheduledTaskInstance, "update_attempt", lambda _, **values: writes.append(values)
    )

    def work() -> None:
        end = time.monotonic() + 0.9
        while time.monotonic() < end:
            tasks.progress(time.monotonic() % 1, 1)

    row = run(work)
    assert len(writes) in (1, 2)
    assert row.progress == 100


def test_progress_is_held_between_nothing_and_all(run: Run):
    def work() -> None:
        for done, total in ((-1, 10), (20, 10), (1, 0), (float("inf"), 1)):
            tasks.progress(done, total)

    assert run(work).status == "finished"


def test_the_end_of_a_late_attempt_is_not_written(run: Run, schedule: ScheduledTask):
    row = run(lambda: schedule.runs.update(attempt=2))
    assert (row.status, row.attempt) == ("running", 2)


def test_an_end_that_cannot_be_written_is_kept_and_written_later(
    run: Run, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    def away(*args: Any, **values: Any) -> bool:
        raise OperationalError("the database is unavailable")

    def work() -> str:
        patch.setattr(sql, "write", away)
        return "kept"

    with monkeypatch.context() as patch:
        row = run(work)
    assert row.status == "running"
    spool.drain(redis_connection)
    row.refresh_from_db()
    assert (row.status, row.result) == ("finished", "kept")


# Background calls


def test_a_background_call_is_recorded(redis_connection: Redis, behave: Behave):
    behave(lambda number: number + 1)
    task = Task.objects.create(name="x", function=CALL, args=[1])
    enqueue_task(task, redis_connection)
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert (task.status, task.result) == ("finished", 2)
    assert task.worker_name != ""


def test_a_failing_background_call_is_recorded(redis_connection: Redis, behave: Behave):
    behave(raising(ValueError("no")))
    task = Task.objects.create(name="x", function=CALL)
    enqueue_task(task, redis_connection)
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert (task.status, task.reason) == ("failed", "Failed for: ValueError: no")


def test_a_background_call_runs_once(redis_connection: Redis, behave: Behave):
    calls: list[None] = []
    behave(lambda: calls.append(None))
    task = Task.objects.create(name="x", function=CALL)
    enqueue_task(task, redis_connection)
    perform(redis_connection, task.job_id)
    perform(redis_connection, task.job_id)
    assert len(calls) == 1


def test_a_cancelled_background_call_does_not_run(redis_connection: Redis):
    task = Task.objects.create(name="x", function=CALL)
    enqueue_task(task, redis_connection)
    Task.objects.update(status="canceled", ended=timezone.now())
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert task.started is None
