"""Schedules that have existed for a while, and what came of them."""

from datetime import datetime

from tasks.ledger.audit import Tally, tallies
from tasks.models import ScheduledTask
from tests.tasks.schedules import ago


def tally(schedule: ScheduledTask, begin: datetime | None = None) -> Tally:
    [found] = tallies([schedule.pk], begin)
    return found


def lived(schedule: ScheduledTask, seconds: float) -> ScheduledTask:
    """Move the start of a schedule's present period back, as if it had existed that long."""
    past = ago(seconds)
    ScheduledTask.objects.filter(pk=schedule.pk).update(period_start=past, settled_through=past)
    return ScheduledTask.objects.get(pk=schedule.pk)
