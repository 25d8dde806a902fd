"""What a decorated function does, inside a job and outside."""

import asyncio
import inspect
from collections.abc import Callable

import pytest
from redis import Redis

import tasks
from tasks import registry
from tasks.broker.enqueue import enqueue_run, enqueue_task
from tasks.decorators import scheduled_task
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTaskInstance, Task
from tests.tasks import functions
from tests.tasks.functions import CALL, perform
from tests.tasks.schedules import ago, make_row


def test_a_task_function_called_directly_is_just_the_function():
    assert functions.echo(1, a=2) == [[1], {"a": 2}]


def test_a_coroutine_task_function_called_directly_returns_a_coroutine():
    assert asyncio.run(functions.later("text")) == "text"


def test_progress_outside_a_run_does_nothing():
    tasks.progress(1, 2, "half")


def test_a_decorated_function_keeps_its_name_and_signature():
    assert functions.only_scheduled.__name__ == "only_scheduled"
    assert str(inspect.signature(functions.only_scheduled)).startswith("(number: int, *, text")


def test_a_function_can_be_decorated_with_or_without_options():
    assert registry.get(functions.ECHO).queue == "default"
    function = registry.get("tests.only_scheduled")
    assert (function.queue, function.timeout) == ("low", 77)


@pytest.mark.django_db
def test_a_call_of_another_task_function_inside_a_run_is_a_plain_call(
    redis_connection: Redis, behave: Callable[..., None]
):
    behave(lambda: functions.echo("inner"))
    row = make_row(function=CALL, settled_through=ago(60))
    run_id = RunId(row.job_id, ago(0))
    enqueue_run(row, run_id, redis_connection)
    perform(redis_connection, run_id.job_id)
    assert ScheduledTaskInstance.objects.get().result == [["inner"], {}]


@pytest.mark.django_db
def test_a_task_function_that_calls_itself_has_one_row(
    redis_connection: Redis, behave: Callable[..., None]
):
    behave(lambda depth: functions.call(depth - 1) if depth else "deep")
    task = Task.objects.create(name="x", function=CALL, args=[3])
    enqueue_task(task, redis_connection)
    perform(redis_connection, task.job_id)
    assert Task.objects.get().result == "deep"


@pytest.mark.django_db
def test_an_external_job_of_a_task_function_runs_without_a_record(redis_connection: Redis):
    job = Job.create(functions.ECHO, args=[1], id="external", connection=redis_connection)
    job.origin = "default"
    job.save()
    assert perform(redis_connection, "external").return_value() == [[1], {}]
    assert not Task.objects.exists()
    assert not ScheduledTaskInstance.objects.exists()


def test_a_parameter_that_is_marked_secret_must_exist():
    def log_in(pin: str) -> None: ...

    with pytest.raises(ValueError, match=r"secret=\['pni'\] must be a list of the names of param"):
        scheduled_task(name="tests.misspelt", secret=["pni"])(log_in)
    assert "tests.misspelt" not in registry.names(registry.Kind.SCHEDULED)
