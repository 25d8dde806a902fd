"""Jobs of RQ's own interfaces, with real workers: what an existing project on django-rq has."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django_rq
import psutil
import pytest
import rq.job
from django.conf import LazySettings
from redis import Redis
from rq.callbacks import Callback
from rq.command import send_stop_job_command
from rq.job import Dependency, JobStatus, Retry
from rq.repeat import Repeat
from rq.serializers import JSONSerializer

from tasks.scheduler import Scheduler
from tests.jobs import plain
from tests.jobs.tasks import note, note_end, price
from tests.processes import Site, running, start, work_off
from tests.servers import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def ended(job: rq.job.Job) -> bool:
    return job.get_status(refresh=True) in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED)


def crafted(redis: Redis, function: str, args: tuple[Any, ...] = (), **fields: str) -> rq.job.Job:
    """Put a job on a queue past our class, as whoever can write to Redis can."""
    queue = rq.Queue("default", connection=redis, serializer=JSONSerializer)
    job = queue.create_job(function, args=args)
    job.save()
    if fields:
        redis.hset(job.key, mapping=fields)
    redis.rpush(queue.key, job.id)
    return job


WAYS: dict[str, Callable[[str], Any]] = {
    "enqueue": lambda path: django_rq.enqueue(note, path),
    "a queue": lambda path: django_rq.get_queue("low").enqueue(note, path),
    "delay": lambda path: django_rq.job("high")(note).delay(path),
    "by its name": lambda path: django_rq.enqueue("tests.jobs.note", path),
    "by its path": lambda path: django_rq.enqueue("tests.jobs.tasks.note", path),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_registered_function_runs_by_whatever_name_rq_gives_it(site: Site, notes: Path, way: str):
    job = WAYS[way](str(notes))
    work_off(site)
    assert (job.get_status(refresh=True), job.return_value()) == (JobStatus.FINISHED, "ran")
    assert notes.read_text() == "start ran\nend ran\n"


def test_a_crafted_job_runs_nothing_that_is_not_registered(
    site: Site, redis_connection: Redis, notes: Path
):
    callback, path = "tests.jobs.plain.note_of", str(notes)
    crafted(redis_connection, "tests.jobs.plain.note", (path,))
    for event in ("success", "failure", "stopped"):
        for function, args in (("tests.jobs.answer", ()), ("tests.jobs.end_by", ("raise",))):
            fields = {f"{event}_callback_name": callback, "meta": f'{{"path": "{path}"}}'}
            crafted(redis_connection, function, args, **fields)
    work_off(site)
    statuses = {redis_connection.hget(key, "status") for key in redis_connection.keys("rq:job:*")}
    assert (statuses, notes.read_text()) == ({b"failed"}, "")


def test_registered_callbacks_of_jobs_are_called(site: Site, redis_connection: Redis, notes: Path):
    callback, queue = Callback(note_end), django_rq.get_queue()
    options: dict[str, Any] = {"meta": {"path": str(notes)}, "on_success": callback}
    options |= {"on_failure": callback, "on_stopped": callback}
    jobs = [
        queue.enqueue("tests.jobs.answer", **options),
        queue.enqueue("tests.jobs.end_by", "raise", **options),
        queue.enqueue("tests.jobs.note", str(notes), "long", 60, **options),
    ]
    with running(site, "rqworker", "default"):
        wait_for(lambda: "start long" in notes.read_text(), "the run")
        wait_for(lambda: jobs[2].get_executions(), "its execution")
        send_stop_job_command(redis_connection, jobs[2].id)
        wait_for(lambda: all(map(ended, jobs)), "the end of the jobs")
    assert [job.get_status() for job in jobs] == ["finished", "failed", "stopped"]
    assert notes.read_text().splitlines() == [
        jobs[0].id,
        jobs[1].id,
        "start long",
        jobs[2].id,
    ]


def test_a_site_with_plain_rq_jobs_runs_them_as_rq_does(
    site: Site, notes: Path, settings: LazySettings
):
    settings.TASKS_RUN_UNREGISTERED = True
    on_success = Callback(plain.note_of)
    job = django_rq.enqueue(
        plain.note, str(notes), on_success=on_success, meta={"path": str(notes)}
    )
    work_off(dict(site) | {"TASKS_RUN_UNREGISTERED": "on"})
    assert (job.get_status(refresh=True), job.return_value()) == (JobStatus.FINISHED, str(notes))
    assert notes.read_text() == "ran\nran\n"


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({}, 1),
        ({"retry": Retry(max=2)}, 1),
        ({"repeat": Repeat(times=2)}, 3),
        ({"on_success": Callback(note_end)}, 1),
    ],
    ids=["plain", "retry", "repeat", "callback"],
)
def test_a_result_that_is_not_json_ends_no_process_and_repeats_nothing(
    site: Site, notes: Path, options: dict[str, Any], times: int
):
    queue, options = django_rq.get_queue(), options | {"meta": {"path": str(notes)}}
    before, job = (
        queue.enqueue("tests.jobs.process_id"),
        queue.enqueue(price, str(notes), **options),
    )
    dependent = queue.enqueue("tests.jobs.process_id", depends_on=Dependency(job))
    work_off(site)
    for one in (before, job, dependent):
        assert one.get_status(refresh=True) == JobStatus.FINISHED
    assert before.return_value() == dependent.return_value()
    assert notes.read_text().count("priced") == times
    assert job.return_value() is None


def test_a_job_of_rq_schedulers_interface_with_a_result_that_is_not_json_has_finished(
    site: Site, notes: Path
):
    scheduler: Scheduler = django_rq.get_scheduler("default")
    job = scheduler.schedule(datetime.now(UTC), price, args=[str(notes)], interval=3600)
    scheduler.enqueue_jobs()
    work_off(site)
    assert (job.get_status(refresh=True), notes.read_text()) == (JobStatus.FINISHED, "priced\n")
    assert job in scheduler


def test_jobs_on_a_queue_of_others_are_left_alone_and_rqs_own_worker_runs_them(
    site: Site, redis_connection: Redis, notes: Path, settings: LazySettings
):
    settings.RQ_QUEUES = settings.RQ_QUEUES | {"pickled": {"URL": settings.REDIS_URL}}
    queue = django_rq.get_queue("pickled")
    waiting, later = queue.enqueue(plain.note, notes), queue.enqueue_in(timedelta(0), plain.note, 1)
    own = django_rq.enqueue(note, str(notes))
    pickled = dict(site) | {"PICKLED_QUEUE": "pickled"}
    with running(pickled, "rqscheduler"), running(pickled, "rqworker", "default"):
        wait_for(lambda: ended(own), "the job on our queue")
    assert redis_connection.lrange("rq:queue:pickled", 0, -1) == [waiting.id.encode()]
    assert redis_connection.zrange("rq:scheduled:pickled", 0, -1) == [later.id.encode()]
    assert waiting.get_status(refresh=True) == JobStatus.QUEUED
    stock = ("--worker-class", "rq.Worker", "--job-class", "rq.job.Job")
    assert start(pickled, "rqworker", "--burst", *stock, "pickled").wait(60) == 0
    assert (waiting.get_status(refresh=True), waiting.return_value()) == ("finished", notes)


def test_a_pool_of_workers_runs_jobs_and_calls(site: Site, notes: Path):
    job = django_rq.enqueue(note, str(notes))
    with running(site, "rqworker-pool", "--num-workers", "2", "default") as pool:
        wait_for(lambda: ended(job), "the job")
        wait_for(lambda: len(psutil.Process(pool.pid).children()) == 2, "both workers")
    assert job.get_status() == JobStatus.FINISHED


def test_what_rqcron_enqueues_runs(site: Site, redis_connection: Redis, notes: Path):
    with running(dict(site) | {"NOTES": str(notes)}, "rqcron", "tests.jobs.cron_file"):
        wait_for(lambda: redis_connection.llen("rq:queue:low"), "the job of the cron scheduler")
    work_off(site)
    assert notes.read_text() == "start ran\nend ran\n"
