"""Writes schedules: new ones, changed ones, and those that get another status.

What was expected of the old version is settled in the same transaction, and each change leaves a
line in the history.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError
from django.utils.translation import gettext as _

from tasks import clock, history
from tasks.changes.projecting import project_on_commit
from tasks.changes.requests import cancel_backfill
from tasks.database import atomic
from tasks.definitions import as_stored, refuse_unknown, revised, validate
from tasks.exceptions import InvalidSchedule, NotPossible
from tasks.ledger import holds as ledger_holds
from tasks.ledger.new_specs import change_period, first_just_due, start_of_period
from tasks.ledger.periods import close_period, close_periods
from tasks.models import Hold, ScheduledTask
from tasks.reasons import Code, reason
from tasks.runs import holds

# The fields that only the services and the ledger change.
STATE_FIELDS = (
    "status",
    "paused_at",
    "settled_through",
    "period_start",
    "pruned_until",
    "problem",
    "list_owner",
)
# What the history calls a change of the status.
ACTIONS: Mapping[str, history.Action] = {
    ScheduledTask.Status.RUNNING: history.Action.RESUMED,
    ScheduledTask.Status.PAUSED: history.Action.PAUSED,
    ScheduledTask.Status.DEATH: history.Action.CANCELED,
}


@contextmanager
def refusing_duplicates(schedule: ScheduledTask) -> Iterator[None]:
    """Raise InvalidSchedule if another schedule has this one's name, function and arguments."""
    try:
        yield
    except IntegrityError as error:
        raise InvalidSchedule(
            _("There is already a schedule “%(name)s” with this function and arguments.")
            % {"name": schedule.name},
            {},
        ) from error


def insert_or_revise(wanted: ScheduledTask) -> ScheduledTask:
    """Insert a schedule, or change the one with the same identity; return the stored one.

    The unique constraint decides which, so two processes at the same time make one row.
    """
    start_given = wanted.start is not None  # before the validation sets it
    validate(wanted)
    return insert_or_revise_valid(wanted, start_given)


def insert_or_revise_valid(
    wanted: ScheduledTask, start_given: bool, from_now: bool = False
) -> ScheduledTask:
    """Do what `insert_or_revise` does with a schedule that has been validated.

    `start_given`: it came with a start of its own. `from_now`: as in `insert`.
    """
    with atomic():
        ledger_holds.lock(shared=True)  # Before any row, as a hold of everything does.
        if (former := _stored_formerly(wanted)) is not None:
            return _revise(former, wanted, start_given)
        try:
            with atomic():
                insert(wanted, from_now)
        except IntegrityError:
            rows = ScheduledTask.objects.select_for_update()
            known = rows.get(fingerprint=wanted.fingerprint)
            return _revise(known, wanted, start_given)
    return wanted


def _stored_formerly(wanted: ScheduledTask) -> ScheduledTask | None:
    """Return, locked, the schedule that an earlier version of the code stored as another one.

    If that one is stored by its present identity as well, it is this row that counts.
    """
    former = wanted.former_fingerprints - {wanted.fingerprint}
    if not former:
        return None
    rows = ScheduledTask.objects.select_for_update().order_by("pk")
    found = list(rows.filter(fingerprint__in=[wanted.fingerprint, *former]))
    return min(found, key=lambda row: row.fingerprint != wanted.fingerprint, default=None)


def insert(schedule: ScheduledTask, from_now: bool = False) -> None:
    """Write a new, valid schedule; `from_now`: a first time that has passed isn't expected."""
    now = clock.now()
    first = None if from_now else first_just_due(schedule, now)
    schedule.settled_through = schedule.period_start = start_of_period(first, now)
    schedule.save(force_insert=True)
    owner = schedule.list_owner
    history.record(schedule, history.Action.CREATED, {"list_owner": [None, owner]} if owner else {})
    if ledger_holds.obey(schedule):
        schedule.save(update_fields=["status", "paused_at"])
    project_on_commit(schedule)


def _revise(known: ScheduledTask, wanted: ScheduledTask, start_given: bool) -> ScheduledTask:
    """Give the stored, locked schedule the wanted values, and make it live."""
    schedule = revised(known, wanted, start_given)
    write_change(known, schedule)
    return schedule


def keep_state(schedule: ScheduledTask, known: ScheduledTask) -> None:
    """Take from the stored row what isn't the caller's to change."""
    for field in STATE_FIELDS:
        setattr(schedule, field, getattr(known, field))


def write_change(known: ScheduledTask, schedule: ScheduledTask, from_now: bool = False) -> None:
    """Write a valid schedule over its stored version, whose row the caller has locked.

    `from_now`: a first time of its new spec that has passed isn't expected.
    """
    if schedule.is_live and not known.is_live:
        ledger_holds.obey(schedule)
    if closing := change_period(known, schedule, from_now):
        close_periods([closing])
    schedule.next_check_at = clock.now()
    schedule.save()
    if changes := history.differences(known, schedule):
        history.record(schedule, history.Action.CHANGED, changes)
    project_on_commit(schedule)


def update_fields(
    schedule: ScheduledTask, changes: Mapping[str, Any], *, from_now: bool = False
) -> ScheduledTask:
    """Do what `SchedulerService.update` says.

    `from_now`: a first time that has passed isn't expected, as of what is only moved.
    """
    refuse_unknown(changes)
    with refusing_duplicates(schedule), atomic():
        schedule.refresh_from_db(from_queryset=ScheduledTask.objects.select_for_update())
        known, changed = copy.copy(schedule), copy.copy(schedule)
        for field, value in as_stored(changes).items():
            setattr(changed, field, value)
        validate(changed)
        for stored in ScheduledTask._meta.concrete_fields:
            setattr(schedule, stored.name, getattr(changed, stored.name))
        write_change(known, schedule, from_now)
    return schedule


def change_status(
    schedule: ScheduledTask,
    status: str,
    allowed: Sequence[str] | None = None,
    **changes: Any,
) -> None:
    """Give a schedule another status, and settle what was expected until now."""
    with atomic():
        ledger_holds.lock(shared=True)  # Before any row, as a hold of everything does.
        known = ScheduledTask.objects.select_for_update().get(pk=schedule.pk)
        if allowed is not None:
            refuse_status(known, allowed)
        if status == ScheduledTask.Status.RUNNING:
            refuse_while_held(known, holds.of_everything())
        now = clock.now()
        if known.status != status:
            close_period(known, now, reason(Code.SCHEDULE_STOPPED))
            changes["period_start"] = known.period_start
            history.record_status(known, ACTIONS[status], note=str(changes.get("note", "")))
        changes |= {"status": status, "settled_through": now, "updated": now, "next_check_at": now}
        for field, value in changes.items():
            setattr(schedule, field, value)
        schedule.save(update_fields=list(changes))
        if not schedule.is_live:
            cancel_backfill(known)
        project_on_commit(schedule)


def refuse_status(schedule: ScheduledTask, allowed: Sequence[str]) -> None:
    """Raise NotPossible unless the status of a schedule is one of these."""
    if schedule.status not in allowed:
        raise NotPossible(
            _("The status of “%(name)s” is “%(status)s”: that isn't possible now.")
            % {"name": schedule.name, "status": schedule.get_status_display()}
        )


def refuse_while_held(schedule: ScheduledTask, hold: Hold | None) -> None:
    """Raise NotPossible if everything is held: then no schedule is resumed."""
    if hold is not None:
        raise NotPossible(
            _("“%(name)s” can't be resumed: %(by)s has paused everything. Resume everything first.")
            % {"name": schedule.name, "by": hold.by}
        )
