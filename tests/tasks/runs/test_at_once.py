"""A background call on a queue with `ASYNC: False` runs at once, in this process, with its row."""

import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError, transaction
from django.utils import timezone
from redis import Redis

from tasks.broker.enqueue import enqueue_task
from tasks.broker.keys import lease_key
from tasks.models import Task
from tasks.runs import at_once, recorder
from tasks.runs.timeout import Deadline
from tasks.runs.writer import writer
from tasks.services import TaskService
from tasks.worker.shared_state import Run, SharedState
from tests.tasks import functions
from tests.tasks.functions import queued, work_off

pytestmark = pytest.mark.django_db(transaction=True)

Behave = Callable[[Callable[..., Any]], None]


@pytest.fixture(autouse=True)
def synchronous(settings: LazySettings) -> None:
    settings.RQ_QUEUES = {
        name: config | {"ASYNC": name != "default"} for name, config in settings.RQ_QUEUES.items()
    }


def test_a_call_on_a_synchronous_queue_has_finished_when_it_was_made(
    redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []

    def look(text: str) -> str:
        task = Task.objects.get()
        seen.extend((task.status, redis_connection.exists(lease_key(task.job_id))))
        return text

    behave(look)
    task = TaskService.enqueue_task(functions.call, "a")
    assert seen == ["running", 1]
    assert (task.status, task.result) == ("finished", "a")
    assert Task.objects.get().started is not None
    assert (queued(redis_connection), redis_connection.keys("tasks:lease:*")) == ([], [])


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3)], ids=repr)
def test_what_a_synchronous_call_raises_is_in_its_row_and_is_not_raised(
    behave: Behave, error: BaseException
):
    def fail() -> None:
        raise error

    behave(fail)
    task = TaskService.enqueue_task(functions.call)
    assert task.status == "failed"
    assert task.reason == f"Failed for: {type(error).__name__}: {error}"
    assert "Traceback" in task.traceback


def test_a_synchronous_call_runs_after_the_commit(behave: Behave):
    behave(lambda: transaction.get_connection().in_atomic_block)
    with transaction.atomic():
        task = TaskService.enqueue_task(functions.call)
        assert Task.objects.get().status == "queued"
    task.refresh_from_db()
    assert (task.status, task.result) == ("finished", False)


@pytest.mark.django_db(transaction=False)
def test_a_test_that_is_a_transaction_can_run_its_calls(
    behave: Behave, django_capture_on_commit_callbacks: Any
):
    behave(lambda text: text.upper())
    with django_capture_on_commit_callbacks(execute=True):
        task = TaskService.enqueue_task(functions.call, "a")
    assert (task.status, task.result) == ("finished", "A")


def test_a_coroutine_function_runs_at_once_as_well(behave: Behave):
    async def answer() -> int:
        return 42

    behave(answer)
    assert TaskService.enqueue_task(functions.call).result == 42


def test_a_synchronous_call_that_a_run_makes_has_a_row_of_its_own(
    redis_connection: Redis, behave: Behave
):
    depths = iter([lambda: TaskService.enqueue_task(functions.call).status, lambda: "inner"])
    behave(lambda: next(depths)())
    assert TaskService.enqueue_task(functions.call).result == "finished"
    assert sorted(Task.objects.values_list("result", flat=True)) == ["finished", "inner"]


def test_a_reserved_call_on_a_synchronous_queue_waits_for_its_time_and_a_worker(behave: Behave):
    behave(lambda: None)
    task = TaskService.reserve_task(timedelta(hours=1), functions.call)
    assert Task.objects.get(pk=task.pk).status == "reserved"


def test_a_synchronous_call_waits_on_its_queue_while_the_database_is_unavailable(
    redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    def unavailable(job: object) -> None:
        raise OperationalError("gone")

    behave(lambda: "later")
    with monkeypatch.context() as patched:
        patched.setattr(recorder, "claim_patiently", unavailable)
        task = TaskService.enqueue_task(functions.call)
    assert (task.status, queued(redis_connection)) == ("queued", [task.job_id])
    work_off(redis_connection)
    task.refresh_from_db()
    assert task.result == "later"


def test_the_lease_of_a_synchronous_call_is_renewed_as_long_as_it_takes(
    redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    renewed = threading.Event()
    count = iter(range(3))

    def renew(*args: object) -> None:
        if next(count) == 2:
            renewed.set()

    monkeypatch.setattr(at_once, "renew_lease", renew)
    monkeypatch.setattr(at_once, "LEASE_RENEWAL_SECONDS", 0.01)
    behave(lambda: renewed.wait(20))
    assert TaskService.enqueue_task(functions.call).result is True


def test_a_call_that_the_scheduler_enqueues_again_does_not_run_in_the_scheduler(
    redis_connection: Redis,
):
    task = Task.objects.create(
        name="x", function=functions.ECHO, queue="default", created=timezone.now()
    )
    enqueue_task(task, redis_connection)
    assert queued(redis_connection) == [task.job_id]


def test_a_synchronous_call_inside_a_run_leaves_the_state_of_that_run_alone(
    behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    shared = SharedState()
    shared.take(Run("outer", "e", "low", 60, 0.0))
    shared.start()
    monkeypatch.setattr(writer, "witness", shared)
    behave(lambda: Deadline.current())
    with Deadline(60):
        TaskService.enqueue_task(functions.call)
        assert (shared.is_running, shared.end) == (True, None)
        assert signal.alarm(0) > 0, "the alarm of the run around it goes on"
    assert Task.objects.get().result is None
