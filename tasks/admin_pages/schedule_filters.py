"""What the list of schedules can be narrowed down to."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from tasks.access import visible
from tasks.models import ScheduledTask, ScheduledTaskInstance, Tag
from tasks.reports.waiting import late_schedules

Schedules = QuerySet[ScheduledTask]


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


def _values(request: HttpRequest, field: str) -> list[Any]:
    """Return the values of a field among the schedules that the user may see."""
    schedules = visible(request.user, ScheduledTask.objects.all())
    return list(schedules.order_by(field).values_list(field, flat=True).distinct())


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


def failing(schedules: Schedules, request: HttpRequest) -> Schedules:
    """Return those whose latest run failed."""
    return schedules.filter(status=ScheduledTask.Status.FAILED)


def unschedulable(schedules: Schedules, request: HttpRequest) -> Schedules:
    """Return the live ones that can't be scheduled, as their rows say."""
    return schedules.filter(status__in=ScheduledTask.LIVE).exclude(problem="")


def late(schedules: Schedules, request: HttpRequest) -> Schedules:
    """Return those of which something is due and has not started."""
    kept: Any = request
    if not hasattr(kept, "late_schedules"):
        # Read from Redis once for a page.
        everything = visible(request.user, ScheduledTask.objects.all())
        kept.late_schedules = late_schedules(everything)
    return schedules.filter(pk__in=kept.late_schedules)


def going_on(schedules: Schedules, request: HttpRequest) -> Schedules:
    """Return those of which a run is going on."""
    runs = ScheduledTaskInstance.objects.running().order_by().values("parent")
    return schedules.filter(pk__in=runs)


def paused(schedules: Schedules, request: HttpRequest) -> Schedules:
    """Return the paused ones."""
    return schedules.filter(status=ScheduledTask.Status.PAUSED)


def never_ran(schedules: Schedules, request: HttpRequest) -> Schedules:
    """Return those that have not ended and of which no run has ever started."""
    started = ScheduledTaskInstance.objects.filter(parent=OuterRef("pk"), started__isnull=False)
    candidates = schedules.exclude(status=ScheduledTask.Status.DEATH)
    # Retention may have deleted the runs of one that ran.
    return candidates.filter(~Exists(started), pruned_until=None)


def ended(schedules: Schedules, request: HttpRequest) -> Schedules:
    """Return the cancelled and the exhausted ones."""
    return schedules.filter(status=ScheduledTask.Status.DEATH)


# What the list offers only while there is any.
RARE_VIEWS = frozenset({"problem"})
# The views of the list, in their order: what they are called, and what they show.
VIEWS: dict[str, tuple[Any, Callable[[Schedules, HttpRequest], Schedules]]] = {
    "problem": (gettext_lazy("Can't be scheduled"), unschedulable),
    "failing": (gettext_lazy("Failing now"), failing),
    "late": (gettext_lazy("Late now"), late),
    "running": (gettext_lazy("Running"), going_on),
    "paused": (pgettext_lazy("schedules", "Paused"), paused),
    "never": (gettext_lazy("Never ran"), never_ran),
    "ended": (pgettext_lazy("schedules", "Ended"), ended),
}


class ViewFilter(ChoiceFilter):
    """By how schedules are now; the list shows these as tabs."""

    title, parameter_name = gettext_lazy("view"), "view"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, title) for name, (title, _shown) in VIEWS.items()]

    def chosen(self, request: HttpRequest, schedules: Schedules, value: str) -> Schedules:
        return VIEWS[value][1](schedules, request)
