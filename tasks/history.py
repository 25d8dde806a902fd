"""What was changed on schedules, by whom: the services write a line for each change.

A line holds the values before and after as they are shown, so without secrets.
"""

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from tasks import clock
from tasks.database import CHUNK
from tasks.definitions import EDITABLE_FIELDS
from tasks.masking import hiding, mask_text
from tasks.models import NAME_LENGTH, Calendar, ScheduleChange, ScheduledTask
from tasks.registry import masked_arguments
from tasks.storable import clean_text

# Of each changed field the value before and the one after, as JSON values.
Changes = dict[str, list[Any]]
FIELDS = (*EDITABLE_FIELDS, "status", "list_owner")
ATTRIBUTES = {field.name: field.attname for field in ScheduledTask._meta.concrete_fields}
# What a line says of the calendar that was changed: its name, and the dates that are gone and new.
CALENDAR, CALENDAR_DATES = "changed_calendar", "calendar_dates"
# How many characters of these dates are kept, for each of a calendar's schedules.
DATES_LENGTH = 200
# Django's own ways to start a command, whose name then says more than the program's.
LAUNCHERS = ("manage.py", "django-admin", "django")


class Action(StrEnum):
    """What was done; the values are stored, so they never change."""

    CREATED = "created"
    CHANGED = "changed"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELED = "canceled"
    PUT_BACK = "put_back"
    RUN_REQUESTED = "run_requested"
    BACKFILLED = "backfilled"
    CALENDAR_CHANGED = "calendar_changed"


@dataclass
class _Author:
    name: str
    # The lines written by this author so far, by their schedules.
    written: dict[int, ScheduleChange] = field(default_factory=dict)


_author: ContextVar[_Author | None] = ContextVar("author", default=None)


@contextmanager
def made_by(name: str) -> Iterator[None]:
    """Name the author of all changes that are made inside the block."""
    token = _author.set(_Author(name))
    try:
        yield
    finally:
        _author.reset(token)


def author() -> str:
    """Return who makes changes now: as the `made_by` block says, else this process's command."""
    given = _author.get()
    return (given.name if given else _process())[:NAME_LENGTH]


def record(
    schedule: ScheduledTask,
    action: Action | str,
    changes: Changes | None = None,
    note: str = "",
) -> ScheduleChange:
    """Write a line, in the caller's transaction."""
    line = ScheduleChange.objects.create(
        schedule=schedule,
        at=clock.now(),
        by=author(),
        action=str(action),
        changes=changes or {},
        note=_masked(schedule, note),
    )
    if (given := _author.get()) is not None:
        given.written[schedule.pk] = line
    return line


def record_created(schedules: Sequence[ScheduledTask], tags: Sequence[Collection[str]]) -> None:
    """Write the first lines of new schedules, in the caller's transaction; `tags` by name."""
    now, by = clock.now(), author()
    lines = [
        ScheduleChange(
            schedule=schedule,
            at=now,
            by=by,
            action=str(Action.CREATED),
            changes={"tags": [[], sorted({*names})]} if names else {},
        )
        for schedule, names in zip(schedules, tags, strict=True)
    ]
    _keep(ScheduleChange.objects.bulk_create(lines, batch_size=CHUNK))


def _keep(lines: Sequence[ScheduleChange]) -> None:
    """Keep with their author the lines that were written."""
    if (given := _author.get()) is not None:
        given.written |= {line.schedule_id: line for line in lines}


def record_calendar(calendar: Calendar, old_dates: str) -> None:
    """Write a line for each schedule whose calendar has other dates now, in few queries."""
    gone, come = only_in(old_dates, calendar.dates), only_in(calendar.dates, old_dates)
    changes = {CALENDAR: [None, calendar.name], CALENDAR_DATES: [gone, come]}
    now, by = clock.now(), author()
    users = ScheduledTask.objects.filter(calendar=calendar).order_by("pk")
    lines = [
        ScheduleChange(
            schedule_id=pk, at=now, by=by, action=str(Action.CALENDAR_CHANGED), changes=changes
        )
        for pk in users.values_list("pk", flat=True)
    ]
    ScheduleChange.objects.bulk_create(lines, batch_size=CHUNK)


def only_in(dates: str, others: str) -> str:
    """Return the lines of dates that the others don't have, as many as a line of history keeps."""
    known = {*others.splitlines()}
    own = ", ".join(line for line in dates.splitlines() if line not in known)
    return own if len(own) <= DATES_LENGTH else f"{own[: DATES_LENGTH - 1]}…"


