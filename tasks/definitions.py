"""Schedules as callers define them: from their values to valid rows, which aren't written here."""

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import product
from typing import Any

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from tasks import clock, registry
from tasks.exceptions import (
    InvalidArguments,
    InvalidCalendar,
    InvalidSchedule,
    UnknownTaskFunction,
)
from tasks.masking import mask_json
from tasks.models import Calendar, ScheduledTask, fingerprint
from tasks.queue import why_unusable
from tasks.registry import Kind, TaskFunction
from tasks.storable import UNSTORABLE, canonical_json

TaskFunc = Callable[..., Any] | str
# How many calendars an error lists.
CALENDARS_NAMED = 20
# A first time this short ago means “from now on”.
JUST_NOW = timedelta(minutes=1)

# The fields of a schedule that people may change. Its `type` follows from the others.
EDITABLE_FIELDS = tuple(
    field.name
    for field in ScheduledTask._meta.concrete_fields
    if field.editable and not field.primary_key and field.name != "type"
)


def new_row(
    task_func: TaskFunc,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    name: str | None,
    options: dict[str, Any],
) -> ScheduledTask:
    """Return an unsaved schedule of a task function; `options` are other fields of the row.

    Raises UnknownTaskFunction, InvalidArguments or InvalidSchedule. `validate` checks the rest.
    """
    refuse_unfit_text(ScheduledTask, {"name": name, **options})
    function = registry.resolve(task_func, Kind.SCHEDULED)
    given = _as_json(args, list), _as_json(kwargs, dict)
    positional, named = function.store_arguments(*given)
    options |= {
        "queue": options.get("queue") or function.queue,
        "timezone": options.get("timezone") or settings.TIME_ZONE,
        "description": options.get("description") or "",
    }
    try:
        row = ScheduledTask(
            name=name or function.name,
            function=function.name,
            args=positional,
            kwargs=named,
            **as_stored(options),
        )
    except TypeError as error:
        raise InvalidSchedule(str(error), {}) from error
    row.former_fingerprints = _former_fingerprints(row, function, given)
    return row


def _former_fingerprints(
    row: ScheduledTask, function: TaskFunction, given: tuple[list[Any], dict[str, Any]]
) -> frozenset[str]:
    """Return the identities under which the same schedule may have been stored earlier.

    The function may have had another name, which is also the schedule's unless it has its own, and
    its arguments may have been stored as they were given.
    """
    functions = {function.name, *function.aliases}
    names = functions if row.name == function.name else {row.name}
    calls = [(row.args, row.kwargs)]
    with suppress(InvalidArguments):  # It could not have been stored.
        canonical_json(given)
        calls.append(given)
    return frozenset(fingerprint(*of, *call) for *of, call in product(names, functions, calls))


def _as_json(arguments: Any, form: type[list] | type[dict]) -> Any:
    """Return arguments in their JSON form; what has no such form is left to `check_arguments`."""
    kind = Sequence if form is list else Mapping
    is_of_kind = isinstance(arguments, kind) and not isinstance(arguments, str)
    return form(arguments) if is_of_kind else form() if arguments is None else arguments


def as_stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert field values from the forms that callers may use to those that the row stores."""
    forms: dict[str, Callable[[Any], Any]] = {"calendar": _calendar, "exclude": dates_as_text}
    return {
        field: forms[field](value) if field in forms else value for field, value in values.items()
    }


def refuse_unknown(changes: Iterable[str]) -> None:
    """Raise InvalidSchedule for names of fields that don't exist or can't be edited."""
    errors = {
        name: [
            _("“%(name)s” is not a field of a schedule that can be changed. These are: %(known)s.")
            % {"name": name, "known": ", ".join(EDITABLE_FIELDS)}
        ]
        for name in changes
        if name not in EDITABLE_FIELDS
    }
    if errors:
        raise InvalidSchedule(joined(errors), errors)


def joined(errors: Mapping[str, Iterable[str]]) -> str:
    """Return the messages of an error as one text, in which each names its field."""
    return " ".join(_naming(field, text) for field, texts in errors.items() for text in texts)


def _naming(field: str, text: str) -> str:
    name = re.escape(str(field))
    is_named = field == NON_FIELD_ERRORS or re.search(rf"\b{name}", text, re.IGNORECASE)
    return text if is_named else f"{field}: {text}"


def refuse_unfit_text(model: type[models.Model], values: Mapping[str, Any]) -> None:
    """Raise InvalidSchedule for values that can't be stored although the row has text there."""
    errors = unfit_text(model, values)
    if errors:
        raise InvalidSchedule(joined(errors), errors)


