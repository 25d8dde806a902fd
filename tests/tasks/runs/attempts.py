"""Runs of one schedule, attempt by attempt."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from redis import Redis

from tasks.broker.enqueue import enqueue_run
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tests.tasks.schedules import ago

Behave = Callable[[Callable[..., Any]], None]


def past(seconds: float) -> datetime:
    """Return a due of the schedule, about so long ago."""
    return ago(seconds).replace(microsecond=0)


def enqueue(redis: Redis, schedule: ScheduledTask, run_id: RunId | None = None) -> str:
    run_id = run_id or RunId(schedule.job_id, past(1))
    enqueue_run(schedule, run_id, redis)
    return run_id.job_id


Run = Callable[[Callable[..., Any]], ScheduledTaskInstance]


def raising(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def end(run: ScheduledTaskInstance) -> tuple[str, str]:
    return run.status, run.reason_in_words()


# Attempts


def failed_run(schedule: ScheduledTask, attempt: int = 1) -> ScheduledTaskInstance:
    return schedule.runs.create(
        name=schedule.name,
        due=ago(5),
        started=ago(4),
        ended=ago(3),
        status="failed",
        attempt=attempt,
        log="first try\n",
        exception_class="builtins.ValueError",
    )
