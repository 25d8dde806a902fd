"""Definitions of schedules and calendars as text, to move them from one system to another.

Runs, states and identities of the rows stay behind: what arrives starts its ledger there.
"""

import copy
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import yaml
from django.db import models
from django.utils.translation import gettext as _

from tasks import clock
from tasks.changes.lists import store, take_turns
from tasks.database import atomic
from tasks.definitions import (
    EDITABLE_FIELDS,
    dates_as_text,
    joined,
    new_row,
    unfit_text,
    validate_calendar,
)
from tasks.exceptions import (
    InvalidArguments,
    InvalidSchedule,
    TasksError,
    UnknownTaskFunction,
)
from tasks.lists import Action, Change, Wanted, checked, differences, raise_all, repeated
from tasks.masking import mask_text
from tasks.models import Calendar, ScheduledTask
from tasks.runs import holds
from tasks.services import CalendarService
from tasks.tags import check_names, tags_named
from tasks.timing.spec import DATETIME_FIELDS

FORMATS = ("yaml", "json")
CALENDAR_FIELDS = ("name", "dates", "description")
CALL = ("function", "args", "kwargs", "name")
# Written even where they have the model's default: where they are left out, another one applies.
ALWAYS = ("name", "function", "queue", "timezone")
LINE_BREAKS = re.compile("[\x85\u2028\u2029]")

Document = dict[str, Any]


def exported(format: str) -> str:
    """Return the schedules that have not ended and can be moved, and their calendars, as text."""
    schedules = [one for one in _not_ended() if not _is_bound(one)]
    held = holds.of_everything()
    names = {one.calendar.name: one.calendar for one in schedules if one.calendar is not None}
    document = {
        "calendars": [_calendar_as_json(names[name]) for name in sorted(names)],
        "schedules": [_as_json(one, held.since if held else None) for one in schedules],
    }
    if format == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def bound() -> list[ScheduledTask]:
    """Return the schedules that have not ended but can't be moved: `exported` leaves them out.

    Their arguments name rows of this database, whose keys may be those of others elsewhere.
    """
    return [one for one in _not_ended() if _is_bound(one)]


def _not_ended() -> models.QuerySet[ScheduledTask]:
    schedules = ScheduledTask.objects.exclude(status=ScheduledTask.Status.DEATH)
    schedules = schedules.select_related("calendar").prefetch_related("tags")
    return schedules.order_by("name", "pk")


def _is_bound(schedule: ScheduledTask) -> bool:
    try:
        return bool(schedule.instances())
    except (UnknownTaskFunction, InvalidArguments):
        return False  # What its arguments mean isn't known here: the import checks it.


class _Dumper(yaml.SafeDumper):
    """Writes text that has one of Unicode's line breaks in double quotes: else it is folded."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        style = '"' if LINE_BREAKS.search(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _calendar_as_json(calendar: Calendar) -> Document:
    values = {"name": calendar.name, "dates": calendar.dates.split("\n") if calendar.dates else []}
    return values | ({"description": calendar.description} if calendar.description else {})


def _as_json(schedule: ScheduledTask, held_since: datetime | None) -> Document:
    """Return a schedule as JSON; one that only a pause of everything has paused is not paused."""
    values: Document = {}
    defaults = ScheduledTask()
    for name in EDITABLE_FIELDS:
        value = getattr(schedule, name)
        if name not in ALWAYS and value == getattr(defaults, name):
            continue
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, Calendar):
            value = value.name
        elif name == "exclude":
            value = value.split("\n")
        values[name] = value
    if tags := [tag.name for tag in schedule.tags.all()]:
        values["tags"] = tags
    is_paused = schedule.status == ScheduledTask.Status.PAUSED
    if is_paused and schedule.paused_at != held_since:
        values["paused"] = True
    return values


def read(text: str, format: str) -> Document:
    """Return the document that a text holds; raises InvalidSchedule if it isn't one."""
    load: Callable[[str], Any] = json.loads if format == "json" else yaml.safe_load
    try:
        document = load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        shown = _("This is not %(format)s: %(error)s") % {"format": format.upper(), "error": error}
        raise InvalidSchedule(shown, {}) from error
    parts = {"calendars", "schedules"}
    if not isinstance(document, dict) or not parts.issuperset(document):
        raise InvalidSchedule(_("A document has two lists: “calendars” and “schedules”."), {})
    document = {name: document.get(name) or [] for name in sorted(parts)}
    if not all(isinstance(entries, list) for entries in document.values()):
        raise InvalidSchedule(_("“calendars” and “schedules” must be lists."), {})
    return document


