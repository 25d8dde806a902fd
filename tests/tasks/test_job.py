"""Jobs have JSON payloads and call registered functions only."""

import sys
from collections.abc import Callable
from typing import Any, cast

import pytest
from django.conf import LazySettings
from redis import Redis
from rq.callbacks import Callback
from rq.exceptions import DeserializationError
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer

from tasks.exceptions import UnknownTaskFunction
from tasks.job import Job
from tests.tasks import functions

# A module of Python that nothing here imports.
UNIMPORTED = "this.s"
CALLBACKS = ["success_callback", "failure_callback", "stopped_callback"]


@pytest.fixture
def craft(redis_connection: Redis) -> Callable[..., Job]:
    """Return a function that puts a job into Redis without our class, and reads it with it."""
    sys.modules.pop("this", None)

    def make(function: str = functions.ECHO, **fields: str) -> Job:
        job = RqJob.create(function, connection=redis_connection, serializer=JSONSerializer)
        job.save()
        if fields:
            redis_connection.hset(job.key, mapping=fields)
        return cast(Job, Job.fetch(job.id, connection=redis_connection))

    return make


def test_a_payload_is_json(redis_connection: Redis):
    job = Job.create(functions.ECHO, args=[1], id="task-1", connection=redis_connection)
    job.save()
    assert Job.fetch("task-1", connection=redis_connection).args == [1]
    assert job.serializer.loads(job.data)[0] == functions.ECHO


def test_a_pickled_payload_is_never_unpickled(redis_connection: Redis):
    import rq.job

    rq.job.Job.create("os.getpid", id="crafted", connection=redis_connection).save()
    with pytest.raises(DeserializationError):
        _ = Job.fetch("crafted", connection=redis_connection).func_name


def test_a_function_that_is_not_registered_is_never_imported(craft: Callable[..., Job]):
    job = craft(UNIMPORTED)
    for look in (lambda: job.func, job.check_callable, job.perform):
        with pytest.raises(UnknownTaskFunction, match=r"“this\.s”"):
            look()
    assert "this" not in sys.modules


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_callback_that_is_not_registered_is_never_imported(
    craft: Callable[..., Job], callback: str
):
    job = craft(**{f"{callback}_name": UNIMPORTED})
    for look in (lambda: getattr(job, callback), job.check_callable):
        with pytest.raises(UnknownTaskFunction, match=r"“this\.s”"):
            look()
    assert "this" not in sys.modules


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("name", [functions.CALL, "tests.tasks.functions.call"])
def test_a_callback_that_is_registered_is_the_function_itself(
    craft: Callable[..., Job], callback: str, name: str
):
    job = craft(**{f"{callback}_name": name})
    job.check_callable()
    assert getattr(job, callback) is functions.call.__wrapped__  # type: ignore[attr-defined]
    assert getattr(craft(), callback) is None


def test_a_registered_function_is_called_by_the_path_that_rq_gives_it(redis_connection: Redis):
    job = Job.create(functions.echo, args=[1], connection=redis_connection)
    assert job.func_name == "tests.tasks.functions.echo"
    assert job.perform() == [[1], {}]


@pytest.mark.parametrize(
    "function", [len, "os.getpid", "tests.tasks.functions.work_off", functions.perform, "a".upper]
)
def test_a_job_of_a_function_that_is_not_registered_is_refused_when_it_is_created(
    redis_connection: Redis, function: Any
):
    with pytest.raises(UnknownTaskFunction, match="decorate it with @background_task"):
        Job.create(function, connection=redis_connection)


@pytest.mark.parametrize("event", ["on_success", "on_failure", "on_stopped"])
@pytest.mark.parametrize("function", ["os.getpid", functions.perform])
def test_a_job_with_a_callback_that_is_not_registered_is_refused_when_it_is_created(
    redis_connection: Redis, event: str, function: Any
):
    with pytest.raises(UnknownTaskFunction, match="is not a registered task function"):
        Job.create(functions.echo, connection=redis_connection, **{event: Callback(function)})


def test_a_site_with_plain_rq_jobs_imports_functions_and_callbacks_by_their_paths(
    redis_connection: Redis, settings: LazySettings
):
    settings.TASKS_RUN_UNREGISTERED = True
    on_success = Callback("tests.tasks.functions.queued")
    job = Job.create("operator.add", [1, 2], connection=redis_connection, on_success=on_success)
    job.check_callable()
    assert job.perform() == 3
    assert job.success_callback is functions.queued


def test_a_job_that_has_a_row_calls_registered_functions_only_whatever_else_the_site_runs(
    craft: Callable[..., Job], settings: LazySettings
):
    settings.TASKS_RUN_UNREGISTERED = True
    with pytest.raises(UnknownTaskFunction):
        craft("operator.add").check_callable(has_row=True)


@pytest.mark.parametrize("value", ["True", 1, "off"])
def test_anything_but_true_runs_registered_functions_only(
    redis_connection: Redis, settings: LazySettings, value: Any
):
    settings.TASKS_RUN_UNREGISTERED = value
    with pytest.raises(UnknownTaskFunction):
        Job.create("os.getpid", connection=redis_connection)


def test_a_job_is_the_same_whichever_class_reads_it(redis_connection: Redis):
    ours = Job.create(functions.echo, connection=redis_connection)
    ours.save()
    theirs = RqJob.fetch(ours.id, connection=redis_connection)
    assert ours == theirs
    assert theirs == ours
    assert len({ours, theirs}) == 1
    assert ours != RqJob.create(functions.echo, connection=redis_connection)
    assert ours != ours.id
