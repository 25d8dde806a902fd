"""Actions on schedules: who may, the page that asks before, and the report after."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.base import MOST_CHOSEN, TasksAdmin, asking, obstacles, too_many
from tasks.admin_pages.history import record_change
from tasks.admin_pages.links import schedule_page
from tasks.admin_pages.schedule_actions import (
    ACTIONS,
    ActionOnAll,
    Delete,
    ScheduleAction,
    going_on,
)
from tasks.exceptions import TasksError
from tasks.history import Action
from tasks.masking import mask_text
from tasks.models import ScheduledTask

TEMPLATE = "admin/tasks/scheduledtask/ask.html"
ACT_ON_SEVERAL = "tasks_scheduledtask_act_on_several"
# More rows than these are counted, in questions and in reports.
ROWS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Row:
    """What would come of one schedule, or has; `problem` says why nothing can."""

    schedule: ScheduledTask
    text: str
    problem: str = ""


class ActionsAdmin(TasksAdmin):
    """The actions of schedules, from their list and from the page of one.

    An action asks on one page: what will happen, to how many, and why. It is done by the POST of
    that page, which has `confirmed`, and only with the schedules with which the user may.
    """

    actions = ()

    # Permissions

    def has_run_permission(self, request: HttpRequest, obj: ScheduledTask | None = None) -> bool:
        """Return whether the user may run schedules now."""
        return self.has_view_permission(request, obj) and request.user.has_perm(
            "tasks.run_scheduledtask"
        )

    def has_pause_permission(self, request: HttpRequest, obj: ScheduledTask | None = None) -> bool:
        """Return whether the user may pause and resume schedules."""
        return self.has_view_permission(request, obj) and request.user.has_perm(
            "tasks.pause_scheduledtask"
        )

    def may(
        self, action: ScheduleAction, request: HttpRequest, schedule: ScheduledTask | None = None
    ) -> bool:
        """Return whether the user may do this, with one schedule or with any."""
        allowed: bool = getattr(self, f"has_{action.permission}_permission")(request, schedule)
        return allowed

    def allowed_actions(
        self, request: HttpRequest, schedule: ScheduledTask | None = None
    ) -> list[ScheduleAction]:
        """Return what the user may do, in the order of the buttons."""
        return [action for action in ACTIONS.values() if self.may(action, request, schedule)]

    def buttons_of(self, request: HttpRequest, schedule: ScheduledTask) -> dict[str, Any]:
        """Return the actions that a schedule's page offers: usual ones, and those that end it."""
        offered = [one for one in self.allowed_actions(request, schedule) if one.suits(schedule)]
        return {
            "actions": [action for action in offered if not action.is_end],
            "end_actions": [action for action in offered if action.is_end],
        }

    # Ways in

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act_on_several_view)
        return [path("act/<slug:action>/", view, name=ACT_ON_SEVERAL), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the actions of the list: they have no names of methods to be found by."""
        if IS_POPUP_VAR in request.GET:
            return {}
        return {
            action.name: (_from_list(action), action.name, action.label)
            for action in self.allowed_actions(request)
        }

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, and refuse an action that the user may not do."""
        for name in request.POST.getlist("action"):
            if name in ACTIONS and not self.may(ACTIONS[name], request):
                raise PermissionDenied
        return super().changelist_view(request, extra_context)

    def act_view(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Do something with one schedule, or ask first; a GET only returns to its page."""
        if action not in ACTIONS:
            raise Http404
        schedule = get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method != "POST":
            return HttpResponseRedirect(schedule_page(pk))
        if not self.may(ACTIONS[action], request, schedule):
            raise PermissionDenied
        return self.act(request, ACTIONS[action], [schedule], schedule_page(pk))

    def act_on_several_view(self, request: HttpRequest, action: str) -> HttpResponse:
        """Do something with several schedules, or ask first; a GET only returns to the list."""
        if action not in ACTIONS:
            raise Http404
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:tasks_scheduledtask_changelist"))
        if not self.may(ACTIONS[action], request):
            raise PermissionDenied
        keys, page = _keys(request), self._list_page(request)
        if len(keys) > MOST_CHOSEN:
            messages.error(request, too_many(len(keys)))
            return HttpResponseRedirect(page)
        schedules = list(self.get_queryset(request).filter(pk__in=keys))
        return self.act(request, ACTIONS[action], schedules, page)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Ask before one schedule is deleted; this is where Django's own links lead to."""
        schedule = self.get_object(request, object_id)
        if schedule is None:
            # As Django's own view: with a message, to the index.
            return super().delete_view(request, object_id, extra_context)
        if not self.may(ACTIONS[Delete.name], request, schedule):
            raise PermissionDenied
        return self.act(request, ACTIONS[Delete.name], [schedule], schedule_page(schedule.pk))

    def _list_page(self, request: HttpRequest) -> str:
        """Return the address of the list, filtered as it was."""
        page = reverse("admin:tasks_scheduledtask_changelist")
        filters = request.POST.get("filters", "") or request.GET.urlencode()
        return f"{page}?{filters}" if filters else page

    # Asking and doing

    def act(
        self,
        request: HttpRequest,
        action: ScheduleAction,
        schedules: Sequence[ScheduledTask],
        back: str,
    ) -> HttpResponse:
        """Ask on a page of its own, or do it and return to `back`."""
        is_sent = "confirmed" in request.POST or "preview" in request.POST
        asks = action.asks(len(schedules))
        form = action.form_class(request.POST if is_sent or not asks else None)
        if not asks and form.is_valid():
            return self._do(request, action, schedules, form, back)
        if "confirmed" in request.POST and form.is_valid() and _was_shown(request, form):
            return self._do(request, action, schedules, form, back)
        return asking(request, self._ask(request, action, schedules, form, back))

    def _ask(
        self,
        request: HttpRequest,
        action: ScheduleAction,
        schedules: Sequence[ScheduledTask],
        form: Any,
        back: str,
    ) -> HttpResponse:
        # What needs a preview has one only once its form says what.
        is_ready = not form.needs_preview or (form.is_bound and form.is_valid())
        planned = schedules if is_ready else []
        running = set(going_on(planned))
        rows = [
            self._outlook(request, action, schedule, form, schedule.pk in running)
            for schedule in planned
        ]
        possible = [row for row in rows if not row.problem]
        one = schedules[0] if len(schedules) == 1 else None
        context = {
            **self.admin_site.each_context(request),
            "title": action.question(len(schedules), one.name if one else ""),
            "opts": self.opts,
            "action": action,
            "one": one,
            "form": form,
            "button": action.button(len(possible)) if possible else "",
            "rows": rows[:ROWS_SHOWN],
            "more": len(rows[ROWS_SHOWN:]),
            "consequences": action.consequences(schedules),
            "shown": _shown(form) if is_ready else "",
            "ids": ",".join(str(schedule.pk) for schedule in schedules),
            "filters": back.partition("?")[2],
            "target": self._target(action, one, back),
            "back": back,
            "notices": obstacles({schedule.queue for schedule in schedules}),
        }
        return TemplateResponse(request, TEMPLATE, context)

    def _target(self, action: ScheduleAction, one: ScheduledTask | None, back: str) -> str:
        """Return where the page that asks is sent to: it leads back to where one came from."""
        if one is not None and back == schedule_page(one.pk):
            return reverse("admin:tasks_scheduledtask_act", args=[one.pk, action.name])
        return reverse(f"admin:{ACT_ON_SEVERAL}", args=[action.name])

    def _outlook(
        self,
        request: HttpRequest,
        action: ScheduleAction,
        schedule: ScheduledTask,
        form: Any,
        is_running: bool,
    ) -> Row:
        if not self.may(action, request, schedule):
            return Row(schedule, "", _may_not(schedule))
        try:
            return Row(schedule, action.outlook(schedule, form, is_running))
        except (TasksError, ObjectDoesNotExist) as error:
            return Row(schedule, "", str(error))

    def _do(
        self,
        request: HttpRequest,
        action: ScheduleAction,
        schedules: Iterable[ScheduledTask],
        form: Any,
        back: str,
    ) -> HttpResponse:
        if isinstance(action, ActionOnAll):
            rows = self._done_at_once(request, action, list(schedules), form)
        else:
            rows = [self._done(request, action, schedule, form) for schedule in schedules]
        done = [row for row in rows if not row.problem]
        for row in [row for row in rows if row.problem][:ROWS_SHOWN]:
            messages.error(request, row.problem)
        if (more := len(rows) - len(done) - ROWS_SHOWN) > 0:
            messages.error(request, _("%(n)d more were refused.") % {"n": more})
        if done:
            messages.success(request, _report(action, done))
        is_gone = isinstance(action, Delete) and len(done) == 1 and not back.partition("?")[1]
        page = reverse("admin:tasks_scheduledtask_changelist")
        return HttpResponseRedirect(page if is_gone else back)

    def _done_at_once(
        self,
        request: HttpRequest,
        action: ActionOnAll,
        schedules: Sequence[ScheduledTask],
        form: Any,
    ) -> list[Row]:
        """Do it with all schedules at once; the action leaves the lines in their histories."""
        note = form.cleaned_data["note"]
        mine = [schedule for schedule in schedules if self.may(action, request, schedule)]
        refused = action.perform_all(mine, note)
        done = [schedule for schedule in mine if schedule.pk not in refused]
        if done:
            user, line = cast(Any, request.user), mask_text(f"{action.text} {note}".strip())
            LogEntry.objects.log_actions(user.pk, done, CHANGE, line)
        problems = {schedule.pk: _may_not(schedule) for schedule in schedules}
        problems |= {schedule.pk: "" for schedule in mine}
        problems |= {pk: str(error) for pk, error in refused.items()}
        return [Row(one, str(action.text), problems[one.pk]) for one in schedules]

    def _done(
        self, request: HttpRequest, action: ScheduleAction, schedule: ScheduledTask, form: Any
    ) -> Row:
        """Do it with one schedule, and leave a line in the history."""
        if not self.may(action, request, schedule):
            return Row(schedule, "", _may_not(schedule))
        pk, note = schedule.pk, form.cleaned_data["note"]
        try:
            text = action.perform(schedule, form)
        except (TasksError, ObjectDoesNotExist) as error:
            return Row(schedule, "", str(error))
        line = mask_text(f"{text} {note}".strip())
        if isinstance(action, Delete):
            schedule.pk, user = pk, cast(Any, request.user)
            LogEntry.objects.log_actions(user.pk, [schedule], DELETION, line)
        else:
            self.log_change(request, schedule, line)
            record_change(request, schedule, Action.CHANGED, note=note)
        return Row(schedule, text)


def _from_list(action: ScheduleAction) -> Any:
    def act(page: ActionsAdmin, request: HttpRequest, schedules: QuerySet[ScheduledTask]) -> Any:
        return page.act(request, action, list(schedules), page._list_page(request))

    return act


def _keys(request: HttpRequest) -> set[int]:
    keys = map(number_in, request.POST.get("ids", "").split(","))
    return {key for key in keys if key is not None}


def _shown(form: Any) -> str:
    """Return what a form that needs a preview says, apart from the note."""
    if not form.needs_preview:
        return ""
    return " ".join(str(value) for name, value in form.cleaned_data.items() if name != "note")


def _was_shown(request: HttpRequest, form: Any) -> bool:
    """Return whether the person has seen what this form would do."""
    return request.POST.get("shown", "") == _shown(form)


def _may_not(schedule: ScheduledTask) -> str:
    return _("You may not change “%s”.") % schedule.name


def _report(action: ScheduleAction, rows: Sequence[Row]) -> SafeString | str:
    """Say what was done: in all and, of several, with each."""
    total = action.done(len(rows))
    if len(rows) == 1:
        return total
    gone = isinstance(action, Delete)
    items = format_html_join(
        "",
        "<li>{} <small>{}</small></li>",
        (
            (
                row.schedule.name
                if gone
                else format_html(
                    '<a href="{}">{}</a>', schedule_page(row.schedule.pk), row.schedule.name
                ),
                row.text,
            )
            for row in rows[:ROWS_SHOWN]
        ),
    )
    more = len(rows[ROWS_SHOWN:])
    rest = format_html("<li>{}</li>", _("and %(n)d more") % {"n": more}) if more else ""
    return format_html('{}<ul class="sl-report">{}{}</ul>', total, items, rest)