def record_all(
    schedules: Sequence[ScheduledTask],
    action: Action,
    note: str,
    changes: Sequence[Changes] | None = None,
) -> None:
    """Write a line of each of many schedules, in the caller's transaction; `changes` is of each."""
    now, by = clock.now(), author()
    lines = [
        ScheduleChange(
            schedule=schedule,
            at=now,
            by=by,
            action=str(action),
            changes=changed,
            note=_masked(schedule, note),
        )
        for schedule, changed in zip(schedules, changes or [{}] * len(schedules), strict=True)
    ]
    _keep(ScheduleChange.objects.bulk_create(lines, batch_size=CHUNK))


def record_statuses(before: Sequence[ScheduledTask], action: Action, note: str) -> None:
    """Write a line of each of many schedules for a new status, as `record_status` does."""
    record_all(before, action, note, [_end_of_pause(schedule) for schedule in before])


def record_status(before: ScheduledTask, action: Action, note: str = "") -> None:
    """Write a line for a new status; of a pause that ends, it says when that began."""
    record(before, action, _end_of_pause(before), note)


def _end_of_pause(before: ScheduledTask) -> Changes:
    paused_at = before.paused_at
    return {"paused_at": [paused_at.isoformat(), None]} if paused_at else {}


def explain(
    schedule: ScheduledTask, action: Action | str, changes: Changes | None, note: str
) -> None:
    """Say of the change that this author has just made what it was, and why.

    If there is no line of it, as of what changes no field, one is written.
    """
    given = _author.get()
    line = given.written.get(schedule.pk) if given else None
    values: dict[str, Any] = {"action": str(action)}
    if changes:
        values["changes"] = changes
    if note:
        values["note"] = _masked(schedule, note)
    # A line whose transaction was rolled back isn't there.
    if line is None or not ScheduleChange.objects.filter(pk=line.pk).update(**values):
        record(schedule, action, changes, note)


def record_tags(changed: Iterable[tuple[ScheduledTask, Iterable[str], Iterable[str]]]) -> None:
    """Write a line of each schedule whose tags, by their names before and after, were changed.

    If its author has just written one of the same schedule, as by saving a form, that one says it.
    """
    given = _author.get()
    written = given.written if given else {}
    schedules, changes = [], []
    for schedule, before, after in changed:
        old, new = sorted(before), sorted(after)
        if old != new and not _say_tags_too(written.get(schedule.pk), old, new):
            schedules.append(schedule)
            changes.append({"tags": [old, new]})
    record_all(schedules, Action.CHANGED, "", changes)


def _say_tags_too(line: ScheduleChange | None, old: list[str], new: list[str]) -> bool:
    """Have a line that was just written say that tags changed, too; return whether it is there."""
    if line is not None:
        changes = dict(line.changes)
        first, last = changes.pop("tags", [old, old])
        # Of several tags that are deleted at once, each is still there when the others are.
        given, taken = {*new} - {*old}, {*old} - {*new}
        last = sorted(({*last} | given) - taken)
        changes |= {"tags": [first, last]} if first != last else {}
        if ScheduleChange.objects.filter(pk=line.pk).update(changes=changes):
            line.changes = changes
            return True
    return False


def differences(before: ScheduledTask, after: ScheduledTask) -> Changes:
    """Return the fields whose values differ, with both as they are shown."""
    changed = [name for name in FIELDS if _stored(before, name) != _stored(after, name)]
    if not changed:
        return {}
    old, new = shown_values(before), shown_values(after)
    return {name: [old[name], new[name]] for name in changed}


def shown_values(schedule: ScheduledTask) -> dict[str, Any]:
    """Return the values of a schedule's fields as JSON values, without secrets."""
    args, kwargs = masked_arguments(schedule.function, schedule.args, schedule.kwargs)
    values = {name: _as_json(schedule, name) for name in FIELDS}
    with hiding(schedule.secret_values):
        return {
            name: mask_text(value) if isinstance(value, str) else value
            for name, value in (values | {"args": args, "kwargs": kwargs}).items()
        }


def _stored(schedule: ScheduledTask, name: str) -> Any:
    return getattr(schedule, ATTRIBUTES[name])


def _as_json(schedule: ScheduledTask, name: str) -> Any:
    value = getattr(schedule, name)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if name == "calendar" and value is not None else value


def _masked(schedule: ScheduledTask, text: str) -> str:
    with hiding(schedule.secret_values):
        return clean_text(mask_text(text))


def _process() -> str:
    """Return what this process is: its command, such as “manage.py sync_schedules”."""
    path, arguments = Path(sys.argv[0]), sys.argv[1:]
    program = path.parent.name if path.name == "__main__.py" else path.name
    if program in LAUNCHERS and arguments:
        return f"manage.py {arguments[0]}"
    return program
