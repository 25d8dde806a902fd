"""A task function's own check is asked before each run of a schedule."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from tasks.decorators import NotAtAll, NotNow
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.reasons import Code
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
    assert "checked returned False: return None, NotNow(reason)" in schedule.runs.get().reason
    assert calls == []


def test_a_retry_that_the_check_refuses_is_not_made_and_the_row_stays_failed(
    schedule: ScheduledTask, redis_connection: Redis, behave: Behave, check: Check
):
    schedule.retries = 1
    schedule.save()
    check(lambda: None)
    behave(lambda *args: raising(ValueError("no"))())
    run_id = RunId(schedule.job_id, past(1))
    perform(redis_connection, enqueue(redis_connection, schedule, run_id))
    check(lambda: NotNow("asked to wait"))
    perform(redis_connection, run_id.next_attempt().job_id)
    run = schedule.runs.get()
    assert (run.status, run.attempt, run.reason) == ("failed", 1, "Failed for: ValueError: no")
    assert queued(redis_connection) == []


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
