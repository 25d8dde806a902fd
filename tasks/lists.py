"""Lists of schedules in code: what is on them, and what has to change so that the rows match.

Nothing is written here: `tasks.services` carries the changes out.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import Any, Generic, TypeVar

from django.apps import apps
from django.utils.module_loading import module_has_submodule
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks import clock, registry
from tasks.definitions import EDITABLE_FIELDS, new_row, refuse_unknown, revised, validate
from tasks.exceptions import InvalidSchedule, NotPossible, TasksError, UnknownTaskFunction
from tasks.masking import mask_text
from tasks.models import NAME_LENGTH, Calendar, ScheduledTask
from tasks.registry import Kind
from tasks.storable import escape
from tasks.timing import spec

R = TypeVar("R", ScheduledTask, Calendar)
# The module of an app that declares its list, and the list's name there.
MODULE, ATTRIBUTE = "schedules", "SCHEDULES"
# The stored owner of what comes from lists without an owner.
NO_OWNER = ""
# How many schedules an error names.
NAMED = 5
# The keys of an entry that aren't fields of the row under the same name.
CALL = ("task_func", "args", "kwargs", "name")
TIMES = {"cron_string": "cron", "scheduled_time": "first"}
IDENTITY = ("name", "function", "args", "kwargs")
COMPARED = (*(name for name in EDITABLE_FIELDS if name not in IDENTITY), "status", "list_owner")


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """A list of schedules in code: each entry holds the arguments of `schedule` or of `cron`.

    What has left a list with an owner is cancelled. A list without one stands for all that lists
    without an owner have made with functions of the same apps, and of `app`. `title` names the
    list in errors.
    """

    entries: Sequence[Mapping[str, Any]]
    owner: str | None = None
    app: str | None = None
    title: str = ""

    def place(self, number: int) -> str:
        """Name one of its entries, for people."""
        place = _("entry %(number)d") % {"number": number}
        return f"{self.title}, {place}" if self.title else place


@dataclass(frozen=True, slots=True)
class Wanted:
    """A valid schedule that shall be stored, and where it was read.

    `start_given`: its start was given, not set by the validation.
    """

    place: str
    row: ScheduledTask
    start_given: bool


class Action(StrEnum):
    """What is done with a record."""

    ADD = "add"
    CHANGE = "change"
    CANCEL = "cancel"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """What is done with one record: `record` as it will be stored, `known` as it is stored.

    `differences` has the stored and the new value of each field that differs.
    """

    action: Action
    record: R
    known: R | None = None
    differences: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def declared_lists() -> list[ScheduleList]:
    """Return the lists that the installed apps declare as SCHEDULES in their module `schedules`.

    The app's label is the owner. Raises InvalidSchedule if one isn't a list.
    """
    found = []
    for config in apps.get_app_configs():
        if config.module is None or not module_has_submodule(config.module, MODULE):
            continue
        module = import_module(f"{config.name}.{MODULE}")
        if not hasattr(module, ATTRIBUTE):
            continue
        entries, title = getattr(module, ATTRIBUTE), f"{module.__name__}.{ATTRIBUTE}"
        if not isinstance(entries, list | tuple):
            text = _("%(title)s is not a list of schedules.") % {"title": title}
            raise InvalidSchedule(text, {title: [text]})
        found.append(ScheduleList(entries, config.label, title=title))
    return found


def _check_owner(one: ScheduleList) -> None:
    """Raise NotPossible unless a list says what it stands for."""
    if one.owner is not None and not 0 < len(one.owner) <= NAME_LENGTH:
        raise NotPossible(
            _("The owner of a list is a name of 1 to %(most)d characters.") % {"most": NAME_LENGTH}
        )
    if one.owner is not None and one.app is not None:
        raise NotPossible(_("Give a list either an owner or an app."))
    if one.app is not None and one.app not in _known_apps():
        raise NotPossible(_("There is no app with the label “%(app)s”.") % {"app": one.app})
    if not one.entries and one.owner is None and one.app is None:
        raise NotPossible(
            _(
                "An empty list must say what it empties: sync([], owner=…) for the list of an "
                "owner, sync([], app=…) for what lists without an owner have made of an app."
            )
        )


def read_lists(lists: Sequence[ScheduleList]) -> list[Wanted]:
    """Return the schedules on some lists; raises InvalidSchedule that names all invalid entries."""
    for one in lists:
        _check_owner(one)
    places = [
        (one.place(number), entry, one.owner or NO_OWNER)
        for one in lists
        for number, entry in enumerate(one.entries, 1)
    ]
    errors: dict[str, list[str]] = {}
    wanted: list[Wanted] = []
    for place, entry, owner in places:
        try:
            row = row_of(entry)
            row.list_owner = owner
            wanted.append(checked(place, row))
        except TasksError as error:
            errors[place] = [str(error)]
    raise_all(errors | repeated(wanted))
    return wanted


def checked(place: str, row: ScheduledTask) -> Wanted:
    """Return a row as wanted; raises InvalidSchedule if it can't be stored."""
    start_given = row.start is not None  # before the validation sets it
    validate(row)
    return Wanted(place, row, start_given)


