"""The list of schedules: how each is, when it is due, how it has fared, and what to do about it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Case, IntegerField, Prefetch, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from tasks import clock
from tasks.access import visible
from tasks.admin_pages.asking import ActionsAdmin
from tasks.admin_pages.base import CheckedChangeList, KeyPaginator
from tasks.admin_pages.links import run_pages, schedule_pages
from tasks.admin_pages.lists import ASKS, list_context, tab
from tasks.admin_pages.schedule_filters import (
    RARE_VIEWS,
    VIEWS,
    CalendarFilter,
    FunctionFilter,
    OwnerFilter,
    QueueFilter,
    TagFilter,
    ViewFilter,
    in_use,
    numbers_of_views,
)
from tasks.admin_pages.schedule_rows import draw_rows
from tasks.admin_pages.strips import Strips
from tasks.admin_pages.times import about
from tasks.models import ScheduleChange, ScheduledTask, ScheduledTaskInstance, Tag
from tasks.reports.strips import LENGTH, LatestRun, strips
from tasks.reports.waiting import Waiting, Why, waiting_of

Status = ScheduledTask.Status
# The order in which the list begins: what fails comes first, what has ended last.
SEVERITY = {Status.FAILED: 0, Status.RUNNING: 1, Status.PAUSED: 2, Status.DEATH: 3}
REFRESH_MS = 5_000
# A success rate below this is shown in the colour of failures.
GOOD = 0.95
# Where schedules without runs are when the list is sorted: after the worst and the longest.
MORE_THAN_ALL, NO_TIME = 2.0, timedelta()
# The columns that are sorted from their highest value on first.
HIGHEST_FIRST = ("duration",)
# The views that have a sign if anything is in them.
SIGNS = {"problem": "failed", "failing": "failed", "late": "late"}
NUMBERS = ("success", "duration", "waiting")


@dataclass(frozen=True, slots=True)
class State:
    """How a schedule is now: the name of its look, the word, and a detail in small print."""

    look: str
    word: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a row of the list is made from, besides the schedule itself."""

    runs: Sequence[LatestRun]
    running: ScheduledTaskInstance | None
    waiting: Waiting | None
    paused_by: str


def state_of(schedule: ScheduledTask, facts: Facts, now: datetime) -> State:
    """Return how a schedule is now, the worst first."""
    if schedule.problem:
        return State("problem", _("problem"), schedule.masked(schedule.problem_in_words()))
    if schedule.status == Status.DEATH:
        return State("death", pgettext("schedule", "ended"), schedule.end_reason())
    if schedule.status == Status.PAUSED:
        by = _("by %(name)s") % {"name": facts.paused_by} if facts.paused_by else ""
        return State("paused", pgettext("schedule", "paused"), by)
    if schedule.status == Status.FAILED:
        return State("failed", pgettext("schedule", "failing"), _failures(schedule, facts.runs))
    if facts.running is not None:
        return State("running", pgettext("schedule", "running"), _progress(facts.running, now))
    if facts.waiting is not None and facts.waiting.is_late:
        since = _("since %(span)s") % {"span": about(now - facts.waiting.since)}
        place = _place(facts)
        return State("late", pgettext("schedule", "late"), f"{since}. {place}" if place else since)
    if not any(run.has_started for run in facts.runs) and schedule.pruned_until is None:
        return State("waiting", _("never ran"))
    return State("active", _("on time"), _place(facts))


def _place(facts: Facts) -> str:
    """Say of what only so many run at a time, if a schedule waits for that."""
    if facts.waiting is None or facts.waiting.why is not Why.PLACE:
        return ""
    return facts.waiting.why_in_words


def _failures(schedule: ScheduledTask, runs: Sequence[LatestRun]) -> str:
    """Say how many of the latest runs failed one after the other: earlier ones aren't known."""
    ended = [run for run in runs if run.status in ("finished", "failed")]
    number = len(list(takewhile(lambda run: run.status == "failed", ended)))
    if number < 2:
        return ""
    are_all = len(runs) < LENGTH and schedule.pruned_until is None
    if number == len(ended) and not are_all:
        return _("at least %(number)d in a row") % {"number": number}
    return _("%(number)d in a row") % {"number": number}


