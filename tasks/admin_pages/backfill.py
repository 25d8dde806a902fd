"""The backfill page of a schedule: it previews the runs of a past range, then requests them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks import clock
from tasks.admin_pages.asking import ActionsAdmin
from tasks.admin_pages.base import asking, obstacles
from tasks.admin_pages.history import record_change, requested_runs
from tasks.admin_pages.links import schedule_page
from tasks.admin_pages.times import BOUNDS, EARLIEST, LATEST
from tasks.exceptions import TasksError
from tasks.history import Action
from tasks.models import ScheduledTask, WeeklySummary
from tasks.runs.backfill import DEFAULT_LIMIT, MAX_LIMIT, Open, to_run
from tasks.services import SchedulerService
from tasks.timing.instants import DAY, MICROSECOND, SECOND


class LocalDateTimeInput(forms.DateTimeInput):
    """The browser's own field for a date and a time."""

    def __init__(self) -> None:
        super().__init__({"type": "datetime-local", "step": 1}, format="%Y-%m-%dT%H:%M:%S")


class BackfillForm(forms.Form):
    """A range, including both ends, and how many runs it may request at most."""

    begin = forms.DateTimeField(
        label=gettext_lazy("From"), widget=LocalDateTimeInput, validators=BOUNDS
    )
    end = forms.DateTimeField(
        label=gettext_lazy("To"), widget=LocalDateTimeInput, validators=BOUNDS
    )
    failed = forms.BooleanField(
        label=gettext_lazy("Also what failed"),
        required=False,
        help_text=gettext_lazy(
            "Each of these runs gets one more attempt; what is tried again by itself is left alone."
        ),
    )
    limit = forms.IntegerField(
        label=gettext_lazy("At most"),
        min_value=1,
        max_value=MAX_LIMIT,
        help_text=gettext_lazy("Nothing is run if there are more."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = timezone.get_current_timezone_name()
        for name in ("begin", "end"):
            self.fields[name].help_text = zone

    @property
    def range(self) -> dict[str, Any]:
        """The range as the service takes it: start excluded, end included."""
        data = self.cleaned_data
        return {
            "start": data["begin"] - MICROSECOND,
            "end": data["end"],
            "limit": data["limit"],
            "failed": data["failed"],
        }


def backfill_page(page: ActionsAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Show the form; a POST previews the runs, and with `confirmed` requests them."""
    schedule = get_object_or_404(page.get_queryset(request), pk=pk)
    if not page.has_run_permission(request, schedule):
        raise PermissionDenied
    dues: Sequence[Open] | None = None
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
        form = BackfillForm(initial=_initial(request))
    context = {
        **page.admin_site.each_context(request),
        "title": _("Backfill “%(name)s”") % {"name": schedule.name},
        "opts": page.opts,
        "original": schedule,
        "form": form,
        "dues": dues,
        "is_ready": dues is not None and not form.errors,
        "length": _length(schedule, len(dues or ())),
        "is_sequential": schedule.overlap != ScheduledTask.Overlap.ALLOW,
        "notices": obstacles([schedule.queue]),
        "back": schedule_page(pk),
    }
    template = "admin/tasks/scheduledtask/backfill.html"
    return asking(request, TemplateResponse(request, template, context))


def _initial(request: HttpRequest) -> dict[str, Any]:
    """Return what the form starts with: the last 24 hours, or the range of the link."""
    now = timezone.localtime(clock.now()).replace(microsecond=0)
    given = {name: _time(request.GET.get(name, "")) for name in ("begin", "end")}
    begin, end = given["begin"], given["end"]
    if begin is None or end is None:
        begin, end = now - DAY, now
    else:
        # The field shows whole seconds.
        begin = begin.replace(microsecond=0)
        end = min(end.replace(microsecond=0) + (SECOND if end.microsecond else timedelta(0)), now)
    is_failed = "failed" in request.GET
    return {"begin": begin, "end": end, "limit": DEFAULT_LIMIT, "failed": is_failed}


def _time(text: str) -> Any:
    try:
        at = parse_datetime(text)
        is_usable = at is not None and timezone.is_aware(at) and EARLIEST <= at <= LATEST
        return timezone.localtime(at) if is_usable else None
    except (ValueError, OverflowError):
        return None


def _length(schedule: ScheduledTask, number: int) -> timedelta | None:
    """Return how long so many runs take, by the median of the last 7 days; None if unknown."""
    week = WeeklySummary.objects.filter(schedule=schedule).first()
    return None if week is None or week.p50 is None else number * week.p50


def _request(
    page: ActionsAdmin, request: HttpRequest, schedule: ScheduledTask, form: BackfillForm
) -> HttpResponse:
    number = len(SchedulerService.backfill(schedule, **form.range))
    text = ngettext("%d run was requested.", "%d runs were requested.", number) % number
    messages.success(request, text)
    line = _("Backfill: %(text)s") % {"text": text}
    page.log_change(request, schedule, line)
    begin, end = form.cleaned_data["begin"], form.cleaned_data["end"]
    record_change(request, schedule, Action.BACKFILLED, requested_runs(number, begin, end))
    return HttpResponseRedirect(schedule_page(schedule.pk))