def row_of(entry: Mapping[str, Any]) -> ScheduledTask:
    """Return the unsaved schedule that an entry describes; `checked` checks the rest of it."""
    if not isinstance(entry, Mapping):
        raise InvalidSchedule(
            _("This is not a dict but a %(type)s.") % {"type": type(entry).__name__}, {}
        )
    values = dict(entry)
    if not TIMES.keys() & values.keys():
        raise _needs(_("“scheduled_time” or “cron_string”"), values)
    if "task_func" not in values:
        raise _needs("“task_func”", values)
    for key, name in TIMES.items():
        if key in values and name in values:
            text = _("Give either “%(key)s” or “%(name)s”, not both.") % {"key": key, "name": name}
            raise InvalidSchedule(text, {})
        if key in values:
            values[name] = values.pop(key)
    func, args, kwargs, name = (values.pop(key, None) for key in CALL)
    refuse_unknown(values)
    return new_row(func, args, kwargs, name, {"cron": ""} | values)


def _needs(what: str, values: Mapping[str, Any]) -> InvalidSchedule:
    """Return the error of an entry that lacks something; its arguments may be secret."""
    name, func = values.get("name"), values.get("task_func")
    texts = [name, getattr(func, "task_name", func)]
    shown = ", ".join(f"“{mask_text(escape(text))}”" for text in texts if isinstance(text, str))
    if not shown:
        return InvalidSchedule(_("A schedule in code needs %(what)s.") % {"what": what}, {})
    text = _("A schedule in code needs %(what)s: %(shown)s.") % {"what": what, "shown": shown}
    return InvalidSchedule(text, {})


def repeated(wanted: Iterable[Wanted]) -> dict[str, list[str]]:
    """Return an error for each entry that is the same schedule as an earlier one."""
    first: dict[str, Wanted] = {}
    errors = {}
    for one in wanted:
        earlier = first.setdefault(one.row.fingerprint, one)
        if earlier is not one:
            text = _(
                "“%(name)s” is the same schedule as %(place)s (same name, function and arguments): "
                "give them names."
            )
            errors[one.place] = [text % {"name": one.row.name, "place": earlier.place}]
    return errors


def raise_all(errors: Mapping[str, Sequence[str]]) -> None:
    """Raise InvalidSchedule, a line for each message, if there are errors."""
    if errors:
        lines = [f"{place}: {text}" for place, texts in errors.items() for text in texts]
        raise InvalidSchedule("\n".join(lines), {place: list(t) for place, t in errors.items()})


def changes(
    wanted: Sequence[Wanted], lists: Sequence[ScheduleList], stored: Sequence[ScheduledTask]
) -> list[Change[ScheduledTask]]:
    """Return what has to be done so that the stored schedules match.

    `stored` are those that come from a list or have the identity of a wanted one; the caller has
    locked them. Raises InvalidSchedule if a wanted one is on another list, and NotPossible if a
    list without an owner would cancel what is on one that has.
    """
    known = _matched(wanted, stored)
    raise_all(_taken(wanted, lists, known))
    planned = [_change(one, known.get(one.row.fingerprint)) for one in wanted]
    for one in lists:
        left = list(_left(one, wanted, stored, {row.pk for row in known.values()}))
        _refuse_others(one, left)
        planned += [Change(Action.CANCEL, row, row) for row in left]
    return planned


