"""A task function's own check is asked before each run of a schedule."""

import contextlib
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils.translation import gettext_lazy
from redis import Redis
from rq.job import JobStatus
from rq.timeouts import JobTimeoutException

from tasks.decorators import NotAtAll, NotNow
from tasks.job_ids import RunId
from tasks.ledger.audit import tallies
from tasks.models import ScheduledTask
from tasks.reasons import Code
from tasks.runs.retries import awaits_retry
from tasks.services import SchedulerService, TaskService
from tests.tasks import functions
from tests.tasks.functions import CHECKED, perform, queued, work_off
from tests.tasks.runs.attempts import Behave, enqueue, past, raising
from tests.tasks.schedules import make_row

pytestmark = pytest.mark.django_db(transaction=True)

Check = Callable[[Callable[..., Any]], list[Any]]


@pytest.fixture
def schedule() -> ScheduledTask:
    """Return a schedule of `checked`, due every second, settled through an hour ago."""
    hour_ago = past(3600)
    values = {"first": hour_ago, "interval": 1, "settled_through": hour_ago, "timeout": 5}
    return make_row(function=CHECKED, args=[1, 2], **values)


@pytest.fixture
def calls(behave: Behave) -> list[Any]:
    """Return the arguments of the calls of the function."""
    made: list[Any] = []
    behave(lambda *args: made.append(args))
    return made


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Check:
    """Return a function that sets what the check does, and returns what it was asked."""

    def set_check(answer: Callable[..., Any]) -> list[Any]:
        asked: list[Any] = []

        def ask(*args: Any) -> Any:
            asked.append(args)
            return answer()

        monkeypatch.setattr(functions, "check", ask)
        return asked

    return set_check


def test_a_check_is_asked_with_what_the_hints_of_its_function_name(
    redis_connection: Redis,
    schedule: ScheduledTask,
    calls: list[Any],
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[Any] = []
    monkeypatch.setattr(functions, "check", lambda *args, **kwargs: asked.append(kwargs))
    schedule.args, schedule.kwargs = [], {"day": "2026-01-31"}
    schedule.save()
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert asked == [{"day": date(2026, 1, 31)}]


def test_a_run_whose_check_agrees_runs(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    asked = check(lambda: None)
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert (asked, calls) == ([(1, 2)], [(1, 2)])
    assert schedule.runs.get().status == "finished"


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (NotNow("asked to wait"), Code.CHECK_NOT_NOW, "Its check said not now: asked to wait"),
        (NotAtAll("it is gone"), Code.CHECK_NOT_AT_ALL, "Its check ended the schedule: it is gone"),
    ],
)
def test_a_run_whose_check_refuses_is_skipped_with_the_reason_and_its_function_is_not_called(
    schedule: ScheduledTask,
    redis_connection: Redis,
    calls: list[Any],
    check: Check,
    answer: NotNow | NotAtAll,
    code: Code,
    words: str,
):
    check(lambda: answer)
    perform(redis_connection, enqueue(redis_connection, schedule))
    run = schedule.runs.get()
    assert (run.status, run.reason_code, run.started) == ("skipped", code, None)
    assert run.reason_in_words() == words
    assert calls == []