def import_document(document: Document, *, dry_run: bool = False) -> list[Change[Any]]:
    """Store the definitions of a document that `read` has returned, all or nothing.

    A schedule with the same name, function and arguments is changed, and becomes active again if
    it had ended; a paused one stays paused. One that is paused in the document arrives paused if it
    is new. Tags that an entry has replace those of its schedule. Nothing is cancelled or deleted.
    What was due before now isn't expected.

    Returns what was done, or, for a dry run, what would be. Raises InvalidSchedule, whose `errors`
    name all invalid entries.
    """
    errors: dict[str, list[str]] = {}
    planned = _calendars(document["calendars"], errors)
    tags: dict[str, list[str]] = {}
    calendars = {one.record.name: one for one in planned}
    wanted = _schedules(document["schedules"], calendars, tags, errors)
    raise_all(errors | repeated(wanted))
    with atomic():
        take_turns()
        if not dry_run:
            for change in planned:
                if change.action != Action.KEEP:
                    CalendarService.save(change.record)
        done = store(wanted, dry_run=dry_run, from_now=True)
        if not dry_run:
            for one, stored in zip(wanted, done, strict=True):
                if names := tags[one.place]:
                    stored.record.tags.set(tags_named(names))
        return [*planned, *done]


def _place(part: str, number: int, entry: Any) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    words = {"part": part, "number": number, "name": name and mask_text(str(name))}
    if name is None:
        return _("%(part)s, entry %(number)d") % words
    return _("%(part)s, entry %(number)d (“%(name).100s”)") % words


def _calendars(entries: Iterable[Any], errors: dict[str, list[str]]) -> list[Change[Calendar]]:
    """Return what has to be done with calendars; note the invalid entries in `errors`."""
    changes: dict[str, Change[Calendar]] = {}
    for number, entry in enumerate(entries, 1):
        place = _place("calendars", number, entry)
        try:
            change = _calendar(entry)
            if changes.setdefault(change.record.name, change) is not change:
                errors[place] = [_("There are two calendars with this name.")]
        except TasksError as error:
            errors[place] = [str(error)]
    return list(changes.values())


def _calendar(entry: Any) -> Change[Calendar]:
    _check(entry, CALENDAR_FIELDS, Calendar)
    name = entry.get("name") or ""
    known = Calendar.objects.filter(name=name).first()
    record = Calendar(name=name) if known is None else copy.copy(known)
    record.dates = dates_as_text(entry.get("dates"))
    record.description = entry.get("description") or ""
    validate_calendar(record)
    if known is None:
        return Change(Action.ADD, record)
    found = differences(known, record, CALENDAR_FIELDS)
    return Change(Action.CHANGE if found else Action.KEEP, record, known, found)


def _schedules(
    entries: Iterable[Any],
    calendars: Mapping[str, Change[Calendar]],
    tags: dict[str, list[str]],
    errors: dict[str, list[str]],
) -> list[Wanted]:
    """Return the valid schedules; note their tags in `tags`, the invalid entries in `errors`."""
    wanted = []
    for number, entry in enumerate(entries, 1):
        place = _place("schedules", number, entry)
        try:
            wanted.append(checked(place, _schedule(entry, calendars)))
            tags[place] = check_names(entry.get("tags") or [])
        except TasksError as error:
            errors[place] = [str(error)]
    return wanted


def _schedule(entry: Any, calendars: Mapping[str, Change[Calendar]]) -> ScheduledTask:
    _check(entry, (*EDITABLE_FIELDS, "paused", "tags"), ScheduledTask)
    values = dict(entry)
    values.pop("tags", None)
    func, args, kwargs, name = (values.pop(key, None) for key in CALL)
    is_paused = values.pop("paused", False)
    # One of this document may not be stored yet.
    own = calendars.get(values.get("calendar") or "")
    if own is not None:
        del values["calendar"]
    row = new_row(func, args, kwargs, name, values | _times(values))
    if named := ", ".join(map(str, row.instances())):
        text = _(
            "Its arguments name what each system stores by its own ids: %(named)s. Make it here."
        )
        raise InvalidSchedule(text % {"named": named}, {})
    if own is not None:
        row.calendar = own.record
    if is_paused:
        row.status, row.paused_at = ScheduledTask.Status.PAUSED, clock.now()
    return row


def _times(values: Mapping[str, Any]) -> dict[str, datetime]:
    """Return the times that are written as text; raises InvalidSchedule if one isn't a time."""
    times = {}
    for name in DATETIME_FIELDS:
        if isinstance(values.get(name), str):
            try:
                times[name] = datetime.fromisoformat(values[name])
            except ValueError as error:
                text = _("%(name)s: “%(value)s” is not a time.") % {
                    "name": name,
                    "value": values[name],
                }
                raise InvalidSchedule(text, {name: [text]}) from error
    return times


def _check(entry: Any, known: Collection[str], model: type[models.Model]) -> None:
    """Raise InvalidSchedule unless an entry has only known keys, and text where that is stored."""
    if not isinstance(entry, dict):
        text = _("This is not a mapping but a %(type)s.") % {"type": type(entry).__name__}
        raise InvalidSchedule(text, {})
    errors = unfit_text(model, entry)
    for name, value in entry.items():
        words = {"name": name, "value": value, "known": ", ".join(known)}
        if name not in known:
            errors[str(name)] = [_("“%(name)s” is not known here. These are: %(known)s.") % words]
        elif name == "paused" and not isinstance(value, bool):
            errors[name] = [_("paused: %(value).100r is neither true nor false.") % words]
    if errors:
        raise InvalidSchedule(joined(errors), errors)
