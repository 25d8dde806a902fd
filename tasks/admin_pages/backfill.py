"""The backfill page of a schedule: it previews the runs of a past range, then requests them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks import clock
from tasks.admin_pages.base import TasksAdmin, obstacles
from tasks.exceptions import TasksError
from tasks.models import ScheduledTask
from tasks.runs.backfill import DEFAULT_LIMIT, MAX_LIMIT, to_run
from tasks.services import SchedulerService
from tasks.timing.instants import DAY, MICROSECOND


class LocalDateTimeInput(forms.DateTimeInput):
    """The browser's own field for a date and a time."""

    def __init__(self) -> None:
        super().__init__({"type": "datetime-local", "step": 1}, format="%Y-%m-%dT%H:%M:%S")


class BackfillForm(forms.Form):
    """A range, including both ends, and how many runs it may request at most."""

    begin = forms.DateTimeField(label=gettext_lazy("From"), widget=LocalDateTimeInput)
    end = forms.DateTimeField(label=gettext_lazy("To"), widget=LocalDateTimeInput)
    limit = forms.IntegerField(
        label=gettext_lazy("At most"),
        min_value=1,
        max_value=MAX_LIMIT,
        help_text=gettext_lazy("Nothing is run if there are more."),
    )

    @property
    def range(self) -> dict[str, Any]:
        """The range as the service takes it: start excluded, end included."""
        data = self.cleaned_data
        return {"start": data["begin"] - MICROSECOND, "end": data["end"], "limit": data["limit"]}


def backfill_page(page: TasksAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Show the form; a POST previews the runs, and with `confirmed` requests them."""
    schedule = get_object_or_404(page.get_queryset(request), pk=pk)
    if not page.has_change_permission(request, schedule):
        raise PermissionDenied
    dues = None
    if request.method == "POST":
        form = BackfillForm(request.POST)
        try:
            if form.is_valid() and "confirmed" in request.POST:
                return _request(page, request, schedule, form)
            if form.is_valid():
                dues = to_run(schedule, **form.range)
        except TasksError as error:
            form.add_error(None, str(error))
    else:
        now = timezone.localtime(clock.now()).replace(microsecond=0)
        form = BackfillForm(initial={"begin": now - DAY, "end": now, "limit": DEFAULT_LIMIT})
    context = {
        **page.admin_site.each_context(request),
        "title": _("Backfill “%(name)s”") % {"name": schedule.name},
        "opts": page.opts,
        "original": schedule,
        "form": form,
        "dues": dues,
        "is_sequential": schedule.overlap != ScheduledTask.Overlap.ALLOW,
        "notices": obstacles([schedule.queue]),
        "zone": timezone.get_current_timezone_name(),
    }
    return TemplateResponse(request, "admin/tasks/scheduledtask/backfill.html", context)


def _request(
    page: TasksAdmin, request: HttpRequest, schedule: ScheduledTask, form: BackfillForm
) -> HttpResponse:
    number = len(SchedulerService.backfill(schedule, **form.range))
    text = ngettext("%d run was requested.", "%d runs were requested.", number) % number
    messages.success(request, text)
    page.log_change(request, schedule, _("Backfill: %(text)s") % {"text": text})
    return HttpResponseRedirect(page.page_of(schedule))