def unfit_text(model: type[models.Model], values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return an error for each value that can't be stored although the row has text there."""
    found = {
        name: why
        for name, value in values.items()
        if _is_text(model, name) and (why := _why_unfit(name, value))
    }
    return {name: [why] for name, why in found.items()}


def _is_text(model: type[models.Model], name: str) -> bool:
    """Return whether a value of this name is text: a calendar by its name; dates may be a list."""
    fields = {field.name: field for field in model._meta.concrete_fields}
    is_text = isinstance(fields.get(name), models.CharField | models.TextField | models.ForeignKey)
    return is_text and name not in ("dates", "exclude")


def _why_unfit(name: str, value: Any) -> str:
    if value is None or isinstance(value, Calendar | Promise):
        return ""
    if not isinstance(value, str):
        shown = {"name": name, "value": mask_json(value)}
        return _("%(name)s: %(value).100r is not text.") % shown
    unstorable = UNSTORABLE.search(value)
    if unstorable is None:
        return ""
    character = ascii(unstorable[0])
    return _("%(name)s: the character %(character)s can't be stored.") % {
        "name": name,
        "character": character,
    }


def _calendar(wanted: Calendar | str | None) -> Calendar | None:
    """Return a calendar, given as itself or by name; raises InvalidSchedule if it is unknown."""
    if wanted is None or wanted == "":
        return None
    if isinstance(wanted, Calendar) and wanted.pk is not None:
        return wanted
    known = Calendar.objects.filter(name=str(wanted)).first()
    if known is None:
        names = ", ".join(Calendar.objects.values_list("name", flat=True)[:CALENDARS_NAMED])
        text = _("There is no calendar “%(name).100s”. The calendars are: %(known)s.") % {
            "name": wanted,
            "known": names or _("none"),
        }
        raise InvalidSchedule(text, {"calendar": [text]})
    return known


def dates_as_text(dates: str | Iterable[date | str] | None) -> str:
    """Return excluded dates as the row stores them; raises InvalidSchedule for other values."""
    if dates is None or isinstance(dates, str):
        return dates or ""
    try:
        return "\n".join(_date_as_text(day) for day in dates)
    except TypeError as error:
        text = _("exclude: %(value).100r is not a list of valid dates.") % {"value": dates}
        raise InvalidSchedule(text, {"exclude": [text]}) from error


def _date_as_text(day: date | str) -> str:
    if isinstance(day, datetime) or not isinstance(day, date | str):
        raise TypeError(f"{day!r} is not a valid date")
    return str(day)


def validate(schedule: ScheduledTask, *, with_constraints: bool = True) -> None:
    """Raise InvalidSchedule unless the row can be written; put its values in their stored form.

    Without the constraints, which take ten times as long as all the rest, the database itself
    refuses with an IntegrityError what breaks one.
    """
    errors = _wrong_types(schedule)
    if errors:
        raise InvalidSchedule(joined(errors), errors)
    errors = _normalise_call(schedule)
    skipped = {"fingerprint", *errors}
    if why := why_unusable(schedule.queue):
        errors["queue"] = [why]
    try:
        schedule.clean_fields(exclude=skipped)  # first: `clean` relies on their types
        schedule.full_clean(
            validate_unique=False, validate_constraints=with_constraints, exclude=skipped
        )
    except ValidationError as error:
        errors |= error.message_dict
    if errors:
        raise InvalidSchedule(joined(errors), errors)


def _normalise_call(schedule: ScheduledTask) -> dict[str, list[str]]:
    """Bring the function and arguments into their stored form; return the errors if they can't."""
    try:
        schedule.normalise_call()
    except UnknownTaskFunction as error:
        return {"function": [str(error)]}
    except InvalidArguments as error:
        return {error.field: [str(error)]}
    return {}


def _wrong_types(schedule: ScheduledTask) -> dict[str, list[str]]:
    """Return an error for each value of the wrong type, which Django might convert."""
    values = {name: getattr(schedule, name) for name in EDITABLE_FIELDS}
    errors = unfit_text(ScheduledTask, values)
    for field in ScheduledTask._meta.concrete_fields:
        value = getattr(schedule, field.attname)
        may_be_none = field.null or field.name not in EDITABLE_FIELDS
        if field.primary_key or (value is None and may_be_none):
            continue
        if value is None:
            errors[field.name] = [_("%(name)s: None is not valid.") % {"name": field.name}]
        elif isinstance(field, models.DateTimeField) and not isinstance(value, datetime):
            errors[field.name] = [
                _("%(name)s: %(value)r is not a datetime.") % {"name": field.name, "value": value}
            ]
        elif isinstance(field, models.IntegerField) and type(value) is not int:
            errors[field.name] = [
                _("%(name)s: %(value)r is not a whole number.")
                % {"name": field.name, "value": value}
            ]
    return errors


def validate_calendar(calendar: Calendar, **options: Any) -> None:
    """Raise InvalidCalendar unless the calendar can be written; put its dates in order.

    `options` are those of `full_clean`.
    """
    try:
        calendar.full_clean(**options)
    except ValidationError as error:
        raise InvalidCalendar(joined(error.message_dict), error.message_dict) from error


def revised(known: ScheduledTask, wanted: ScheduledTask, start_given: bool) -> ScheduledTask:
    """Return the stored schedule with the values of a valid one that has the same identity.

    If those are of a live one, it becomes live as well, unless it is paused. What the caller left
    open stays: the note, its list, the rhythm, and the start of the repeat count (`start_given`
    says whether that was given, as the validation sets it).
    """
    schedule = copy.copy(known)
    for field in (*EDITABLE_FIELDS, "type", "fingerprint"):
        setattr(schedule, field, getattr(wanted, field))
    schedule.note = wanted.note or known.note
    if wanted.list_owner is not None:
        schedule.list_owner = wanted.list_owner
    if _counts_the_same_repeats(wanted, known) and not start_given:
        schedule.start = known.start
    if _keeps_rhythm(wanted, known):
        schedule.first = known.first
    if wanted.is_live and known.status in (ScheduledTask.Status.DEATH, ScheduledTask.Status.FAILED):
        schedule.status = ScheduledTask.Status.RUNNING
    return schedule


def _counts_the_same_repeats(wanted: ScheduledTask, known: ScheduledTask) -> bool:
    """Return whether both are the same cron schedule with the same number of repeats."""
    same = all(
        getattr(wanted, field) == getattr(known, field) for field in ("cron", "timezone", "repeat")
    )
    return same and bool(wanted.cron and wanted.repeat)


def _keeps_rhythm(wanted: ScheduledTask, known: ScheduledTask) -> bool:
    """Return whether “every hour from now on” is requested for what already runs every hour.

    Code may request it at each start, which must not shift the schedule each time.
    """
    same = known.is_live and wanted.interval is not None and wanted.interval == known.interval
    since_first = clock.now() - wanted.first if same and wanted.first else None
    return since_first is not None and timedelta(0) <= since_first < JUST_NOW
