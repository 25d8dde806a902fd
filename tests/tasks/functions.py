"""Task functions for the tests, and how to run their jobs in this process."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, cast
from uuid import UUID

from django.db import connections
from redis import Redis

from tasks.decorators import background_task, scheduled_task
from tasks.job import Job
from tasks.models import Calendar
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


@background_task
@scheduled_task
async def coroutine(*args: Any, **kwargs: Any) -> Any:
    """Await what the test asks for."""
    return await behaviour(*args, **kwargs)


@scheduled_task(name="tests.only_scheduled", queue="low", timeout=77)
def only_scheduled(number: int, *, text: str = "") -> None:
    """Take one number."""


@background_task(name="tests.only_background", queue="high", timeout=55)
def only_background() -> None:
    """Take nothing."""


@background_task(aliases=["tests.report"])
@scheduled_task(aliases=["tests.daily_report", "tests.report"])
def report(day: date, calendar: Calendar | None = None, *, factor: float = 1.0) -> Any:
    """Do what the test asks for, with arguments that aren't JSON."""
    return behaviour(day, calendar, factor)


@scheduled_task
def at(time: datetime) -> None:
    """Take a time."""


class Level(Enum):
    """How loud."""

    LOW = "low"
    HIGH = "high"


@dataclass
class Mail:
    """What a dataclass is typed as: a group of fields."""

    sender: str
    tries: int = 3


@background_task
@scheduled_task(secret=["pin"])
def typed(  # noqa: D417  (only some have help)
    region: Literal["eu", "us"],
    days: int = 7,
    *,
    total: Decimal = Decimal("25.00"),
    ratio: float | None = None,
    dry_run: bool = False,
    wet: bool | None = None,
    level: Level = Level.LOW,
    since: date | None = None,
    at: datetime | None = None,
    every: timedelta = timedelta(minutes=15),
    ref: UUID | None = None,
    names: list[str] | None = None,
    numbers: list[int] = [1, 2],  # noqa: B006  (a default of a type that isn't a scalar)
    mail: Mail | None = None,
    sender: Mail = Mail("me"),  # noqa: B008
    calendar: Calendar | None = None,
    extra: Any = None,
    text: str = "plain",
    pin: int = 4711,
) -> None:
    """Take an argument of each type.

    Args:
        days: Overdue by at least this many days.
        dry_run: Only log.

    """


# What `checked` is asked before it runs: each test puts its own answer here.
check: Callable[..., Any] = print


@background_task
@scheduled_task(check=lambda *args, **kwargs: check(*args, **kwargs))
def checked(*args: Any, day: date | None = None) -> Any:
    """Do what the test asks for, if the check lets it."""
    return behaviour(*args)


REPORT: str = report.task_name  # type: ignore[attr-defined]
TYPED: str = typed.task_name  # type: ignore[attr-defined]
ECHO: str = echo.task_name  # type: ignore[attr-defined]
LOG_IN: str = log_in.task_name  # type: ignore[attr-defined]
CALL: str = call.task_name  # type: ignore[attr-defined]
CHECKED: str = checked.task_name  # type: ignore[attr-defined]
COROUTINE: str = coroutine.task_name  # type: ignore[attr-defined]


def perform(redis: Redis, job_id: str) -> Job:
    """Run a job as a worker's child does, wherever it waits; return it as it is then."""
    job = Job.fetch(job_id, connection=redis)
    redis.lrem(f"rq:queue:{job.origin}", 0, job_id)
    redis.lpush(f"rq:queue:{job.origin}", job_id)
    child = Child(Worker([job.origin], connection=redis), SharedState())
    for _ in range(10):  # On a busy machine, the time of a batch may be over before it begins.
        ran, _redis_answers = child.work_off(limit=1)
        if ran:
            break
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
