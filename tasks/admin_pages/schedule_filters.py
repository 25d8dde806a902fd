"""What the list of schedules can be narrowed down to."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from tasks.access import visible
from tasks.admin_pages.limits import VisibleFilter
from tasks.models import ScheduledTask, ScheduledTaskInstance, Tag, WeeklySummary
from tasks.reports.numbers import Numbers, keep_for_page, numbers_of
from tasks.reports.waiting import late_schedules

Schedules = QuerySet[ScheduledTask]
LIVE = ScheduledTask.LIVE


class ChoiceFilter(admin.SimpleListFilter):
    """A filter that the list shows as a selection; an unknown choice finds nothing."""

    # What the selection says if nothing is chosen.
    any_text: Any

    def has_output(self) -> bool:
        return True  # Otherwise a choice that doesn't exist would find everything.

    def queryset(self, request: HttpRequest, queryset: Schedules) -> Schedules:
        value = self.value()
        if not value:
            return queryset
        if value not in {str(key) for key, _title in self.lookup_choices}:
            return queryset.none()
        return self.chosen(request, queryset, value)

    def chosen(self, request: HttpRequest, schedules: Schedules, value: str) -> Schedules:
        """Return the schedules that a known choice stands for."""
        return schedules.filter(**{self.parameter_name or "": value})


class InUse(NamedTuple):
    """What some schedules that the user may see have in common, and how many these are."""

    function: str
    queue: str
    list_owner: str | None
    status: str
    number: int
    with_problem: int


def in_use(request: HttpRequest) -> list[InUse]:
    """Return what occurs together among the schedules that the user may see, read once a page."""
    kept: Any = request
    if not hasattr(kept, "in_use"):
        schedules = visible(request.user, ScheduledTask.objects.all()).order_by()
        common = schedules.values("function", "queue", "list_owner", "status")
        counted = common.annotate(
            number=Count("*"), with_problem=Count("pk", filter=~Q(problem=""))
        )
        kept.in_use = list(map(InUse._make, counted.values_list(*InUse._fields)))
        keep_for_page(_numbers(kept.in_use))
    found: list[InUse] = kept.in_use
    return found


def _numbers(found: Iterable[InUse]) -> Numbers:
    by_status: Counter[str] = Counter()
    for one in found:
        by_status[one.status] += one.number
    return Numbers(by_status, sum(one.with_problem for one in found if one.status in LIVE))


def _values(request: HttpRequest, field: str) -> list[Any]:
    """Return the values of a field among the schedules that the user may see."""
    values = {getattr(one, field) for one in in_use(request)}
    return sorted(values, key=lambda value: (value is None, value or ""))


class FunctionFilter(ChoiceFilter):
    """By the task function."""

    title, parameter_name = gettext_lazy("task function"), "function"
    any_text = gettext_lazy("Any function")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in _values(request, "function")]


class QueueFilter(ChoiceFilter):
    """By the queue."""

    title, parameter_name = gettext_lazy("queue"), "queue"
    any_text = gettext_lazy("Any queue")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in _values(request, "queue")]


class TagFilter(ChoiceFilter):
    """By a tag."""

    title, parameter_name = gettext_lazy("tag"), "tag"
    any_text = gettext_lazy("Any tag")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = visible(request.user, Tag.objects.all()).values_list("name", flat=True)
        return [(name, name) for name in names]

    def chosen(self, request: HttpRequest, schedules: Schedules, value: str) -> Schedules:
        return schedules.filter(tags__name=value)


class CalendarFilter(VisibleFilter):
    """By a calendar, whose own page leads here: the list doesn't offer the choice."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[Any]:
        return []

    def has_output(self) -> bool:
        return True  # Otherwise the choice would be ignored.


