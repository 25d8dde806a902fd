"""A run's row is born when it starts, for one attempt only."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from redis import Redis
from rq.job import JobStatus

from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reasons import NO_REASON, Code, reason
from tasks.runs import completion, spool, sql
from tasks.runs.claim import claim
from tests.tasks.functions import in_threads, perform, queued
from tests.tasks.runs.attempts import Behave, Run, end, enqueue, failed_run, past
from tests.tasks.schedules import ago

pytestmark = pytest.mark.django_db


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
    claims = in_threads(*[lambda: claim(job)] * 4)
    assert len([claim for claim in claims if claim is not None]) == 1


def test_an_occurrence_that_is_settled_does_not_run(
    schedule: ScheduledTask, redis_connection: Redis
):
    job_id = enqueue(redis_connection, schedule, RunId(schedule.job_id, schedule.settled_through))
    perform(redis_connection, job_id)
    assert schedule.runs.count() == 0


def test_a_manual_run_has_no_due(schedule: ScheduledTask, redis_connection: Redis, behave: Behave):
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
def test_an_occurrence_dispatched_during_a_change_of_its_schedule_runs_only_if_still_expected(
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
        interval=interval, period_start=changed_at, settled_through=changed_at, created=ago(3600)
    )
    perform(redis_connection, job_id)
    assert [run.status for run in schedule.runs.all()] == statuses


def test_a_manual_run_runs_though_its_schedule_has_ended(
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


def test_an_occurrence_past_its_start_deadline_is_missed(
    schedule: ScheduledTask, redis_connection: Redis
):
    ScheduledTask.objects.update(start_deadline=5)
    run_id = RunId(schedule.job_id, past(10))
    perform(redis_connection, enqueue(redis_connection, schedule, run_id))
    assert end(schedule.runs.get()) == (
        "missed",
        "It could not start within its start deadline of 5 s.",
    )


def test_a_run_of_an_unregistered_function_fails(
    schedule: ScheduledTask, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    job_id = enqueue(redis_connection, schedule)
    # A worker of a version without the function: nothing public takes one out of the registry.
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


def test_the_log_says_which_schedule_does_not_start_and_why(
    schedule: ScheduledTask,
    previous: ScheduledTaskInstance,
    redis_connection: Redis,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level("INFO", "tasks.runs.claim")
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert previous.due is not None
    due = f"{previous.due:%Y-%m-%d %H:%M:%S} UTC"
    assert f"“{schedule.name}” doesn't start: The run due {due} was still going." in caplog.messages


def test_the_log_says_after_how_long_a_run_has_finished(
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level("INFO", "tasks.runs.recorder")
    behave(lambda: None)
    perform(redis_connection, enqueue(redis_connection, schedule))
    [line] = [text for text in caplog.messages if "finished after" in text]
    assert line.endswith(" s.")


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


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the jobs whose workers are told to stop them."""
    job_ids: list[str] = []
    monkeypatch.setattr("tasks.runs.claim.stop_jobs", lambda ids, redis: job_ids.extend(ids))
    return job_ids


@pytest.mark.django_db(transaction=True)
def test_overlap_replace_starts_the_new_run_when_the_worker_of_the_previous_one_has_ended_it(
    schedule: ScheduledTask,
    previous: ScheduledTaskInstance,
    redis_connection: Redis,
    behave: Behave,
    stopped: list[str],
    caplog: pytest.LogCaptureFixture,
):
    behave(lambda: None)
    ScheduledTask.objects.update(overlap="replace")
    job_id = enqueue(redis_connection, schedule)
    for _ in range(2):  # A command can get lost.
        perform(redis_connection, job_id)
    previous.refresh_from_db()
    assert end(previous) == ("running", "Replaced by the next run.")
    assert (schedule.runs.get(), stopped) == (previous, [previous.run_job_id] * 2)
    spool.push(redis_connection, previous.run_job_id, "failed", **reason(Code.LOST_CUT_OFF).fields)
    spool.drain(redis_connection)
    perform(redis_connection, job_id)
    previous.refresh_from_db()
    assert end(previous) == ("canceled", "Replaced by the next run.")
    assert "failed" not in caplog.text, "a run that was replaced is no failure to report"
    assert schedule.runs.exclude(pk=previous.pk).get().status == "finished"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("status", "expected"), [("failed", "canceled"), ("finished", "finished")])
def test_a_run_that_ends_while_it_is_being_replaced_was_cancelled_unless_it_finished(
    schedule: ScheduledTask,
    previous: ScheduledTaskInstance,
    redis_connection: Redis,
    stopped: list[str],
    status: str,
    expected: str,
):
    ScheduledTask.objects.update(overlap="replace", retries=3)
    perform(redis_connection, enqueue(redis_connection, schedule))
    redis_connection.flushall()
    values = {"result": 1, **NO_REASON} if status == "finished" else {"reason": "Failed for: x"}
    assert completion.close(previous, status, redis_connection, **values)
    previous.refresh_from_db()
    assert (previous.status, queued(redis_connection)) == (expected, [])


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
    write = sql.write
    lost: list[bool] = []

    def lose_the_answer(end: Any, start: Any) -> Any:
        answer = write(end, start)
        if not lost:
            lost.append(True)
            raise OperationalError("the answer is lost")
        return answer

    monkeypatch.setattr("tasks.runs.claim.patiently", lambda step, *args: _try_twice(step))
    monkeypatch.setattr(sql, "write", lose_the_answer)
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
        raise OperationalError("the database is unavailable")

    job_id = enqueue(redis_connection, schedule)
    with monkeypatch.context() as patch:
        patch.setattr(sql, "write", away)
        job = perform(redis_connection, job_id)
    assert (calls, job.get_status()) == ([], JobStatus.SCHEDULED)
    perform(redis_connection, job_id)
    assert (calls, schedule.runs.get().status) == ([1], "finished")
