"""Failures in groups: the same exception at the same place, how often, since when, and again."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import prefetch_related_objects
from django.db.models.functions import Right
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.access import visible
from tasks.admin_pages.run_actions import HEAVY, MOST_RUNS, RunActions
from tasks.admin_pages.run_page import FAILED_FOR, installed, short
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reports import failures
from tasks.reports.failures import FailureGroup, Place, failure_groups, place_of

DAY = timedelta(days=1)
# The periods that are offered, in days, the first by default.
PERIODS = (7, 1, 30)
# How many groups are shown, and how many schedules each names.
MOST_GROUPS, NAMED = 50, 3
# How many failed runs of a schedule are searched for the same failure.
SAME_READ = 100
# How many runs a strip shows.
STRIP = 20
BAR_HEIGHT = 22


@dataclass(frozen=True, slots=True)
class Bar:
    """How many failures of a group ended on a day: a bar in its trend."""

    x: int
    y: float
    height: float
    title: str


@dataclass(frozen=True, slots=True)
class Same:
    """The earlier runs of the schedule that failed as a run did, with it, newest first.

    `strip` are the latest runs of the schedule up to it, however they ended.
    """

    runs: list[int]
    text: str
    url: str
    strip: list[Any]


def words_of(group: FailureGroup) -> tuple[str, str]:
    """Return what a group's failure is called, and what its latest run says of it."""
    run = group.last_run
    if not run.exception_class:
        name, _colon, text = run.masked(run.reason_in_words()).partition(": ")
        return name, text
    name = run.exception_class.rpartition(".")[2]
    text = run.masked(run.reason).removeprefix(FAILED_FOR)
    return name, text.removeprefix(name).removeprefix(":").strip()


def trend(group: FailureGroup, since: datetime, days: int) -> list[Bar]:
    """Return a group's bars, a day each, oldest first; their heights are relative to the most."""
    counts = Counter(int((ended - since) / DAY) for _pk, ended in group.runs)
    most = max(counts.values(), default=1)
    bars = []
    for day in range(days):
        height = BAR_HEIGHT * counts[day] / most
        date = timezone.localtime(since + day * DAY)
        bars.append(Bar(day * 8, BAR_HEIGHT - height, height, f"{date:%Y-%m-%d}: {counts[day]}"))
    return bars


class FailuresAdmin(RunActions):
    """The page of the groups, and what a run's page says of its own."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.failures_view)
        name = "tasks_scheduledtaskinstance_failures"
        return [path("failures/", view, name=name), *super().get_urls()]

    def failures_view(self, request: HttpRequest) -> HttpResponse:
        """Show in which ways runs have failed, the most frequent first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        chosen = request.GET.get("days", "")
        days = int(chosen) if chosen in map(str, PERIODS) else PERIODS[0]
        found = failure_groups(visible(request.user, ScheduledTask.objects.all()), days * DAY)
        prefetch_related_objects([one.last_run for one in found.groups[:MOST_GROUPS]], "parent")
        context = {
            **self.admin_site.each_context(request),
            "title": _("Failures"),
            "opts": self.opts,
            "groups": [
                self._shown(group, found.since, days) for group in found.groups[:MOST_GROUPS]
            ],
            "left_out": max(len(found.groups) - MOST_GROUPS, 0),
            "is_partial": found.is_partial,
            "read_at_most": failures.READ_AT_MOST,
            "days": days,
            "periods": PERIODS,
            "may_run": self.has_run_permission(request),
            "chosen_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/tasks/failures.html", context)

    def _shown(self, group: FailureGroup, since: datetime, days: int) -> dict[str, Any]:
        names = list(group.schedules.items())
        title, message = words_of(group)
        return {
            "group": group,
            "title": title,
            "place": group.place and _short(group.place),
            "raised_at": group.raised_at and _short(group.raised_at),
            "message": message,
            "bars": trend(group, since, days),
            "width": days * 8,
            "schedules": names[:NAMED],
            "more_schedules": max(len(names) - NAMED, 0),
            "runs": [pk for pk, _ended in group.runs[:MOST_RUNS]],
            "url": runs_url(group.exception, group.place),
        }

    def same_failure(self, run: ScheduledTaskInstance) -> Same | None:
        """Return which runs of the schedule failed as this one did; None if it is the only one."""
        if run.status != run.Status.FAILED:
            return None
        runs = ScheduledTaskInstance.objects.filter(
            parent=run.parent_id, status=run.Status.FAILED, pk__lte=run.pk
        )
        newest = runs.annotate(trace=Right("traceback", failures.TRACEBACK_END)).order_by("-pk")
        columns = ("pk", "exception_class", "reason_code", "worker_name", "ended", "trace")
        wanted = _key(run.exception_class, run.reason_code, run.traceback)
        same = [
            row
            for row in newest.values_list(*columns)[:SAME_READ]
            if _key(row[1], row[2], row[5]) == wanted
        ]
        if len(same) < 2:
            return None
        workers = {row[3] for row in same}
        since = same[-1][4]
        number = {"number": len(same), "time": f"{timezone.localtime(since):%Y-%m-%d %H:%M}"}
        text = ngettext(
            "%(number)d time since %(time)s", "%(number)d times since %(time)s", len(same)
        )
        words = [text % number]
        if len(workers) == 1:
            words.append(_("each on %(worker)s") % {"worker": workers.pop()})
        if wanted[1] is not None:
            words.append(_("each at %(place)s") % {"place": _short(wanted[1])})
        url = runs_url(*wanted, schedule=run.parent_id)
        latest = ScheduledTaskInstance.objects.filter(parent=run.parent_id, pk__lte=run.pk)
        strip = list(latest.defer(*HEAVY).order_by("-pk")[:STRIP])
        return Same([row[0] for row in same], f"{', '.join(words)}.", url, strip)


def _short(place: Place) -> str:
    return f"{installed(short(place.file))}:{place.line}"


def _key(exception: str, code: str | None, traceback: str) -> tuple[str, Place | None]:
    return exception or code or "", place_of(traceback)


def runs_url(exception: str, place: Place | None = None, **more: Any) -> str:
    """Return the address of the list of the runs that failed by an exception, or for a reason.

    Only of those that failed at that place, if one is given.
    """
    values = {"status": "failed", "failure": exception, **more}
    if place is not None:
        values["place"] = str(place)
    return f"{reverse('admin:tasks_scheduledtaskinstance_changelist')}?{urlencode(values)}"
