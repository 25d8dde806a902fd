"""“Run now” with other arguments, once: the schedule keeps its own."""

import copy
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from tasks.admin_pages.argument_choices import nameable
from tasks.admin_pages.asking import ActionsAdmin
from tasks.admin_pages.base import obstacles
from tasks.admin_pages.call_pages import rows_to_type
from tasks.admin_pages.forms import CallForm
from tasks.admin_pages.history import record_change
from tasks.admin_pages.links import schedule_page
from tasks.exceptions import TasksError
from tasks.history import Action
from tasks.models import ScheduledTask
from tasks.registry import Kind, masked_arguments
from tasks.services import SchedulerService


class RunForm(CallForm):
    """The arguments of one run, which start as the schedule's."""

    kind = Kind.SCHEDULED

    class Meta:
        model = ScheduledTask
        fields = ("function", "args", "kwargs")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["function"].widget = forms.HiddenInput()

    def _update_errors(self, errors: ValidationError) -> None:
        """Drop what is wrong with other fields of the schedule: a run doesn't need them."""
        for name in errors.error_dict.keys() - {"function", "args", "kwargs"}:
            del errors.error_dict[name]
        super()._update_errors(errors)


def run_with_page(page: ActionsAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the arguments of one run; a POST requests it.

    Who may run a schedule as it is, but not change it, may not give it other arguments either.
    """
    schedule = get_object_or_404(page.get_queryset(request), pk=pk)
    may_change = page.has_change_permission(request, schedule)
    if not (may_change and page.has_run_permission(request, schedule)):
        raise PermissionDenied
    instance = copy.copy(schedule)
    if request.method == "POST":
        data = request.POST.copy()
        data["function"] = schedule.function  # Only the arguments are the user's to choose.
        form = RunForm(data, instance=instance)
        form.nameable = partial(nameable, page.admin_site, request)
        if form.is_valid() and _request(page, request, schedule, form):
            return HttpResponseRedirect(schedule_page(pk))
    else:
        form = RunForm(instance=instance)
    context = {
        **page.admin_site.each_context(request),
        "title": _("Run “%(name)s” once with other arguments") % {"name": schedule.name},
        "opts": page.opts,
        "original": schedule,
        "form": form,
        "rows": rows_to_type(page.admin_site, request, form),
        "choices_url": reverse("admin:tasks_scheduledtask_choices"),
        "back": schedule_page(pk),
        "notices": obstacles([schedule.queue]),
    }
    return TemplateResponse(request, "admin/tasks/scheduledtask/run_with.html", context)


def _request(
    page: ActionsAdmin, request: HttpRequest, schedule: ScheduledTask, form: RunForm
) -> bool:
    """Request the run; return whether that was possible, otherwise the form says why."""
    args, kwargs = form.instance.args, form.instance.kwargs
    try:
        SchedulerService.run_now(schedule, args, kwargs)
    except TasksError as error:
        form.add_error(None, str(error))
        return False
    before = _shown(schedule.function, schedule.args, schedule.kwargs)
    after = _shown(schedule.function, args, kwargs)
    changes = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    text = _("Run with other arguments requested.")
    record_change(request, schedule, Action.RUN_REQUESTED, changes)
    page.log_change(request, schedule, text)
    messages.success(request, text)
    return True


def _shown(function: str, args: list[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return arguments by their fields, without secrets."""
    return dict(zip(("args", "kwargs"), masked_arguments(function, args, kwargs), strict=True))
