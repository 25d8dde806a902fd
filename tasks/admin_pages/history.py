"""The history of a schedule: who changed what, and why, with a way back."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks import history
from tasks.access import is_limited, visible
from tasks.admin_pages.base import TasksAdmin
from tasks.admin_pages.formatting import NONE, one_line, short_duration
from tasks.admin_pages.links import schedule_page
from tasks.admin_pages.secrets import masked_fields
from tasks.definitions import EDITABLE_FIELDS
from tasks.exceptions import TasksError
from tasks.history import CALENDAR, CALENDAR_DATES, Action, Changes
from tasks.masking import MASK, MaskedValue, restore
from tasks.models import ScheduleChange, ScheduledTask, Tag
from tasks.services import SchedulerService
from tasks.storable import instant_text
from tasks.timing.describe import describe_seconds

PER_PAGE = 50
LATEST = 6
LENGTHS = ("interval", "jitter", "start_deadline", "timeout", "retry_delay")
MAY_HOLD_SECRETS = ("name", "args", "kwargs", "description", "note")
WORDS = {
    Action.CREATED: gettext_lazy("Created"),
    Action.CHANGED: gettext_lazy("Changed"),
    Action.PAUSED: gettext_lazy("Paused"),
    Action.RESUMED: gettext_lazy("Resumed"),
    Action.CANCELED: gettext_lazy("Cancelled"),
    Action.PUT_BACK: gettext_lazy("Put back"),
    Action.RUN_REQUESTED: gettext_lazy("Run requested"),
    Action.BACKFILLED: gettext_lazy("Backfill requested"),
    Action.CALENDAR_CHANGED: gettext_lazy("Calendar changed"),
}
LABELS = {
    "status": gettext_lazy("status"),
    "list_owner": gettext_lazy("list in code"),
    "tags": gettext_lazy("tags"),
    CALENDAR_DATES: gettext_lazy("excluded dates"),
}
# What these say isn't the change of a field.
NO_EDITS = (Action.CREATED, Action.RUN_REQUESTED, Action.BACKFILLED)
# What a request for several runs says under the names of no field: how many, and their bounds.
RUNS, BEGIN, END = "runs", "begin", "end"
NO_FIELDS = ("paused_at", RUNS, BEGIN, END, CALENDAR)
# Actions that are told by what they changed, not by a word of their own.
TOLD_BY_VALUES = (Action.CHANGED,)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field with its values before and after, as people read them."""

    label: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the history, ready to be shown."""

    change: ScheduleChange
    words: str
    differences: list[Difference]
    can_be_put_back: bool


def record_change(
    request: HttpRequest,
    schedule: ScheduledTask,
    action: Action | str,
    changes: Changes | None = None,
    note: str = "",
) -> None:
    """Leave a line in a schedule's history for what this request did: who, what, why.

    The services write a line of their own for each change of a field or of the status. Then this
    only says more of it, what it was and why: a request leaves one line per schedule and change.
    `changes` are the values of fields before and after, as `tasks.history.differences` returns
    them.
    """
    history.explain(schedule, action, changes, note)


def requested_runs(
    number: int, begin: datetime | None = None, end: datetime | None = None
) -> Changes:
    """Return what a line says of runs that were requested, as `record_change` takes it."""
    bounds = {} if begin is None or end is None else {BEGIN: begin, END: end}
    return {
        RUNS: [None, number],
        **{name: [None, bound.isoformat()] for name, bound in bounds.items()},
    }


def latest_lines(schedule: ScheduledTask, tags: Collection[str] | None) -> list[Line]:
    """Return the newest lines of a schedule's history; `tags` are the names that may be seen."""
    return [line_of(change, tags) for change in schedule.changes.all()[:LATEST]]


def names_seen(request: HttpRequest) -> Collection[str] | None:
    """Return the names of the tags that the user may see, None for all."""
    if not is_limited(request.user):
        return None
    return set(visible(request.user, Tag.objects.all()).values_list("name", flat=True))


def line_of(change: ScheduleChange, tags: Collection[str] | None = None) -> Line:
    """Return a line of the history in words; `tags` are the names that may be seen."""
    differences = _differences(change, tags)
    is_told = change.action in TOLD_BY_VALUES and differences
    return Line(
        change,
        words="" if is_told else _words(change),
        differences=differences,
        can_be_put_back=bool(fields_to_put_back(change)),
    )


def _words(change: ScheduleChange) -> str:
    if RUNS in change.changes:
        return _requested(change.changes)
    if CALENDAR in change.changes:
        return _("Calendar “%(name)s” changed") % {"name": change.changes[CALENDAR][1]}
    paused = change.changes.get("paused_at")
    if change.action == Action.RESUMED and paused and paused[0]:
        span = change.at - datetime.fromisoformat(paused[0])
        return _("Resumed after %(span)s") % {"span": short_duration(span)}
    known = {str(action): words for action, words in WORDS.items()}
    return str(known.get(change.action, change.action))


def _requested(changes: Changes) -> str:
    number = changes[RUNS][1]
    if BEGIN not in changes:
        text = ngettext("%(n)d run requested again", "%(n)d runs requested again", number)
        return text % {"n": number}
    text = ngettext(
        "Backfill of %(n)d run requested, due from %(begin)s to %(end)s",
        "Backfill of %(n)d runs requested, due from %(begin)s to %(end)s",
        number,
    )
    begin, end = (_time(changes[name][1]) for name in (BEGIN, END))
    return text % {"n": number, "begin": begin, "end": end}