def _matched(wanted: Iterable[Wanted], stored: Iterable[ScheduledTask]) -> dict[str, ScheduledTask]:
    """Return the stored schedule of each wanted one that has one, by the identity of the latter.

    An earlier version of the code may have stored it under another identity.
    """
    by_identity = {row.fingerprint: row for row in stored}
    found = {}
    for one in wanted:
        for identity in (one.row.fingerprint, *sorted(one.row.former_fingerprints)):
            if identity in by_identity:
                found[one.row.fingerprint] = by_identity[identity]
                break
    return found


def _taken(
    wanted: Iterable[Wanted], lists: Iterable[ScheduleList], known: Mapping[str, ScheduledTask]
) -> dict[str, list[str]]:
    """Return an error for each wanted schedule that is on a list that isn't read now."""
    free = {None, NO_OWNER, *(one.owner for one in lists)}
    errors = {}
    for one in wanted:
        row = known.get(one.row.fingerprint)
        if one.row.list_owner is None or row is None or row.status == ScheduledTask.Status.DEATH:
            continue
        if row.list_owner not in free:
            text = _(
                "“%(name)s” is on the list of “%(owner)s”: take it off that list first, or give "
                "this one another name."
            )
            errors[one.place] = [text % {"name": row.name, "owner": row.list_owner}]
    return errors


def _change(one: Wanted, known: ScheduledTask | None) -> Change[ScheduledTask]:
    if known is None:
        return Change(Action.ADD, one.row)
    row = revised(known, one.row, one.start_given)
    if known.status == ScheduledTask.Status.DEATH and _is_over(known, row):
        row.status = known.status
    found = differences(known, row, COMPARED)
    if known.fingerprint != row.fingerprint:
        found |= differences(known, row, IDENTITY)
    return Change(Action.CHANGE if found else Action.KEEP, row, known, found)


def _is_over(known: ScheduledTask, row: ScheduledTask) -> bool:
    """Return whether an ended schedule would end again at once: nothing is left to be due."""
    same = known.spec_values() == row.spec_values()
    return same and spec.next_due(row.spec(), clock.now()) is None


def differences(known: R, record: R, fields: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    """Return the stored and the new value of each of these fields that differs."""
    pairs = {name: (_value(known, name), _value(record, name)) for name in fields}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _value(record: ScheduledTask | Calendar, name: str) -> Any:
    value = getattr(record, name)
    return value.name if isinstance(value, Calendar) else value


def _left(
    one: ScheduleList,
    wanted: Iterable[Wanted],
    stored: Iterable[ScheduledTask],
    kept: Collection[int],
) -> Iterator[ScheduledTask]:
    """Yield what is stored and not over, and that a list stands for without having it."""
    own_apps = {one.app} if one.app else set()
    own_apps |= {app_of(each.row.function) for each in wanted if each.row.list_owner == NO_OWNER}
    for row in stored:
        if row.status == ScheduledTask.Status.DEATH or row.pk in kept:
            continue
        if one.owner is not None and row.list_owner == one.owner:
            yield row
        if one.owner is None and row.list_owner is not None and app_of(row.function) in own_apps:
            yield row


def _refuse_others(one: ScheduleList, left: Iterable[ScheduledTask]) -> None:
    others = [row for row in left if one.owner is None and row.list_owner != NO_OWNER]
    if not others:
        return
    names = ", ".join(f"“{row.name}” ({row.list_owner})" for row in others[:NAMED])
    text = ngettext(
        "This list has no owner, so it would cancel a schedule of another list: %(names)s. "
        "Give it an owner: sync(…, owner=…).",
        "This list has no owner, so it would cancel %(n)d schedules of other lists, such as "
        "%(names)s. Give it an owner: sync(…, owner=…).",
        len(others),
    )
    raise NotPossible(text % {"n": len(others), "names": names})


def _known_apps() -> set[str]:
    """Return the labels of the apps, and the packages of task functions that are in no app."""
    return {*apps.app_configs, *map(app_of, registry.names(Kind.SCHEDULED))}


def app_of(function: str) -> str:
    """Return the label of the app that a task function is in, also if it is gone."""
    try:
        path = registry.get(function).func.__module__
    except UnknownTaskFunction:
        path = function
    config = apps.get_containing_app_config(path)
    return config.label if config is not None else path.partition(".")[0]
