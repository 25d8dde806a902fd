"""A run's row: born when it starts, truthful when it ends, written by one attempt only."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from redis import Redis
from rq.job import JobStatus
from rq.timeouts import JobTimeoutException

import tasks
from tasks import outcome, projection, recording, rows, spool
from tasks.job import Job, RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tests.tasks.conftest import ago, make_row
from tests.tasks.functions import CALL, in_threads, perform, queued

pytestmark = pytest.mark.django_db

Behave = Callable[[Callable[..., Any]], None]


@pytest.fixture
def schedule() -> ScheduledTask:
    """Return a schedule of `call`, due every second, whose books have been open for an hour."""
    hour_ago = past(3600)
    return make_row(function=CALL, first=hour_ago, interval=1, accounted_until=hour_ago, timeout=1)


def past(seconds: float) -> datetime:
    """Return a moment, about so long ago, at which the schedule was due."""
    return ago(seconds).replace(microsecond=0)


def enqueue(redis: Redis, schedule: ScheduledTask, run_id: RunId | None = None) -> str:
    run_id = run_id or RunId(schedule.job_id, past(1))
    projection.enqueue_run(schedule, run_id, redis)
    return run_id.job_id


@pytest.fixture
def run(
    redis_connection: Redis, schedule: ScheduledTask, behave: Behave
) -> Callable[..., ScheduledTaskInstance]:
    """Return a function that runs one occurrence with a behaviour and returns its row."""

    def run_once(behaviour: Callable[..., Any]) -> ScheduledTaskInstance:
        behave(behaviour)
        perform(redis_connection, enqueue(redis_connection, schedule))
        return schedule.runs.get()

    return run_once


Run = Callable[[Callable[..., Any]], ScheduledTaskInstance]


def raising(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def end(run: ScheduledTaskInstance) -> tuple[str, str]:
    return run.status, run.reason


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


def test_while_it_runs_the_row_says_so(run: Run, schedule: ScheduledTask):
    assert run(lambda: schedule.runs.get().status).result == "running"


def test_a_run_that_raises_is_failed_with_reason_and_traceback(run: Run):
    row = run(raising(ValueError("not so")))
    assert end(row) == ("failed", "Failed for: ValueError: not so")
    assert (row.exception_class, row.failed) == ("builtins.ValueError", True)
    assert "raise_it" in row.traceback
    assert "Failed for: ValueError: not so" in row.log


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_is_raised_is_recorded(run: Run, error: BaseException):
    assert run(raising(error)).reason.startswith(f"Failed for: {type(error).__name__}")


def test_what_is_raised_reaches_rq(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: sys.exit(3))
    job = perform(redis_connection, enqueue(redis_connection, schedule))
    assert job.get_status() == "failed"
    assert "SystemExit" in job.latest_result().exc_string


def test_an_error_whose_message_cannot_be_read_is_recorded(run: Run):
    class BadError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert run(raising(BadError())).status == "failed"


def test_a_message_no_database_stores_is_recorded(run: Run):
    row = run(raising(ValueError("nul \0, " + "long " * 1000)))
    assert row.reason.startswith("Failed for: ValueError: nul \ufffd, long")


def test_a_timeout_is_failed(run: Run):
    row = run(lambda: time.sleep(5))
    assert row.reason.startswith("Failed for: JobTimeoutException: Task exceeded")


def test_a_swallowed_timeout_is_failed(run: Run):
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
def test_a_result_that_is_not_json_is_noted_and_fails_nothing(run: Run, result: Any, name: str):
    row = run(lambda: result)
    assert end(row) == ("finished", f"The result is not JSON and was not kept: {name}.")
    assert row.result is None


def test_characters_no_database_stores_are_replaced_in_the_result(run: Run):
    row = run(lambda: {"a\0": "\ud800", "b": "\\u0000"})
    assert row.result == {"a\ufffd": "?", "b": "\\u0000"}


def test_the_schedule_follows_its_runs(
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
def test_a_schedule_that_was_ended_meanwhile_stays_so(
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
        function="tests.tasks.functions.later", args=["text"], accounted_until=ago(60)
    )
    perform(redis_connection, enqueue(redis_connection, schedule))
    row = schedule.runs.get()
    assert (row.status, row.result) == ("finished", "text")
    assert "in the coroutine" in row.log


# Logs and progress


def test_a_generator_is_a_result_that_is_not_json(run: Run):
    row = run(lambda: (number for number in range(3)))
    assert (row.status, row.result) == ("finished", None)
    assert "builtins.generator" in row.reason


def test_what_any_logger_says_is_in_the_log(run: Run):
    row = run(lambda: logging.getLogger("tests.any").info("new\x1b[0m line"))
    assert r"INFO tests.any: new\x1b[0m line" in row.log


def test_a_log_is_bounded(run: Run):
    row = run(lambda: logging.getLogger("tests.any").info("x" * 10**6))
    assert len(row.log.encode()) <= 64 * 1024


@pytest.mark.django_db(transaction=True)
def test_progress_and_log_are_in_the_row_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, run: Run, schedule: ScheduledTask
):
    monkeypatch.setattr(recording, "PROGRESS_EVERY", 0.02)
    monkeypatch.setattr(recording, "LOG_EVERY", 0.04)
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


# Which jobs become a run


def test_a_second_job_for_the_same_occurrence_does_not_run(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    calls: list[None] = []
    behave(lambda: calls.append(None))
    job_id = enqueue(redis_connection, schedule)
    perform(redis_connection, job_id)
    perform(redis_connection, job_id)
    assert (len(calls), schedule.runs.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_with_the_same_occurrence_one_gets_the_row(
    schedule: ScheduledTask, redis_connection: Redis
):
    job = Job.fetch(enqueue(redis_connection, schedule), connection=redis_connection)
    claims = in_threads(*[lambda: recording.claim(job)] * 4)
    assert len([claim for claim in claims if claim is not None]) == 1


def test_an_occurrence_over_which_the_books_are_closed_does_not_run(
    schedule: ScheduledTask, redis_connection: Redis
):
    job_id = enqueue(redis_connection, schedule, RunId(schedule.job_id, schedule.accounted_until))
    perform(redis_connection, job_id)
    assert schedule.runs.count() == 0


def test_a_run_by_hand_has_no_due(schedule: ScheduledTask, redis_connection: Redis, behave: Behave):
    behave(lambda: None)
    requested = ago(0)
    perform(
        redis_connection,
        enqueue(redis_connection, schedule, RunId(schedule.job_id, None, requested)),
    )
    row = schedule.runs.get()
    assert (row.status, row.due, row.requested) == ("finished", None, requested)


@pytest.mark.parametrize("status", ["death", "paused"])
def test_an_occurrence_of_an_ended_schedule_belongs_to_no_period_and_gets_no_row(
    schedule: ScheduledTask, redis_connection: Redis, status: str
):
    job_id = enqueue(redis_connection, schedule)
    paused_at = timezone.now() if status == "paused" else None
    ScheduledTask.objects.update(status=status, paused_at=paused_at)
    perform(redis_connection, job_id)
    assert not schedule.runs.exists()


@pytest.mark.parametrize("status", ["death", "paused"])
def test_a_retry_of_an_ended_schedule_does_not_run(
    schedule: ScheduledTask, redis_connection: Redis, status: str
):
    failed = schedule.runs.create(
        name="x", due=past(9), started=ago(8), ended=ago(7), status="failed"
    )
    job_id = enqueue(redis_connection, schedule, failed.run_id.next_attempt())
    paused_at = timezone.now() if status == "paused" else None
    ScheduledTask.objects.update(status=status, paused_at=paused_at)
    perform(redis_connection, job_id)
    failed.refresh_from_db()
    assert (failed.status, failed.attempt) == ("failed", 1)


@pytest.mark.parametrize(("interval", "statuses"), [(7200, []), (1, ["finished"])])
def test_what_was_dispatched_while_its_schedule_was_changed_runs_only_if_it_is_still_owed(
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    interval: int,
    statuses: list[str],
):
    behave(lambda: None)
    due = past(1)
    job_id = enqueue(redis_connection, schedule, RunId(schedule.job_id, due))
    changed_at = due - timedelta(milliseconds=1)
    ScheduledTask.objects.update(
        interval=interval, since=changed_at, accounted_until=changed_at, created=ago(3600)
    )
    perform(redis_connection, job_id)
    assert [run.status for run in schedule.runs.all()] == statuses


def test_a_run_by_hand_runs_though_the_schedule_is_dead(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: None)
    ScheduledTask.objects.update(status="death")
    run_id = RunId(schedule.job_id, None, ago(0))
    perform(redis_connection, enqueue(redis_connection, schedule, run_id))
    assert schedule.runs.get().status == "finished"


def test_an_occurrence_of_a_deleted_schedule_does_not_run(
    schedule: ScheduledTask, redis_connection: Redis
):
    job_id = enqueue(redis_connection, schedule)
    ScheduledTask.objects.all().delete()
    assert perform(redis_connection, job_id).get_status() == "finished"
    assert not ScheduledTaskInstance.objects.exists()


def test_past_its_start_deadline_it_is_missed(schedule: ScheduledTask, redis_connection: Redis):
    ScheduledTask.objects.update(start_deadline=5)
    run_id = RunId(schedule.job_id, past(10))
    perform(redis_connection, enqueue(redis_connection, schedule, run_id))
    assert end(schedule.runs.get()) == (
        "missed",
        "It could not start within its start deadline of 5 s.",
    )


def test_a_function_that_is_gone_fails_its_run(
    schedule: ScheduledTask, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    job_id = enqueue(redis_connection, schedule)
    monkeypatch.setattr("tasks.registry._functions", {})
    perform(redis_connection, job_id)
    status, reason = end(schedule.runs.get())
    assert status == "failed"
    assert "UnknownTaskFunction" in reason


# Overlap


@pytest.fixture
def previous(schedule: ScheduledTask) -> ScheduledTaskInstance:
    """Return a run that is still going."""
    return schedule.runs.create(name=schedule.name, due=ago(30), started=ago(30))


def test_overlap_skip_records_the_new_run_as_skipped(
    schedule: ScheduledTask, previous: ScheduledTaskInstance, redis_connection: Redis
):
    perform(redis_connection, enqueue(redis_connection, schedule))
    status, reason = end(schedule.runs.exclude(pk=previous.pk).get())
    assert status == "skipped"
    assert reason.endswith("was still going.")


@pytest.mark.parametrize("overlap", ["skip", "replace"])
def test_a_run_whose_end_is_on_the_spool_is_not_still_going(
    schedule: ScheduledTask,
    previous: ScheduledTaskInstance,
    redis_connection: Redis,
    behave: Behave,
    overlap: str,
):
    behave(lambda: None)
    ScheduledTask.objects.update(overlap=overlap)
    spool.push(redis_connection, previous.run_job_id, "finished", ended=timezone.now())
    job_id = enqueue(redis_connection, schedule)
    perform(redis_connection, job_id)
    spool.drain(redis_connection)
    perform(redis_connection, job_id)
    assert [run.status for run in schedule.runs.all()] == ["finished", "finished"]


def test_a_retry_is_not_skipped_but_waits(
    schedule: ScheduledTask,
    previous: ScheduledTaskInstance,
    redis_connection: Redis,
    behave: Behave,
):
    behave(lambda: None)
    ScheduledTask.objects.update(retries=1)
    failed = schedule.runs.create(
        name="x", due=ago(90), started=ago(80), ended=ago(70), status="failed"
    )
    job_id = enqueue(redis_connection, schedule, failed.run_id.next_attempt())
    perform(redis_connection, job_id)
    previous.update_attempt(status="finished", ended=timezone.now())
    perform(redis_connection, job_id)
    failed.refresh_from_db()
    assert (failed.status, failed.attempt) == ("finished", 2)


def test_overlap_allow_runs_both(
    schedule: ScheduledTask,
    previous: ScheduledTaskInstance,
    redis_connection: Redis,
    behave: Behave,
):
    behave(lambda: None)
    ScheduledTask.objects.update(overlap="allow")
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert schedule.runs.exclude(pk=previous.pk).get().status == "finished"


def test_overlap_wait_keeps_the_job_for_later(
    schedule: ScheduledTask,
    previous: ScheduledTaskInstance,
    redis_connection: Redis,
    behave: Behave,
):
    behave(lambda: None)
    ScheduledTask.objects.update(overlap="wait")
    job_id = enqueue(redis_connection, schedule)
    perform(redis_connection, job_id)
    assert redis_connection.zrange("rq:scheduled:default", 0, -1) == [job_id.encode()]
    assert schedule.runs.get() == previous
    previous.update_attempt(status="finished", ended=timezone.now())
    perform(redis_connection, job_id)
    assert schedule.runs.exclude(pk=previous.pk).get().status == "finished"


@pytest.mark.django_db(transaction=True)
def test_overlap_replace_cancels_the_previous_run(
    schedule: ScheduledTask,
    previous: ScheduledTaskInstance,
    redis_connection: Redis,
    behave: Behave,
):
    behave(lambda: None)
    ScheduledTask.objects.update(overlap="replace")
    perform(redis_connection, enqueue(redis_connection, schedule))
    previous.refresh_from_db()
    assert end(previous) == ("canceled", "Replaced by the next run.")
    assert schedule.runs.exclude(pk=previous.pk).get().status == "finished"


# Attempts


def failed_run(schedule: ScheduledTask, attempt: int = 1) -> ScheduledTaskInstance:
    return schedule.runs.create(
        name=schedule.name,
        due=ago(5),
        started=ago(4),
        ended=ago(3),
        status="failed",
        attempt=attempt,
        log="first try\n",
        exception_class="builtins.ValueError",
    )


def test_a_failed_run_with_tries_left_is_enqueued_again(
    run: Run, schedule: ScheduledTask, redis_connection: Redis
):
    ScheduledTask.objects.update(retries=1)
    row = run(raising(ValueError()))
    assert queued(redis_connection) == [RunId(schedule.job_id, row.due, attempt=2).job_id]


def test_a_retry_waits_for_its_delay(run: Run, redis_connection: Redis):
    ScheduledTask.objects.update(retries=1, retry_delay=60)
    run(raising(ValueError()))
    assert queued(redis_connection) == []
    assert redis_connection.zcard("rq:scheduled:default") == 1


def test_the_next_attempt_takes_up_the_row(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: "second")
    row = failed_run(schedule)
    perform(redis_connection, enqueue(redis_connection, schedule, row.run_id.next_attempt()))
    row.refresh_from_db()
    assert (row.status, row.attempt, row.result) == ("finished", 2, "second")
    assert row.exception_class == ""
    assert row.log.startswith("first try\n— attempt 2 —\n")


def test_an_attempt_runs_only_after_the_one_before_has_failed(
    schedule: ScheduledTask, redis_connection: Redis
):
    row = failed_run(schedule)
    for attempt in (1, 3):
        run_id = RunId(schedule.job_id, row.due, attempt=attempt)
        perform(redis_connection, enqueue(redis_connection, schedule, run_id))
    row.refresh_from_db()
    assert (row.status, row.attempt) == ("failed", 1)


def test_a_claim_whose_answer_was_lost_is_still_a_claim(run: Run, monkeypatch: pytest.MonkeyPatch):
    write = rows.write
    lost: list[bool] = []

    def lose_the_answer(end: Any, start: Any) -> Any:
        answer = write(end, start)
        if not lost:
            lost.append(True)
            raise OperationalError("the answer is lost")
        return answer

    monkeypatch.setattr(outcome, "patiently", lambda step, *args: _try_twice(step))
    monkeypatch.setattr(rows, "write", lose_the_answer)
    assert run(lambda: "ran").result == "ran"


def _try_twice(step: Callable[[], Any]) -> Any:
    try:
        return step()
    except OperationalError:
        return step()


def test_a_run_waits_for_the_database_and_its_function_is_not_called(
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    monkeypatch: pytest.MonkeyPatch,
):
    calls: list[int] = []
    behave(lambda: calls.append(1))

    def away(*args: Any) -> Any:
        raise OperationalError("the database is away")

    job_id = enqueue(redis_connection, schedule)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "write", away)
        job = perform(redis_connection, job_id)
    assert (calls, job.get_status()) == ([], JobStatus.SCHEDULED)
    perform(redis_connection, job_id)
    assert (calls, schedule.runs.get().status) == ([1], "finished")


def test_no_attempt_follows_the_last(run: Run, redis_connection: Redis):
    run(raising(ValueError()))
    assert queued(redis_connection) == []


def test_the_end_of_a_late_attempt_is_not_written(run: Run, schedule: ScheduledTask):
    row = run(lambda: schedule.runs.update(attempt=2))
    assert (row.status, row.attempt) == ("running", 2)


def test_an_end_that_cannot_be_written_is_kept_and_written_later(
    run: Run, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    def away(*args: Any, **values: Any) -> bool:
        raise OperationalError("the database is away")

    def work() -> str:
        patch.setattr(rows, "write", away)
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
    projection.enqueue_task(task, redis_connection)
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert (task.status, task.result) == ("finished", 2)
    assert task.worker_name != ""


def test_a_failing_background_call_is_recorded(redis_connection: Redis, behave: Behave):
    behave(raising(ValueError("no")))
    task = Task.objects.create(name="x", function=CALL)
    projection.enqueue_task(task, redis_connection)
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert (task.status, task.reason) == ("failed", "Failed for: ValueError: no")


def test_a_background_call_runs_once(redis_connection: Redis, behave: Behave):
    calls: list[None] = []
    behave(lambda: calls.append(None))
    task = Task.objects.create(name="x", function=CALL)
    projection.enqueue_task(task, redis_connection)
    perform(redis_connection, task.job_id)
    perform(redis_connection, task.job_id)
    assert len(calls) == 1


def test_a_cancelled_background_call_does_not_run(redis_connection: Redis):
    task = Task.objects.create(name="x", function=CALL)
    projection.enqueue_task(task, redis_connection)
    Task.objects.update(status="canceled", ended=timezone.now())
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert task.started is None