def _progress(run: ScheduledTaskInstance, now: datetime) -> str:
    assert run.started is not None
    span = about(now - run.started)
    if not run.progress:
        return _("for %(span)s") % {"span": span}
    return _("%(percent)d %%, for %(span)s") % {"percent": run.progress, "span": span}


class ScheduleChangeList(CheckedChangeList):
    """Reads what the rows of the page show, in a fixed number of queries."""

    def get_results(self, request: HttpRequest) -> None:
        # Only the names of the tags are shown: `_tags` reads them quicker than Django their rows.
        self.root_queryset = self.root_queryset.prefetch_related(None)
        super().get_results(request)
        schedules = self.result_list
        for schedule, facts in zip(schedules, facts_of(schedules), strict=True):
            schedule.facts = facts


def facts_of(schedules: Sequence[ScheduledTask]) -> Iterator[Facts]:
    """Yield for each schedule what says how it is now, in a fixed number of queries."""
    keys = [schedule.pk for schedule in schedules]
    runs, waiting = strips(keys), waiting_of(schedules)
    running = {
        run.parent_id: run
        for run in ScheduledTaskInstance.objects.running()
        .filter(parent__in=keys)
        .only("parent", "started", "progress", "status")
        .order_by("id")
    }
    paused = [schedule.pk for schedule in schedules if schedule.status == Status.PAUSED]
    paused_by = _paused_by(paused) if paused else {}
    for pk in keys:
        yield Facts(runs.get(pk, []), running.get(pk), waiting.get(pk), paused_by.get(pk, ""))


def _paused_by(keys: Iterable[int]) -> dict[int, str]:
    changes = ScheduleChange.objects.filter(schedule__in=keys, action="paused").order_by("id")
    return dict(changes.values_list("schedule", "by"))


class ScheduleListAdmin(ActionsAdmin):
    """The list of schedules in the admin."""

    change_list_template = "admin/tasks/scheduledtask/change_list.html"
    list_display = (
        "name",
        "state",
        "when",
        "next_due",
        "latest",
        "success",
        "duration",
        "waiting",
    )
    list_filter = (
        "status",
        "type",
        ("calendar", CalendarFilter),
        ViewFilter,
        FunctionFilter,
        QueueFilter,
        TagFilter,
        OwnerFilter,
    )
    search_fields = ("name", "function")
    sortable_by = ("name", "state", "success", "duration")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledTask]:
        severity = Case(
            *(When(status=status, then=Value(place)) for status, place in SEVERITY.items()),
            output_field=IntegerField(),
        )
        schedules = ScheduledTask.objects.select_related("calendar", "week")
        tags = Prefetch("tags", visible(request.user, Tag.objects.all()))
        schedules = schedules.prefetch_related(tags).annotate(severity=severity)
        return visible(request.user, schedules)

    def queues_of_list(self, request: HttpRequest) -> Iterable[str]:
        return {one.queue for one in in_use(request) if one.status in ScheduledTask.LIVE}

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("severity", "name", "pk")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ScheduleChangeList

    def get_paginator(self, request: HttpRequest, *args: Any, **options: Any) -> Paginator:
        if SEARCH_VAR in request.GET:
            return KeyPaginator(*args, **options)
        return super().get_paginator(request, *args, **options)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        context = getattr(response, "context_data", None)
        if context and "cl" in context:
            context |= self._list_context(request, context["cl"])
        return response

    def _list_context(self, request: HttpRequest, cl: Any) -> dict[str, Any]:
        actions = self.allowed_actions(request)
        filters = {spec.parameter_name: spec for spec in cl.filter_specs if _is_ours(spec)}
        rows = list(_rows(cl.result_list, _tags(request, cl.result_list)))
        return {
            "title": self.opts.verbose_name_plural,
            "rows": rows,
            "body": draw_rows(rows, with_boxes=bool(actions)),
            "tabs": self._tabs(request, cl),
            "selections": [filters[name] for name in ("function", "queue", "tag", "list")],
            "kept": _kept(cl, {*filters} - {"view"}),
            "may_choose": bool(actions),
            "actions": [_button(action) for action in actions if not action.is_end],
            "end_actions": [_button(action) for action in actions if action.is_end],
            "refresh_ms": REFRESH_MS,
            **list_context(cl, numbers=NUMBERS, highest_first=HIGHEST_FIRST),
        }

    def _tabs(self, request: HttpRequest, cl: Any) -> list[dict[str, Any]]:
        """Return the views with the number of schedules in each."""
        numbers = numbers_of_views(request)
        everything = sum(one.number for one in in_use(request))
        chosen = cl.params.get("view")
        return [
            tab(cl, "", _("All"), everything),
            *(
                tab(cl, name, title, numbers[name], SIGNS.get(name, ""))
                for name, (title, _condition) in VIEWS.items()
                if numbers[name] or chosen == name or name not in RARE_VIEWS
            ),
        ]

    # Columns: what they are called, and how they are sorted

    @admin.display(description=gettext_lazy("state"), ordering="severity")
    def state(self, schedule: Any) -> str:
        return str(schedule.status_in_words())

    @admin.display(description=gettext_lazy("when"))
    def when(self, schedule: Any) -> str:
        return str(schedule.when_in_words())

    @admin.display(description=gettext_lazy("next due"))
    def next_due(self, schedule: Any) -> str:
        return ""

    @admin.display(description=gettext_lazy("last 20 runs"))
    def latest(self, schedule: Any) -> str:
        return ""

    @admin.display(
        description=gettext_lazy("success"),
        ordering=Coalesce("week__success", Value(MORE_THAN_ALL)),
    )
    def success(self, schedule: Any) -> str:
        return ""

    @admin.display(
        description=gettext_lazy("p50, p95"), ordering=Coalesce("week__p95", Value(NO_TIME))
    )
    def duration(self, schedule: Any) -> str:
        return ""

    @admin.display(description=gettext_lazy("waiting"))
    def waiting(self, schedule: Any) -> str:
        return ""


