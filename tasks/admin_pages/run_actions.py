"""What people do with runs that they have chosen: run them again, or stop them. Both ask first."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks.admin_pages.base import TasksAdmin
from tasks.admin_pages.history import record_change, requested_runs
from tasks.exceptions import NotPossible, SpecError, TasksError
from tasks.history import Action
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.services import SchedulerService
from tasks.storable import instant_text
from tasks.timing import spec
from tasks.timing.instants import MICROSECOND

Status = ScheduledTaskInstance.Status
# How many runs one action takes.
MOST_RUNS = 100
NEVER_RAN = (Status.MISSED, Status.SKIPPED)
HEAVY = ("log", "traceback", "result")


@dataclass(slots=True)
class Again:
    """What running some runs of a schedule again requests.

    `dues` never ran, or failed: backfill runs them in their turn. `ran` counts the others: each of
    their `calls` is made once, now. A call is a run's own arguments, None for its schedule's.
    """

    schedule: ScheduledTask
    dues: list[datetime] = field(default_factory=list)
    calls: list[dict[str, Any] | None] = field(default_factory=list)
    ran: int = 0

    @property
    def requests(self) -> int:
        """How many runs are requested."""
        return len(self.dues) + len(self.calls)

    @property
    def chosen(self) -> int:
        """How many runs were chosen."""
        return len(self.dues) + self.ran


def plan_again(runs: Iterable[ScheduledTaskInstance]) -> list[Again]:
    """Return what running these runs again requests, a schedule each, by name."""
    plans: dict[int, Again] = {}
    for run in runs:
        plan = plans.setdefault(run.parent_id, Again(run.parent))
        if run.due is not None and _is_left_to_backfill(run, run.due):
            plan.dues.append(run.due)
        else:
            plan.ran += 1
            if run.arguments not in plan.calls:
                plan.calls.append(run.arguments)
    for plan in plans.values():
        plan.dues.sort()
    return sorted(plans.values(), key=lambda plan: (plan.schedule.name, plan.schedule.pk))


def _is_left_to_backfill(run: ScheduledTaskInstance, due: datetime) -> bool:
    """Return whether backfill is to run an occurrence again.

    A failed one that the schedule's present spec doesn't yield is run now instead.
    """
    if run.status in NEVER_RAN:
        return True
    try:
        yielded = spec.next_due(run.parent.spec(), due - MICROSECOND)
    except SpecError:
        return False
    return run.status == Status.FAILED and yielded == due


class RunActions(TasksAdmin):
    """The actions of the list of runs, which are buttons on a run's page as well."""

    actions = ("run_again", "stop")

    def has_stop_permission(
        self, request: HttpRequest, run: ScheduledTaskInstance | None = None
    ) -> bool:
        """Return whether the user may stop runs, or this one."""
        return self.has_view_permission(request, run) and request.user.has_perm("tasks.stop_run")

    def has_run_permission(
        self, request: HttpRequest, run: ScheduledTaskInstance | None = None
    ) -> bool:
        """Return whether the user may run schedules now, or the schedule of this run."""
        return self.has_view_permission(request, run) and request.user.has_perm(
            "tasks.run_scheduledtask"
        )

    @property
    def _schedules(self) -> admin.ModelAdmin:
        return self.admin_site.get_model_admin(ScheduledTask)

    @admin.action(description=gettext_lazy("Run again"), permissions=["run"])
    def run_again(
        self, request: HttpRequest, queryset: QuerySet[ScheduledTaskInstance]
    ) -> HttpResponse:
        runs = self._chosen(request, queryset)
        plans = plan_again(runs)
        if "confirmed" not in request.POST:
            requests = sum(plan.requests for plan in plans)
            return self._ask(request, "run_again", runs, {"plans": plans, "requests": requests})
        requested = 0
        for plan in plans:
            if not self.has_run_permission(request, ScheduledTaskInstance(parent=plan.schedule)):
                messages.error(request, _("You may not run “%s”.") % plan.schedule.name)
                continue
            requested += self._request(request, plan)
        if requested:
            text = ngettext("%d run was requested.", "%d runs were requested.", requested)
            messages.success(request, text % requested)
        return self._back(request, runs)

    def _request(self, request: HttpRequest, plan: Again) -> int:
        """Request what a plan says, and report what isn't possible; return how many runs were."""
        steps: list[Callable[[], Any]] = [
            partial(_backfill, plan.schedule, due) for due in plan.dues
        ]
        steps += [partial(_call, plan.schedule, arguments) for arguments in plan.calls]
        requested = 0
        for step in steps:
            try:
                step()
            except TasksError as error:
                messages.error(request, str(error))
            else:
                requested += 1
        if requested:
            text = ngettext("%d run requested again.", "%d runs requested again.", requested)
            text = text % requested
            record_change(request, plan.schedule, Action.RUN_REQUESTED, requested_runs(requested))
            self._schedules.log_change(request, plan.schedule, text)
        return requested

    @admin.action(description=gettext_lazy("Stop"), permissions=["stop"])
    def stop(self, request: HttpRequest, queryset: QuerySet[ScheduledTaskInstance]) -> HttpResponse:
        if "confirmed" not in request.POST:
            return self._ask_to_stop(request, queryset)
        runs = self._chosen(request, queryset)
        stopped = 0
        for run in runs:
            if not self.has_stop_permission(request, run):
                messages.error(request, _("You may not stop “%s”.") % run.name)
                continue
            try:
                SchedulerService.stop_run(run, request.user.get_username())
            except TasksError as error:
                messages.error(request, str(error))
            else:
                stopped += 1
                self.log_change(request, run, _("Stopped."))
        if stopped:
            text = ngettext("%d run is being stopped.", "%d runs are being stopped.", stopped)
            messages.success(request, text % stopped)
        return self._back(request, runs)

    def _ask_to_stop(
        self, request: HttpRequest, queryset: QuerySet[ScheduledTaskInstance]
    ) -> HttpResponse:
        """Ask about those of the chosen runs that are running; say so if none is."""
        running = self._chosen(request, queryset.filter(ended=None))
        if running:
            ended = queryset.exclude(ended=None).count()
            return self._ask(request, "stop", running, {"ended": ended})
        number = queryset.count()
        text = ngettext(
            "This run isn't running: there is nothing to stop.",
            "None of these %(number)d runs is running: there is nothing to stop.",
            number,
        )
        messages.warning(request, text % {"number": number})
        return self._back(request, list(queryset[:2]))

    def _chosen(
        self, request: HttpRequest, runs: QuerySet[ScheduledTaskInstance]
    ) -> list[ScheduledTaskInstance]:
        """Return the chosen runs, the newest if there are too many; the user is told then."""
        chosen = runs.select_related("parent__calendar").defer(*HEAVY).order_by("-pk")
        found = list(chosen[: MOST_RUNS + 1])
        if len(found) > MOST_RUNS:
            text = _("More than %(most)d runs are chosen: only the newest %(most)d are taken.")
            messages.warning(request, text % {"most": MOST_RUNS})
        return found[:MOST_RUNS]

    def _ask(
        self,
        request: HttpRequest,
        action: str,
        runs: Sequence[ScheduledTaskInstance],
        more: dict[str, Any],
    ) -> HttpResponse:
        """Show what an action would do, with a button that does it."""
        texts = {
            "stop": ngettext("Stop this run?", "Stop these %d runs?", len(runs)),
            "run_again": ngettext("Run this run again?", "Run these %d runs again?", len(runs)),
        }
        text = texts[action]
        context = {
            **self.admin_site.each_context(request),
            "title": text % len(runs) if "%d" in text else text,
            "opts": self.opts,
            "action": action,
            "runs": runs,
            "chosen_name": ACTION_CHECKBOX_NAME,
            "list_url": reverse("admin:tasks_scheduledtaskinstance_changelist"),
            "back_url": self._back_url(request, runs),
            **more,
        }
        return TemplateResponse(request, "admin/tasks/run_ask.html", context)

    def _back(self, request: HttpRequest, runs: Sequence[ScheduledTaskInstance]) -> HttpResponse:
        return HttpResponseRedirect(self._back_url(request, runs))

    def _back_url(self, request: HttpRequest, runs: Sequence[ScheduledTaskInstance]) -> str:
        """Return the page that the user came from: that of the only run, or the list as it was."""
        if "from_page" in request.POST and len(runs) == 1:
            return reverse("admin:tasks_scheduledtaskinstance_change", args=[runs[0].pk])
        return request.get_full_path()


def _backfill(schedule: ScheduledTask, due: datetime) -> None:
    """Request the run of an occurrence that never ran, or failed; raises NotPossible."""
    if not SchedulerService.backfill(schedule, due - MICROSECOND, due, 1, failed=True):
        raise NotPossible(
            _(
                "“%(name)s”, due %(due)s, can't be run: it is requested already, is tried again by "
                "itself, or its schedule's present spec doesn't yield it."
            )
            % {"name": schedule.name, "due": instant_text(due)}
        )


def _call(schedule: ScheduledTask, arguments: dict[str, Any] | None) -> None:
    SchedulerService.run_now(schedule, **(arguments or {}))
