"""Task functions for the tests, and how to run their jobs in this process."""

import logging
import threading
from collections.abc import Callable
from typing import Any, cast

from django.db import connections
from redis import Redis

from tasks.decorators import background_task, scheduled_task
from tasks.job import Job
from tasks.runs.progress import progress
from tasks.worker import Worker
from tasks.worker.child import Child
from tasks.worker.shared_state import SharedState

QUEUES = ("high", "default", "low")

# What `call` calls: each test puts its own behaviour here.
behaviour: Callable[..., Any] = print


@background_task
@scheduled_task
def echo(*args: Any, **kwargs: Any) -> list[Any]:
    """Return what it was given.

    And nothing else.
    """
    return [list(args), kwargs]


@background_task
@scheduled_task(secret=["pin"])
def log_in(pin: str, api_token: str = "", *, where: Any = None) -> Any:
    """Take secrets: one that is marked, one that its name gives away."""
    return behaviour(pin, api_token, where)


@background_task
@scheduled_task
def call(*args: Any, **kwargs: Any) -> Any:
    """Do what the test asks for."""
    return behaviour(*args, **kwargs)


@scheduled_task
async def later(text: str) -> str:
    """Return a text from a coroutine."""
    logging.getLogger("tests.later").info("in the coroutine")
    progress(1, 2)
    return text


@scheduled_task(name="tests.only_scheduled", queue="low", timeout=77)
def only_scheduled(number: int, *, text: str = "") -> None:
    """Take one number."""


@background_task(name="tests.only_background", queue="high", timeout=55)
def only_background() -> None:
    """Take nothing."""


# What `checked` is asked before it runs: each test puts its own answer here.
check: Callable[..., Any] = print


@background_task
@scheduled_task(check=lambda *args, **kwargs: check(*args, **kwargs))
def checked(*args: Any) -> Any:
    """Do what the test asks for, if the check lets it."""
    return behaviour(*args)


ECHO: str = echo.task_name  # type: ignore[attr-defined]
LOG_IN: str = log_in.task_name  # type: ignore[attr-defined]
CALL: str = call.task_name  # type: ignore[attr-defined]
CHECKED: str = checked.task_name  # type: ignore[attr-defined]


def perform(redis: Redis, job_id: str) -> Job:
    """Run a job as a worker's child does, wherever it waits; return it as it is then."""
    job = Job.fetch(job_id, connection=redis)
    redis.lrem(f"rq:queue:{job.origin}", 0, job_id)
    redis.lpush(f"rq:queue:{job.origin}", job_id)
    Child(Worker([job.origin], connection=redis), SharedState()).work_off(limit=1)
    return cast(Job, Job.fetch(job_id, connection=redis))


def queued(redis: Redis) -> list[str]:
    """Return the ids of the jobs on all queues."""
    return [
        job_id.decode() for queue in QUEUES for job_id in redis.lrange(f"rq:queue:{queue}", 0, -1)
    ]


def work_off(redis: Redis) -> int:
    """Run the jobs on all queues; return how many there were."""
    job_ids = queued(redis)
    for job_id in job_ids:
        perform(redis, job_id)
    return len(job_ids)


def in_threads(*calls: Callable[[], Any]) -> list[Any]:
    """Call all at once, each in a thread; return their results, or what they raised."""
    results: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = calls[index]()
        except Exception as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
