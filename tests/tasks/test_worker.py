"""The worker: JSON only, leases, and a note of how a work-horse died."""

import os
import signal
import sys
from types import SimpleNamespace
from typing import Any

import django_rq
import pytest
import rq
from redis import Redis
from rq.serializers import DefaultSerializer, JSONSerializer

from tasks import projection, rescue, spool
from tasks.job import Job, RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.worker import Worker
from tests.tasks.conftest import ago, make_row
from tests.tasks.functions import perform

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(redis_connection: Redis) -> Worker:
    return Worker(["default"], connection=redis_connection)


@pytest.fixture
def run(schedule: ScheduledTask) -> ScheduledTaskInstance:
    return schedule.runs.create(name="x", due=ago(5), started=ago(4))


@pytest.fixture
def job(run: ScheduledTaskInstance, redis_connection: Redis) -> Job:
    """Return the job of a run that is going on, with its lease."""
    job = projection.build_job(run.parent, run.run_job_id, redis_connection)
    job.save()
    rescue.renew_lease(redis_connection, job.id, "w1")
    return job


def ended(run: ScheduledTaskInstance, redis: Redis) -> tuple[str, str]:
    spool.drain(redis)
    run.refresh_from_db()
    return run.status, run.reason


def test_payloads_are_json_whatever_was_asked_for(redis_connection: Redis):
    worker = Worker(
        ["default"], connection=redis_connection, serializer=DefaultSerializer, job_class=rq.job.Job
    )
    assert (worker.serializer, worker.job_class) == (JSONSerializer, Job)
    assert worker.queues[0].job_class is Job


def test_django_rq_is_told_to_use_it():
    assert isinstance(django_rq.get_worker("default"), Worker)


@pytest.mark.parametrize(
    ("ret_val", "reason"),
    [
        (signal.SIGKILL, "Lost: its process was killed by signal 9."),
        (3 << 8, "Lost: its process exited with status 3."),
        (None, "Lost: its process vanished."),
    ],
)
def test_a_killed_work_horse_is_noted(
    worker: Worker,
    job: Job,
    run: ScheduledTaskInstance,
    redis_connection: Redis,
    ret_val: Any,
    reason: str,
):
    worker.handle_work_horse_killed(job, 1, ret_val, None)
    assert ended(run, redis_connection) == ("failed", reason)
    assert not redis_connection.exists(rescue.lease_key(job.id))


def test_a_stopped_job_is_noted(
    worker: Worker,
    job: Job,
    run: ScheduledTaskInstance,
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(rq.Worker, "_handle_stopped_job", lambda *args: None)
    worker._handle_stopped_job(job, worker.queues[0], SimpleNamespace())
    assert ended(run, redis_connection) == ("canceled", "Stopped on request.")


def test_a_worker_stopped_at_once_notes_its_run(
    worker: Worker,
    job: Job,
    run: ScheduledTaskInstance,
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(rq.Worker, "request_force_stop", lambda *args: sys.exit())
    worker.prepare_execution(job)
    with pytest.raises(SystemExit):
        worker.request_force_stop(signal.SIGTERM, None)
    assert ended(run, redis_connection) == ("failed", "Lost: its worker was stopped.")


def test_without_redis_a_dead_work_horse_ends_no_worker(worker: Worker, job: Job, redis_away: Any):
    redis_away(True)
    worker._spool(job.id, "failed", "killed")


def test_a_run_is_vouched_for_before_it_starts(worker: Worker, job: Job, redis_connection: Redis):
    redis_connection.delete(rescue.lease_key(job.id))
    worker.prepare_execution(job)
    assert redis_connection.get(rescue.lease_key(job.id)) == worker.name.encode()


def test_the_process_that_forks_has_no_open_database_connection(
    worker: Worker, job: Job, monkeypatch: pytest.MonkeyPatch
):
    closed: list[int] = []
    monkeypatch.setattr("django.db.connections.close_all", lambda: closed.append(os.getpid()))
    monkeypatch.setattr(rq.Worker, "fork_work_horse", lambda *args: closed.append(-1))
    worker.fork_work_horse(job, worker.queues[0])
    assert closed == [os.getpid(), -1]


def test_a_template_is_never_executed(schedule: ScheduledTask, redis_connection: Redis):
    projection.put([schedule], redis_connection)
    before = redis_connection.hgetall(Job.key_for(schedule.job_id))
    redis_connection.rpush("rq:queue:default", schedule.job_id)
    perform_template(redis_connection, schedule.job_id)
    assert redis_connection.hgetall(Job.key_for(schedule.job_id)) == before
    assert not schedule.runs.exists()


def perform_template(redis: Redis, job_id: str) -> None:
    worker = Worker(["default"], connection=redis)
    worker.execute_job(Job.fetch(job_id, connection=redis), worker.queues[0])


@pytest.mark.parametrize("name", ["os.getpid", "tests.tasks.functions.echo.__call__"])
def test_a_run_whose_payload_names_something_else_fails_and_says_so(
    redis_connection: Redis, name: str
):
    schedule = make_row(accounted_until=ago(60))
    run_id = RunId(schedule.job_id, ago(1))
    job = Job.create(name, id=run_id.job_id, connection=redis_connection, origin="default")
    job.save()
    perform(redis_connection, job.id)
    run = schedule.runs.get()
    assert run.status == "failed"
    assert run.reason.startswith("Failed for: UnknownTaskFunction")
