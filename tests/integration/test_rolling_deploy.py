"""Old and new workers share a queue: what one doesn't know is run by the other one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from redis import Redis

from tasks.broker.workers import live_workers
from tasks.models import Task
from tasks.services import TaskService
from tests.processes import Site, running
from tests.servers import wait_for


@pytest.fixture
def old(site: Site) -> Site:
    """Return the environment of processes whose code lacks the functions of `tests.jobs`."""
    return {**site, "DJANGO_SETTINGS_MODULE": "project.settings"}


def number_of_workers(redis: Redis) -> int:
    return len(live_workers(["default"], redis)["default"])


@contextmanager
def old_workers(site: Site, redis: Redis, number: int) -> Iterator[None]:
    """Run a scheduler and so many workers inside the block."""
    before = number_of_workers(redis)
    with ExitStack() as stack:
        for command in [("rqscheduler",), *[("rqworker", "default")] * number]:
            stack.enter_context(running(site, *command))
        wait_for(lambda: number_of_workers(redis) == before + number, "the workers")
        yield


def is_refused(call: Task, redis: Redis) -> bool:
    return bool(redis.hexists(f"rq:job:{call.job_id}", "refused_by"))


def has_ended(call: Task) -> bool:
    call.refresh_from_db()
    return call.ended is not None


def test_a_call_that_an_old_worker_does_not_know_is_run_by_a_new_one(
    site: Site, old: Site, redis_connection: Redis, notes: Path
):
    busy = TaskService.enqueue_task("tests.jobs.note", str(notes), "x", 600)
    with running(site, "rqworker", "default"):
        wait_for(notes.read_text, "the start of what keeps the new worker busy")
        with old_workers(old, redis_connection, 1):
            call = TaskService.enqueue_task("tests.jobs.answer")
            wait_for(lambda: is_refused(call, redis_connection), "the old worker's refusal")
            call.refresh_from_db()
            assert call.status == "queued"
            TaskService.cancel_task(busy)
            wait_for(lambda: has_ended(call), "the end of the call")
    assert (call.status, call.result) == ("finished", 42)


def test_a_call_that_no_worker_knows_fails_once_all_have_refused_it(
    old: Site, redis_connection: Redis
):
    with old_workers(old, redis_connection, 2):
        call = TaskService.enqueue_task("tests.jobs.answer")
        wait_for(lambda: has_ended(call), "the end of the call")
    assert call.status == "failed"
    assert "number of workers: 2." in call.reason_in_words()