class OwnerFilter(ChoiceFilter):
    """By the owner of the list in code that a schedule came from."""

    title, parameter_name = gettext_lazy("list"), "list"
    any_text = gettext_lazy("Any list")
    # Stand for schedules that are on no list, and on one without an owner: no owner is named so.
    NO_LIST, NO_OWNER = "-", "--"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        words = {None: (self.NO_LIST, _("On no list")), "": (self.NO_OWNER, _("Without an owner"))}
        owners = _values(request, "list_owner")
        return [words.get(owner, (owner, owner)) for owner in owners]

    def chosen(self, request: HttpRequest, schedules: Schedules, value: str) -> Schedules:
        if value == self.NO_LIST:
            return schedules.filter(list_owner=None)
        return schedules.filter(list_owner="" if value == self.NO_OWNER else value)


def failing(request: HttpRequest) -> Q:
    """Find those whose latest run failed."""
    return Q(status=ScheduledTask.Status.FAILED)


def unschedulable(request: HttpRequest) -> Q:
    """Find the live ones that can't be scheduled, as their rows say."""
    return Q(status__in=LIVE) & ~Q(problem="")


def late(request: HttpRequest) -> Q:
    """Find those of which something is due and has not started."""
    return Q(pk__in=_late_now(request))


def _late_now(request: HttpRequest) -> list[int]:
    """Return the keys of those that are late, read from Redis once for a page."""
    kept: Any = request
    if not hasattr(kept, "late_schedules"):
        everything = visible(request.user, ScheduledTask.objects.all())
        kept.late_schedules = late_schedules(everything)
    found: list[int] = kept.late_schedules
    return found


def going_on(request: HttpRequest) -> Q:
    """Find those of which a run is going on."""
    return Q(pk__in=ScheduledTaskInstance.objects.running().order_by().values("parent"))


def paused(request: HttpRequest) -> Q:
    """Find the paused ones."""
    return Q(status=ScheduledTask.Status.PAUSED)


def never_ran(request: HttpRequest) -> Q:
    """Find those that have not ended and of which no run has ever started."""
    started = ScheduledTaskInstance.objects.filter(parent=OuterRef("pk"), started__isnull=False)
    # Of most the summaries say that they ran, which is quicker to read than their runs.
    weeks = WeeklySummary.objects.filter(schedule=OuterRef("pk"))
    busy = weeks.filter(Q(finished__gt=0) | Q(failed__gt=0))
    # Retention may have deleted the runs of one that ran.
    candidates = ~Q(status=ScheduledTask.Status.DEATH) & Q(pruned_until=None)
    return candidates & ~Exists(busy) & ~Exists(started)


def ended(request: HttpRequest) -> Q:
    """Find the cancelled and the exhausted ones."""
    return Q(status=ScheduledTask.Status.DEATH)


# What the list offers only while there is any.
RARE_VIEWS = frozenset({"problem"})
# The views of the list, in their order: what they are called, and what they show.
VIEWS: dict[str, tuple[Any, Callable[[HttpRequest], Q]]] = {
    "problem": (gettext_lazy("Can't be scheduled"), unschedulable),
    "failing": (gettext_lazy("Failing now"), failing),
    "late": (gettext_lazy("Late now"), late),
    "running": (gettext_lazy("Running"), going_on),
    "paused": (pgettext_lazy("schedules", "Paused"), paused),
    "never": (gettext_lazy("Never ran"), never_ran),
    "ended": (pgettext_lazy("schedules", "Ended"), ended),
}


def numbers_of_views(request: HttpRequest) -> dict[str, int]:
    """Return how many schedules each view shows, in two queries besides those of the page."""
    status, everything = ScheduledTask.Status, visible(request.user, ScheduledTask.objects.all())
    by_status, with_problem = numbers_of(everything)
    return {
        "problem": with_problem,
        "failing": by_status[status.FAILED],
        "late": len(_late_now(request)),
        "running": everything.filter(going_on(request)).count(),
        "paused": by_status[status.PAUSED],
        "never": everything.filter(never_ran(request)).count(),
        "ended": by_status[status.DEATH],
    }


class ViewFilter(ChoiceFilter):
    """By how schedules are now; the list shows these as tabs."""

    title, parameter_name = gettext_lazy("view"), "view"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, title) for name, (title, _shown) in VIEWS.items()]

    def chosen(self, request: HttpRequest, schedules: Schedules, value: str) -> Schedules:
        return schedules.filter(VIEWS[value][1](request))