def _differences(change: ScheduleChange, tags: Collection[str] | None) -> list[Difference]:
    values = dict(change.changes)
    if "tags" in values and tags is not None:
        values["tags"] = [[name for name in names if name in tags] for names in values["tags"]]
    return [
        Difference(str(capfirst(_label(name))), _text(name, old), _text(name, new))
        for name, (old, new) in values.items()
        if name not in NO_FIELDS and (name != "tags" or old != new)
    ]


def _label(name: str) -> str:
    if name in LABELS:
        return str(LABELS[name])
    field = _field(name)
    return name if field is None else str(field.verbose_name)


def _field(name: str) -> Any:
    """Return a field of a schedule, None for what a newer or older version calls so."""
    known = {field.name: field for field in ScheduledTask._meta.concrete_fields}
    return known.get(name)


def _text(name: str, value: Any) -> str:
    field = _field(name)
    if value is None or value in ("", [], {}):
        return NONE
    if name in LENGTHS and isinstance(value, int):
        return describe_seconds(value)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if name == "tags" and isinstance(value, list):
        return one_line(", ".join(map(str, value)))
    if isinstance(value, list | dict):
        return one_line(json.dumps(value, ensure_ascii=False))
    if isinstance(field, models.DateTimeField) and isinstance(value, str):
        return _time(value)
    choices = dict(field.flatchoices) if field is not None else {}
    return one_line(str(choices.get(value, value)))


def _time(stored: str) -> str:
    return instant_text(datetime.fromisoformat(stored))


# Putting back


def fields_to_put_back(change: ScheduleChange) -> list[str]:
    """Return the fields whose values before a change can be given to the schedule again."""
    if change.action in NO_EDITS:
        return []
    return [name for name in change.changes if name in EDITABLE_FIELDS]


def values_before(change: ScheduleChange, schedule: ScheduledTask) -> dict[str, Any]:
    """Return the values of the fields before a change, as `SchedulerService.update` takes them.

    Secrets aren't in the history: what is masked in it stays as it is now. Raises MaskedValue if
    there is nothing now that could stay.
    """
    shown = masked_fields(schedule) | {"name": schedule.name}
    values: dict[str, Any] = {}
    for name in fields_to_put_back(change):
        value = change.changes[name][0]
        if name in MAY_HOLD_SECRETS:
            value = restore(value, shown[name], getattr(schedule, name))
        elif isinstance(_field(name), models.DateTimeField) and value is not None:
            value = datetime.fromisoformat(value)
        values[name] = value
    return values


def changes_page(page: TasksAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Show all of a schedule's history, a page at a time."""
    schedule = get_object_or_404(page.get_queryset(request), pk=pk)
    if not page.has_view_permission(request, schedule):
        raise PermissionDenied
    paginator = Paginator(schedule.changes.all(), PER_PAGE)
    shown, seen = paginator.get_page(request.GET.get("page")), names_seen(request)
    context = {
        **page.admin_site.each_context(request),
        "title": _("History of “%(name)s”") % {"name": schedule.name},
        "opts": page.opts,
        "original": schedule,
        "lines": [line_of(change, seen) for change in shown],
        "shown": shown,
        "may_put_back": page.has_change_permission(request, schedule),
    }
    return TemplateResponse(request, "admin/tasks/scheduledtask/changes.html", context)


def put_back_page(page: TasksAdmin, request: HttpRequest, pk: int, change_pk: int) -> HttpResponse:
    """Ask whether the values before a change shall be put back; a POST does it."""
    schedule = get_object_or_404(page.get_queryset(request), pk=pk)
    if not page.has_change_permission(request, schedule):
        raise PermissionDenied
    change = get_object_or_404(schedule.changes.all(), pk=change_pk)
    problem, values = "", {}
    try:
        values = values_before(change, schedule)
    except MaskedValue:
        problem = _(
            "A secret was part of these values. Secrets aren't in the history: put the values back "
            "by “Edit”."
        )
    wanted = _wanted(schedule, change) if values else []
    if request.method == "POST" and values:
        try:
            _put_back(page, request, schedule, change, values)
        except TasksError as error:
            problem = str(error)
        else:
            return HttpResponseRedirect(schedule_page(schedule.pk))
    context = {
        **page.admin_site.each_context(request),
        "title": _("Put back what “%(name)s” had before?") % {"name": schedule.name},
        "opts": page.opts,
        "original": schedule,
        "line": line_of(change, names_seen(request)),
        "wanted": wanted,
        "problem": problem,
        "has_mask": MASK in json.dumps(change.changes, ensure_ascii=False),
        "back": schedule_page(schedule.pk),
    }
    return TemplateResponse(request, "admin/tasks/scheduledtask/put_back.html", context)


def _wanted(schedule: ScheduledTask, change: ScheduleChange) -> list[Difference]:
    """Return what putting back would change: the present values, and those from before."""
    present = history.shown_values(schedule)
    return [
        Difference(
            str(capfirst(_label(name))),
            _text(name, present[name]),
            _text(name, change.changes[name][0]),
        )
        for name in fields_to_put_back(change)
        if present[name] != change.changes[name][0]
    ]


def _put_back(
    page: TasksAdmin,
    request: HttpRequest,
    schedule: ScheduledTask,
    change: ScheduleChange,
    values: dict[str, Any],
) -> None:
    SchedulerService.update(schedule, **values)
    at = timezone.localtime(change.at)
    text = _("Put back what was before the change of %(time)s.") % {
        "time": f"{at:%Y-%m-%d %H:%M:%S}"
    }
    record_change(request, schedule, Action.PUT_BACK, note=request.POST.get("note", "")[:200])
    page.log_change(request, schedule, text)
    messages.success(request, text)
