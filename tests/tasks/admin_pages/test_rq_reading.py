"""django-rq's pages run nothing of a job that somebody has put into Redis."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from redis import Redis
from rq.executions import Execution
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.worker import Worker

from tasks.job import Job
from tasks.worker.queues import record_executions
from tests.tasks import functions

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = ["home", "jobs", "started_jobs", "failed_jobs", "workers", "finished_jobs"]
CALLBACK = "tests.tasks.admin_pages.test_rq_reading.callback"
called: list[Any] = []


def callback(*args: Any) -> None:
    called.append(args)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def crafted(redis_connection: Redis, tmp_path: Path) -> Path:
    """Put jobs into Redis that run code when they are read with pickle, and one to clean up."""
    called.clear()
    path = tmp_path / "exploded"
    for status in ("started", "failed", "queued"):
        job = Job.create(functions.echo, connection=redis_connection, origin="default")
        job.save()
        bomb = pickle.dumps(Bomb(path))
        fields = {"status": status, "meta": bomb, "failure_callback_name": CALLBACK}
        fields["enqueued_at"] = "2026-01-31T12:00:00.000000Z"
        redis_connection.hset(job.key, mapping=fields)
        if status == "started":
            Execution("x", job.id, redis_connection).save(3600)
            started = StartedJobRegistry("default", redis_connection)
            redis_connection.zadd(started.key, {f"{job.id}:x": "+inf", f"{job.id}:old": 1})
        elif status == "failed":
            redis_connection.zadd(FailedJobRegistry("default", redis_connection).key, {job.id: 9e9})
        else:
            redis_connection.rpush("rq:queue:default", job.id)
    return path


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_shows_a_crafted_job_runs_nothing_of_it(
    admin_client: Client, crafted: Path, page: str
):
    args = [] if page == "home" else [0]
    assert admin_client.get(reverse(f"admin:django_rq_{page}", args=args)).status_code == 200
    assert (crafted.exists(), called) == (False, [])


def test_the_page_of_a_worker_that_runs_a_crafted_job_runs_nothing_of_it(
    admin_client: Client, redis_connection: Redis, crafted: Path
):
    worker = Worker(["default"], connection=redis_connection, name="w")
    worker.register_birth()
    [job_id] = StartedJobRegistry("default", redis_connection).get_job_ids(cleanup=False)[:1]
    record_executions(redis_connection, [Execution("x", job_id, redis_connection, "w")], 60)
    redis_connection.hset(Job.key_for(job_id), "data", pickle.dumps(Bomb(crafted)))
    url = reverse("admin:django_rq_worker_details", args=[0, worker.key])
    assert admin_client.get(url).status_code == 200
    assert (crafted.exists(), called) == (False, [])


def test_deleting_failed_jobs_runs_nothing_of_them(
    admin_client: Client, redis_connection: Redis, crafted: Path
):
    url = reverse("admin:django_rq_delete_failed_jobs", args=[0])
    assert admin_client.post(url).status_code == 302
    assert not FailedJobRegistry("default", redis_connection).get_job_ids()
    assert (crafted.exists(), called) == (False, [])


def test_the_statistics_run_nothing_of_a_crafted_job(crafted: Path, capsys: Any):
    call_command("rqstats", "--json")
    assert '"jobs": 1' in capsys.readouterr().out
    assert (crafted.exists(), called) == (False, [])