def test_a_manual_run_is_refused_by_the_check_as_well(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    check(lambda: NotNow("asked to wait"))
    SchedulerService.run_now(schedule)
    work_off(redis_connection)
    assert (schedule.runs.get().status, schedule.requests.count(), calls) == ("skipped", 0, [])


def test_a_run_whose_check_raises_has_failed_with_its_traceback(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    check(raising(LookupError("no such server")))
    perform(redis_connection, enqueue(redis_connection, schedule))
    run = schedule.runs.get()
    assert (run.status, run.reason) == ("failed", "Failed for: LookupError: no such server")
    assert "in raise_it" in run.traceback
    assert calls == []


def test_a_check_that_answers_with_anything_else_fails_the_run(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    check(lambda: False)
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert "The check returned False: return None, NotNow(reason)" in schedule.runs.get().reason
    assert calls == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (NotNow("asked to wait"), "Its check said not now: asked to wait"),
        (NotAtAll("it is gone"), "Its check ended the schedule: it is gone"),
    ],
)
def test_a_retry_that_the_check_refuses_is_not_made_and_the_failed_row_says_why(
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    check: Check,
    answer: NotNow | NotAtAll,
    words: str,
):
    schedule.retries = 1
    schedule.save()
    check(lambda: None)
    behave(lambda *args: raising(ValueError("no"))())
    run_id = RunId(schedule.job_id, past(1))
    perform(redis_connection, enqueue(redis_connection, schedule, run_id))
    check(lambda: answer)
    perform(redis_connection, run_id.next_attempt().job_id)
    run = schedule.runs.get()
    assert (run.status, run.attempt) == ("failed", 1)
    assert run.reason_in_words() == f"Failed for: ValueError: no ({words})"
    assert queued(redis_connection) == []
    assert not awaits_retry(run)


@pytest.mark.parametrize("expected", [True, False])
def test_the_ledger_closes_over_backfill_that_the_check_refuses(
    schedule: ScheduledTask, redis_connection: Redis, check: Check, expected: bool
):
    first = past(60)
    by_second = [first + timedelta(seconds=number) for number in range(51)]
    dues = by_second[30:33]
    ScheduledTask.objects.update(
        first=first,
        period_start=first if expected else by_second[-1],
        settled_through=by_second[-1],
        overlap="skip",
    )
    if expected:
        for due in by_second[1:]:
            schedule.runs.create(name="x", due=due, status="missed", ended=due)
    check(lambda: NotNow("asked to wait"))
    SchedulerService.backfill(schedule, dues[0] - timedelta(milliseconds=1), dues[-1])
    while work_off(redis_connection):
        pass
    runs = schedule.runs.filter(reason_code=Code.CHECK_NOT_NOW)
    assert [run.due for run in runs.order_by("due")] == dues, "each followed the one before"
    assert schedule.requests.count() == 0
    [found] = tallies([schedule.pk], begin=dues[0])
    assert (found.unexpected.number, found.missing.number) == (0, 0)


def test_a_run_that_waits_for_another_one_does_not_ask_its_check_meanwhile(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    ScheduledTask.objects.update(overlap="wait")
    running = schedule.runs.create(name="x", due=past(60), started=past(60))
    asked = check(lambda: None)
    job_id = enqueue(redis_connection, schedule)
    perform(redis_connection, job_id)
    assert asked == []
    running.delete()
    perform(redis_connection, job_id)
    assert (asked, calls) == ([(1, 2)], [(1, 2)])


def test_a_check_that_needs_the_database_waits_while_it_is_unavailable(
    schedule: ScheduledTask,
    redis_connection: Redis,
    calls: list[Any],
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
):
    check(raising(OperationalError("the database is unavailable")))
    job_id = enqueue(redis_connection, schedule)
    with monkeypatch.context() as patch:
        patch.setattr("tasks.runs.recorder.database_answers", lambda: False)
        job = perform(redis_connection, job_id)
    assert (job.get_status(), schedule.runs.count()) == (JobStatus.SCHEDULED, 0)
    check(lambda: None)
    perform(redis_connection, job_id)
    assert (schedule.runs.get().status, calls) == ("finished", [(1, 2)])


def test_a_check_with_an_error_of_its_own_in_the_database_fails_the_run(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    check(raising(OperationalError("no such table")))
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert schedule.runs.get().reason == "Failed for: OperationalError: no such table"
    assert calls == []


def test_a_reason_that_cannot_be_read_fails_the_run(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    class Unreadable:
        def __str__(self) -> str:
            raise LookupError("no text")

    check(lambda: NotNow(Unreadable()))
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert (schedule.runs.get().reason, calls) == ("Failed for: LookupError: no text", [])


def test_a_coroutine_can_be_a_check(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    async def answer() -> NotNow:
        return NotNow("asked to wait")

    check(answer)
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert (schedule.runs.get().reason_code, calls) == (Code.CHECK_NOT_NOW, [])


def test_a_lazily_translated_reason_of_a_check_is_stored(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    check(lambda: NotNow(gettext_lazy("asked to wait")))
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert schedule.runs.get().reason_values == {"text": "asked to wait"}


def test_a_check_that_swallows_its_timeout_fails_the_run(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    def swallow() -> None:
        with contextlib.suppress(JobTimeoutException):
            while True:
                pass

    schedule.timeout = 1
    schedule.save()
    check(swallow)
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert schedule.runs.get().reason.startswith("Failed for: JobTimeoutException")
    assert calls == []


def test_a_background_call_is_not_asked_about(
    redis_connection: Redis, calls: list[Any], check: Check
):
    asked = check(lambda: NotNow("asked to wait"))
    task = TaskService.enqueue_task(functions.checked, 3)
    perform(redis_connection, task.job_id)
    task.refresh_from_db()
    assert (asked, task.status, calls) == ([], "finished", [(3,)])


def test_a_check_that_asks_for_longer_than_the_timeout_fails_the_run(
    schedule: ScheduledTask, redis_connection: Redis, calls: list[Any], check: Check
):
    def hang() -> None:
        while True:
            pass

    schedule.timeout = 1
    schedule.save()
    check(hang)
    perform(redis_connection, enqueue(redis_connection, schedule))
    assert schedule.runs.get().reason.startswith("Failed for: JobTimeoutException")
    assert calls == []
