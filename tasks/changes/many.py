"""Stores many new schedules at once: in a few queries instead of some twenty for each."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db import IntegrityError
from django.utils.translation import gettext as _

from tasks import clock, history
from tasks.changes.projecting import project_many
from tasks.changes.schedules import insert_or_revise
from tasks.database import CHUNK, atomic, chunks, on_commit
from tasks.definitions import validate
from tasks.exceptions import TasksError
from tasks.ledger import holds as ledger_holds
from tasks.ledger.new_specs import first_just_due, start_of_period
from tasks.lists import raise_all, row_of
from tasks.models import ScheduledTask
from tasks.runs import holds
from tasks.tags import tags_by_name, tags_named

Tags = Sequence[Sequence[str]]
Tagged = ScheduledTask.tags.through


def schedule_many(entries: Sequence[Mapping[str, Any]]) -> list[ScheduledTask]:
    """Do what `SchedulerService.schedule_many` says."""
    tags = [list(entry.get("tags") or ()) for entry in entries]
    named = [{key: entry[key] for key in entry if key != "tags"} for entry in entries]
    errors: dict[str, list[str]] = {}
    rows: list[ScheduledTask] = []
    for number, entry in enumerate(named, 1):
        try:
            rows.append(row_of(entry))
            validate(rows[-1], with_constraints=False)
        except TasksError as error:
            errors[_("entry %(number)d") % {"number": number}] = [str(error)]
    raise_all(errors)
    with atomic():
        ledger_holds.lock(shared=True)  # Before any row, as a hold of everything does.
        if not _is_any_stored(rows):
            try:
                with atomic():
                    return _insert(rows, tags)
            except IntegrityError:
                pass  # Another process has just stored one; or one breaks a constraint: see below.
        return [_store(entry, names) for entry, names in zip(named, tags, strict=True)]


def _is_any_stored(rows: Sequence[ScheduledTask]) -> bool:
    """Return whether one of them is stored, by its present identity or by an earlier one."""
    identities = {one for row in rows for one in (row.fingerprint, *row.former_fingerprints)}
    return any(
        ScheduledTask.objects.filter(fingerprint__in=chunk).exists()
        for chunk in chunks(identities, CHUNK)
    )


def _store(entry: Mapping[str, Any], tags: Sequence[str]) -> ScheduledTask:
    schedule = insert_or_revise(row_of(entry))
    schedule.tags.add(*tags_named(tags))
    return schedule


def _insert(rows: Sequence[ScheduledTask], tags: Tags) -> list[ScheduledTask]:
    """Write new schedules that are valid, with their tags and the first lines of their history."""
    now, hold = clock.now(), holds.of_everything()
    for row in rows:
        first = first_just_due(row, now)
        row.settled_through = row.period_start = start_of_period(first, now)
        row.projected = None
        if hold is not None and row.is_live:
            row.status, row.paused_at = ScheduledTask.Status.PAUSED, hold.since
    stored = ScheduledTask.objects.bulk_create(rows, batch_size=CHUNK)
    known = tags_by_name(name for names in tags for name in names)
    given = [{known[name].pk: known[name].name for name in names} for names in tags]
    Tagged.objects.bulk_create(
        (
            Tagged(scheduledtask_id=row.pk, tag_id=key)
            for row, keys in zip(stored, given, strict=True)
            for key in keys
        ),
        batch_size=CHUNK,
    )
    history.record_created(stored, [list(names.values()) for names in given])
    on_commit(partial(project_many, stored))
    return stored
