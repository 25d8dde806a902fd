"""Stored schedules and runs for the tests, and times around now."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.timing.instants import from_milliseconds, to_milliseconds
from tests.tasks import functions

MakeSchedule = Callable[..., ScheduledTask]
NAMES = (f"schedule {number}" for number in itertools.count())


def ago(seconds: float) -> datetime:
    """Return the time that many seconds ago, in whole milliseconds."""
    return from_milliseconds(to_milliseconds(timezone.now() - timedelta(seconds=seconds)))


def make_row(**values: Any) -> ScheduledTask:
    """Store a schedule that calls `echo` every hour from now on, with changes by `values`."""
    if not values.get("cron"):
        values = {"first": ago(0), "interval": 3600} | values
    else:
        values = {"type": "cron"} | values
    defaults: dict[str, Any] = {"name": next(NAMES), "function": functions.ECHO}
    return ScheduledTask.objects.create(**defaults | values)


def make_run(schedule: ScheduledTask, **values: Any) -> ScheduledTaskInstance:
    """Store a run of a schedule, finished unless `values` say otherwise."""
    now = timezone.now()
    status = values.setdefault("status", "finished")
    if status not in ("missed", "skipped"):
        values.setdefault("started", now)
    if status != "running":
        values.setdefault("ended", now)
    if "requested" not in values:
        values.setdefault("due", ago(schedule.runs.count()))
    return schedule.runs.create(name=schedule.name, **values)
