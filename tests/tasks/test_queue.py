"""django-rq's queues: JSON and registered functions, and the queues of others as RQ has them."""

import sys
from decimal import Decimal
from typing import Any

import django_rq
import pytest
import rq.job
from django.conf import LazySettings
from django.db import transaction
from django.utils import timezone
from django_rq.queues import get_queue_by_index
from redis import Redis
from rq.callbacks import Callback
from rq.job import JobStatus
from rq.registry import StartedJobRegistry, clean_registries
from rq.serializers import JSONSerializer, PickleSerializer

from tasks.admin_pages import forms
from tasks.exceptions import InvalidSchedule, UnknownTaskFunction
from tasks.job import Job
from tasks.queue import Queue, usable_queues, why_unusable
from tasks.services import SchedulerService
from tests.tasks import functions
from tests.tasks.functions import work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pickled(settings: LazySettings) -> str:
    """Return a queue of the site with pickle, as a site has whose settings don't name one."""
    settings.RQ_QUEUES = settings.RQ_QUEUES | {"pickled": {"URL": settings.REDIS_URL}}
    return "pickled"


def enqueue(*args: Any) -> rq.job.Job:
    return django_rq.enqueue(functions.echo, *args)


def get_queue(*args: Any) -> rq.job.Job:
    return django_rq.get_queue("low").enqueue(functions.echo, *args)


def delay(*args: Any) -> Any:
    return django_rq.job("high")(functions.echo).delay(*args)


@pytest.mark.parametrize("how", [enqueue, get_queue, delay])
def test_a_registered_function_that_is_enqueued_by_rqs_interface_runs(
    redis_connection: Redis, how: Any
):
    job = how(1)
    assert work_off(redis_connection) == 1
    assert job.get_status(refresh=True) == JobStatus.FINISHED
    assert job.return_value() == [[1], {}]


@pytest.mark.parametrize(
    "options", [{}, {"on_success": Callback("os.getpid")}], ids=["its function", "its callback"]
)
def test_what_is_not_registered_is_refused_when_it_is_enqueued_and_not_at_the_commit(
    redis_connection: Redis, options: dict[str, Any]
):
    function = functions.echo if options else functions.queued
    with transaction.atomic():
        with pytest.raises(UnknownTaskFunction, match="decorate it with @background_task"):
            django_rq.get_queue().enqueue(function, **options)
        with pytest.raises(UnknownTaskFunction):
            django_rq.get_queue().enqueue_at(rq.utils.now(), function, **options)
    assert not redis_connection.keys("rq:job:*")


def test_a_queue_with_another_serializer_takes_rqs_own_jobs(redis_connection: Redis, pickled: str):
    job = django_rq.get_queue(pickled).enqueue(functions.queued, Decimal(1))
    assert type(job) is rq.job.Job
    read = rq.job.Job.fetch(job.id, connection=redis_connection)
    assert (read.func_name, read.args) == ("tests.tasks.functions.queued", (Decimal(1),))


def test_every_way_of_django_rq_to_make_a_queue_makes_ours(pickled: str):
    for queue in (django_rq.get_queue("low"), get_queue_by_index(1), Queue("low", connection=1)):
        assert (type(queue), queue.job_class) == (Queue, Job)
        assert queue.serializer is JSONSerializer
    index = sorted(["default", "feeds", "high", "low", pickled]).index(pickled)
    for queue in (django_rq.get_queue(pickled), get_queue_by_index(index)):
        assert (queue.job_class, queue.serializer) == (rq.job.Job, PickleSerializer)


def test_a_page_that_cleans_registries_does_not_import_the_callback_of_an_abandoned_job(
    redis_connection: Redis,
):
    sys.modules.pop("this", None)
    job = enqueue()
    redis_connection.hset(job.key, mapping={"status": "started", "failure_callback_name": "this.s"})
    redis_connection.zadd(StartedJobRegistry("default", redis_connection).key, {f"{job.id}:x": 1})
    clean_registries(get_queue_by_index(0))
    assert job.get_status(refresh=True) == JobStatus.FAILED
    assert "this" not in sys.modules


def test_a_synchronous_queue_runs_a_registered_function_and_leaves_out_what_is_not_json(
    settings: LazySettings, behave: Any
):
    settings.RQ_QUEUES = {"default": settings.RQ_QUEUES["default"] | {"ASYNC": False}}
    behave(lambda: Decimal(1))
    job = django_rq.enqueue(functions.call)
    assert (job.get_status(refresh=True), job.return_value()) == (JobStatus.FINISHED, None)


def test_only_queues_with_json_on_the_redis_of_the_default_queue_are_usable(
    settings: LazySettings, pickled: str
):
    elsewhere = settings.RQ_QUEUES["low"] | {"URL": "redis://elsewhere"}
    settings.RQ_QUEUES = settings.RQ_QUEUES | {"elsewhere": elsewhere}
    assert usable_queues() == ["high", "default", "low", "feeds"]
    assert why_unusable("low") == ""
    for queue, why in ((pickled, "are not JSON"), ("elsewhere", "Redis"), ("no", "no queue “no”")):
        assert why in why_unusable(queue)


def test_a_schedule_on_a_queue_of_others_is_refused_and_the_form_does_not_offer_it(pickled: str):
    with pytest.raises(InvalidSchedule, match="“pickled” are not JSON"):
        SchedulerService.schedule(timezone.now(), functions.echo, queue=pickled)
    assert [name for name, _ in forms._queue_choices()] == ["", "high", "default", "low", "feeds"]