def _tags(request: HttpRequest, schedules: Sequence[Any]) -> dict[int, list[str]]:
    """Return the names of the tags that the user may see, by schedule."""
    tags = visible(request.user, Tag.objects.all()).filter(schedules__in=schedules)
    names: dict[int, list[str]] = defaultdict(list)
    for pk, name in tags.values_list("schedules", "name"):
        names[pk].append(name)
    return names


def _rows(schedules: Sequence[Any], tags: Mapping[int, list[str]]) -> Iterator[dict[str, Any]]:
    """Yield what the list shows of each schedule."""
    last = {schedule.pk: _last_run(schedule.facts) for schedule in schedules}
    runs = ScheduledTaskInstance.objects.filter(pk__in=filter(None, last.values()))
    started: dict[int | None, Any] = dict(runs.values_list("pk", "started"))
    now, page_of, run_page_of = clock.now(), schedule_pages(), run_pages()
    select, draw = _("Select %(name)s"), Strips().draw
    for schedule in schedules:
        facts: Facts = schedule.facts
        week = getattr(schedule, "week", None)
        success = week and week.success
        last_run = last[schedule.pk]
        yield {
            "schedule": schedule,
            "url": page_of(schedule.pk),
            "select": select % {"name": schedule.name},
            "state": state_of(schedule, facts, now),
            "when": schedule.when_in_words(),
            "next_due": schedule.next_due(now),
            "note": schedule.masked(schedule.note) if schedule.status == Status.PAUSED else "",
            "strip": draw(facts.runs),
            "last_started": started.get(last_run),
            "last_run_url": last_run and run_page_of(last_run),
            "success": None if success is None else 100 * success,
            "is_bad": success is not None and success < GOOD,
            "p50": week and week.p50,
            "p95": week and week.p95,
            "waiting": facts.waiting.number if facts.waiting else 0,
            "why": facts.waiting.why_in_words if facts.waiting else "",
            "tags": tags.get(schedule.pk, []),
        }


def _last_run(facts: Facts) -> int | None:
    """Return the key of the newest run that has started."""
    return next((run.pk for run in facts.runs if run.has_started), None)


def _button(action: Any) -> tuple[str, str]:
    """Return an action's name and label; all but one ask before they do anything."""
    return action.name, action.label if action.name == "resume" else f"{action.label}{ASKS}"


def _is_ours(spec: Any) -> bool:
    return hasattr(spec, "any_text") or isinstance(spec, ViewFilter)


def _kept(cl: Any, shown: set[str | None]) -> list[tuple[str, str]]:
    """Return the parameters of the address that the form of the filters must keep."""
    dropped = {"q", *shown}
    return [
        (name, value)
        for name, values in cl.filter_params.items()
        for value in values
        if name not in dropped
    ]
