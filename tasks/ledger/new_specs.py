"""Decides from when the new spec of a schedule counts, and how the period of the old one ends."""

from datetime import datetime, timedelta
from itertools import zip_longest

from tasks import clock
from tasks.ledger.periods import Closing
from tasks.models import ScheduledTask
from tasks.reasons import Code, reason
from tasks.timing import spec
from tasks.timing.instants import MICROSECOND


def change_period(
    known: ScheduledTask, schedule: ScheduledTask, from_now: bool = False
) -> Closing | None:
    """Set from when the new spec counts; return how the present period ends, if it does.

    It ends if the spec changes, or if the schedule becomes live again.
    """
    changed = known.spec_values() != schedule.spec_values()
    if not changed and known.status != ScheduledTask.Status.DEATH:
        return None
    now = clock.now()
    first = first_just_due(schedule, now) if changed and not from_now else None
    if first is not None and schedule.first == known.first and first <= known.settled_through:
        first = None  # It has its row already.
    schedule.settled_through = start_of_period(first, now)
    if not schedule.is_live and schedule.status == known.status:
        return None
    schedule.period_start = schedule.settled_through
    return Closing(known, now, reason(Code.SCHEDULE_CHANGED), first)


def first_just_due(schedule: ScheduledTask, now: datetime) -> datetime | None:
    """Return when a new spec's first time was due, if nothing has been due since.

    A first time that has just passed, or a single one, is still expected: it was requested.
    """
    new_spec = schedule.spec()
    if new_spec.first is None:
        return None
    first = new_spec.first + timedelta(milliseconds=new_spec.offset)
    return first if spec.latest_due(new_spec, now) == first else None


def start_of_period(first: datetime | None, now: datetime) -> datetime:
    """Return the time after which a new spec counts: now, or right before `first`."""
    return now if first is None else first - MICROSECOND


def expect_the_same(one: ScheduledTask, other: ScheduledTask, until: datetime) -> bool:
    """Return whether two versions of a schedule expect the same occurrences up to a time."""
    dues = (spec.dues(schedule.spec(), one.settled_through, until) for schedule in (one, other))
    return all(due == other_due for due, other_due in zip_longest(*dues))
