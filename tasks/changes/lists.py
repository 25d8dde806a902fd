"""Stores the schedules of lists and documents, all or nothing."""

import dataclasses
from collections.abc import Sequence

from django.db.models import Q

from tasks.changes.projecting import project_on_commit
from tasks.changes.schedules import change_status, insert_or_revise_valid, write_change
from tasks.database import atomic, connection
from tasks.ledger import holds as ledger_holds
from tasks.lists import Action, Change, ScheduleList, Wanted, changes, read_lists
from tasks.models import ScheduledTask

# The number of the lock in PostgreSQL that serializes the storing of lists: it only must be rare.
LISTS_LOCK = 7_220_419_083_551


def sync_lists(
    lists: Sequence[ScheduleList], *, dry_run: bool = False
) -> list[Change[ScheduledTask]]:
    """Make the stored schedules match these lists, as `SchedulerService.sync` does with one.

    A schedule may move from one of them to another. Returns what was done, or, for a dry run, what
    would be.
    """
    return store(read_lists(lists), lists, dry_run=dry_run)


def take_turns() -> None:
    """Wait until no other process is storing lists; call it first in a transaction, up to its end.

    Without it, one would not see what another is about to insert. SQLite lets only one write. Nor
    does a hold of everything begin or end meanwhile: it locks before it takes rows, too.
    """
    ledger_holds.lock(shared=True)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LISTS_LOCK])


def store(
    wanted: Sequence[Wanted],
    lists: Sequence[ScheduleList] = (),
    *,
    dry_run: bool = False,
    from_now: bool = False,
) -> list[Change[ScheduledTask]]:
    """Store valid schedules and cancel what has left the lists, all or nothing; return the changes.

    `from_now`: what was due before isn't expected, not even a first time that has just passed.
    Rows are written in the order of their identities: who else writes them can't deadlock with it.
    """
    with atomic():
        take_turns()
        identities = {
            identity
            for one in wanted
            for identity in (one.row.fingerprint, *one.row.former_fingerprints)
        }
        rows = ScheduledTask.objects.select_related("calendar").order_by("pk")
        rows = rows.select_for_update(of=("self",), no_key=True)
        stored = rows.filter(Q(list_owner__isnull=False) | Q(fingerprint__in=identities))
        planned = changes(wanted, lists, list(stored))
        if dry_run:
            return planned
        order = sorted(range(len(planned)), key=lambda i: planned[i].record.fingerprint)
        done = {i: _carry_out(planned[i], from_now) for i in order}
    return [done[i] for i in range(len(planned))]


def _carry_out(change: Change[ScheduledTask], from_now: bool) -> Change[ScheduledTask]:
    schedule = change.record
    if change.action == Action.ADD:
        # Another process may have made it meanwhile, by the same list.
        schedule = insert_or_revise_valid(schedule, start_given=False, from_now=from_now)
    elif change.action == Action.CANCEL:
        change_status(schedule, ScheduledTask.Status.DEATH, paused_at=None)
    elif change.action == Action.CHANGE and change.known is not None:
        write_change(change.known, schedule, from_now)
    else:
        project_on_commit(schedule)
    return dataclasses.replace(change, record=schedule)
