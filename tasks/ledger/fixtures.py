"""Schedules that a fixture brings (`loaddata`): their ledger is this database's, not the fixture's.

The rows may come from another database, with its history or without it: what was expected there,
and what became of it, can't be told from them.
"""

from django.db import transaction

from tasks import clock
from tasks.ledger.periods import close_period
from tasks.models import ScheduledTask
from tasks.reasons import Code, reason

# From when on what is expected, and where the ledger begins.
LEDGER_FIELDS = ("settled_through", "period_start", "pruned_until")
# What decides when it is due.
SPEC_COLUMNS = (*ScheduledTask.SPEC_FIELDS, "exclude", "calendar_id", "jitter")


def begin_ledger(schedule: ScheduledTask, using: str) -> None:
    """Set where the ledger of a schedule begins that is about to be stored as a fixture has it.

    A new one starts now; the runs and periods that come along are history, of which nothing is
    expected. One that this database has already keeps its ledger, and its present period ends if
    the fixture changes when it is due.
    """
    now = clock.now()
    schedule.set_fingerprint()  # One from before names were masked has another.
    with transaction.atomic(using=using):
        rows = ScheduledTask.objects.using(using).select_for_update(of=("self",))
        known = rows.filter(pk=schedule.pk, job_id=schedule.job_id).first()
        if known is None:
            schedule.settled_through = schedule.period_start = schedule.pruned_until = now
        else:
            if _changes_what_is_expected(known, schedule):
                close_period(known, now, reason(Code.SCHEDULE_CHANGED))
                known.settled_through = now
            for name in LEDGER_FIELDS:
                setattr(schedule, name, getattr(known, name))
    schedule.next_check_at = now


def _changes_what_is_expected(known: ScheduledTask, schedule: ScheduledTask) -> bool:
    if known.status != schedule.status and not (known.is_live and schedule.is_live):
        return True
    return any(getattr(known, name) != getattr(schedule, name) for name in SPEC_COLUMNS)
