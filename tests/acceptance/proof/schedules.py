"""Makes and deletes the schedules of a system under test, in a process of its own."""

import contextlib
import os
from datetime import datetime, timedelta
from typing import Any

import django_rq
from django.utils import timezone
from redis.exceptions import RedisError

from tasks.models import ScheduledTask
from tasks.services import SchedulerService, TaskService
from tests.acceptance.proof import stock_recording
from tests.jobs.tasks import process_id


def make(schedules: list[dict[str, Any]]) -> list[str]:
    """Make schedules with the project's own service; return their job ids."""
    return [_make(dict(schedule)).job_id for schedule in schedules]


def _make(schedule: dict[str, Any]) -> ScheduledTask:
    beside = "_beside" if "PROOF_CONCURRENCY" in os.environ else ""
    function = f"tests.jobs.witness{beside}"
    first, cron = schedule.pop("first", None), schedule.pop("cron", None)
    options = {"keep_runs": None} | schedule
    if cron is not None:
        options["start"] = datetime.fromisoformat(options["start"])
        return SchedulerService.cron(cron, function, **options)
    return SchedulerService.schedule(datetime.fromisoformat(first), function, **options)


def make_stock(schedules: list[dict[str, Any]]) -> list[str]:
    """Make the same schedules with rq-scheduler, each with a row as the parent of its runs."""
    return [_make_stock(schedule) for schedule in schedules]


def _make_stock(schedule: dict[str, Any]) -> str:
    queue = schedule.get("queue", "default")
    scheduler = django_rq.get_scheduler(queue)
    options = {"args": schedule["args"], "queue_name": queue, "timeout": schedule.get("timeout")}
    if schedule.get("cron"):
        job = scheduler.cron(schedule["cron"], stock_recording.witness, **options)
    else:
        first = datetime.fromisoformat(schedule["first"])
        job = scheduler.schedule(
            first, stock_recording.witness, interval=schedule["interval"], **options
        )
    ScheduledTask.objects.create(
        name=schedule["name"],
        job_id=job.id,
        function="stock",
        first=timezone.now(),
        queue=queue,
    )
    return str(job.id)


def reserve(seconds: float) -> None:
    """Reserve a background call for so much time from now on."""
    TaskService.reserve_task(timedelta(seconds=seconds), process_id)


def delete(job_ids: list[str]) -> None:
    """Delete schedules of either kind."""
    for job_id in job_ids:
        with contextlib.suppress(RedisError):  # The reply may get lost; the command was executed.
            django_rq.get_scheduler().cancel(job_id)
    ScheduledTask.objects.filter(job_id__in=job_ids).delete()
