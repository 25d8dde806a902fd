"""Pausing everything, or a queue, in the admin: the pages that ask, and who may."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks import holds
from tasks.access import is_limited, visible
from tasks.exceptions import TasksError
from tasks.masking import mask_text
from tasks.models import Hold, ScheduledTask, ScheduledTaskInstance
from tasks.queue import usable_queues
from tasks.reports.facts import queues_of
from tasks.reports.holds import read_holds

TEMPLATE = "admin/tasks/hold.html"
PERMISSION = "tasks.pause_scheduledtask"


class HoldForm(forms.Form):
    """Why: everybody sees it, and it stays in the history."""

    note = forms.CharField(
        label=gettext_lazy("Why? Shown on every page while it lasts"),
        required=False,
        max_length=1_000,
        widget=forms.TextInput(attrs={"placeholder": gettext_lazy("optional")}),
    )

    def clean_note(self) -> str:
        return mask_text(self.cleaned_data["note"].replace("\0", "").strip())


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked: the heading, what will happen, and the words of the two buttons."""

    title: str
    consequences: list[str]
    yes: str
    no: str
    is_resumption: bool = False


def may_hold(request: HttpRequest) -> bool:
    """Return whether the user may pause everything, or a queue: it concerns everybody."""
    return request.user.has_perm(PERMISSION) and not is_limited(request.user)


def may_see(request: HttpRequest) -> bool:
    """Return whether the user may know what is paused."""
    return request.user.has_perm("tasks.view_scheduledtask") or request.user.has_perm(
        "tasks.change_scheduledtask"
    )


def shown_to(request: HttpRequest) -> list[Hold]:
    """Return what is paused, as far as it concerns the schedules that the user may see."""
    held = list(read_holds().holds)
    if not held or not is_limited(request.user):
        return held
    used = queues_of(visible(request.user, ScheduledTask.objects.all()))
    return [hold for hold in held if not hold.queue or hold.queue in used]


def pause_page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    """Ask before everything, or the queue in the address, is paused; a POST does it."""
    if not may_hold(request):
        raise PermissionDenied
    queue = request.GET.get("queue", "")
    if queue and queue not in usable_queues():
        raise Http404
    form = HoldForm(request.POST if request.method == "POST" else None, label_suffix="")
    if request.method == "POST" and form.is_valid():
        return _pause(request, queue, form.cleaned_data["note"])
    question = _about_queue(queue) if queue else _about_everything()
    return _ask(site, request, question, form)


def resume_page(site: admin.AdminSite, request: HttpRequest, pk: int) -> HttpResponse:
    """Ask before a pause of everything, or of a queue, is ended; a POST does it."""
    if not may_hold(request):
        raise PermissionDenied
    is_sent = request.method == "POST"
    hold = Hold(pk=pk) if is_sent else get_object_or_404(Hold, pk=pk)
    if is_sent:
        return _resume(request, hold)
    return _ask(site, request, _about_end(hold), None)


def _ask(
    site: admin.AdminSite, request: HttpRequest, question: _Question, form: HoldForm | None
) -> HttpResponse:
    context = {
        **site.each_context(request),
        "title": question.title,
        "question": question,
        "form": form,
        "back": reverse("admin:tasks_overview"),
    }
    return TemplateResponse(request, TEMPLATE, context)


def _about_everything() -> _Question:
    schedules = ScheduledTask.objects.live().order_by().count()
    return _Question(
        title=_("Pause everything?"),
        consequences=[
            _("No worker starts anything. %(running)s") % {"running": _goes_on()},
            ngettext(
                "%d schedule is paused: what would be due meanwhile never runs.",
                "%d schedules are paused: what would be due meanwhile never runs.",
                schedules,
            )
            % schedules,
            _("Runs of schedules that wait on a queue now are recorded as missed."),
            _(
                "Requested runs, retries, background calls and external jobs wait, and start when "
                "everything is resumed."
            ),
        ],
        yes=_("Pause everything"),
        no=_("Keep running"),
    )


def _about_queue(queue: str) -> _Question:
    return _Question(
        title=_("Pause the queue “%(queue)s”?") % {"queue": queue},
        consequences=[
            _("Workers take no more jobs from it. %(running)s") % {"running": _goes_on(queue)},
            _(
                "What is due goes on to be put on it, and waits. When it is resumed, all that "
                "waits starts, except what is past its start deadline by then."
            ),
        ],
        yes=_("Pause the queue"),
        no=_("Keep running"),
    )


def _goes_on(queue: str = "") -> str:
    """Say how many runs go on, and end by themselves."""
    runs = ScheduledTaskInstance.objects.running()
    number = (runs.filter(parent__queue=queue) if queue else runs).order_by().count()
    if not number:
        return _("No run of a schedule is going on now.")
    text = ngettext("%d run goes on to its end.", "%d runs go on to their ends.", number)
    return text % number


def _about_end(hold: Hold) -> _Question:
    if hold.queue:
        title = _("Resume the queue “%(queue)s”?") % {"queue": hold.queue}
        text = _("All that waits on it starts, except what is past its start deadline.")
        return _Question(title, [text], _("Resume the queue"), _("Leave it paused"), True)
    paused = ScheduledTask.objects.filter(status="paused", paused_at=hold.since).order_by().count()
    consequences = [
        ngettext(
            "%d schedule goes on. What was due meanwhile is on record as paused and won't run.",
            "%d schedules go on. What was due meanwhile is on record as paused and won't run.",
            paused,
        )
        % paused,
        _("Schedules that were paused by themselves before stay paused."),
        _("Requested runs, retries, background calls and external jobs that wait start now."),
    ]
    title, yes = _("Resume everything?"), _("Resume everything")
    return _Question(title, consequences, yes, _("Leave it paused"), True)


def _pause(request: HttpRequest, queue: str, note: str) -> HttpResponse:
    by = request.user.get_username()
    try:
        hold = holds.pause_queue(queue, by, note) if queue else holds.pause_everything(by, note)
    except TasksError as error:
        messages.error(request, str(error))
    else:
        _log(request, hold, " ".join(filter(None, [_("Paused."), note])))
        done = _("The queue “%(queue)s” is paused.") if queue else _("Everything is paused.")
        messages.success(request, done % {"queue": queue})
    return HttpResponseRedirect(reverse("admin:tasks_overview"))


def _resume(request: HttpRequest, hold: Hold) -> HttpResponse:
    try:
        ended = holds.resume(hold)
    except TasksError as error:
        messages.error(request, str(error))
    else:
        _log(request, ended, _("Resumed."))
        done = _("The queue “%(queue)s” goes on.") if ended.queue else _("Everything goes on.")
        messages.success(request, done % {"queue": ended.queue})
    return HttpResponseRedirect(reverse("admin:tasks_overview"))


def _log(request: HttpRequest, hold: Hold, text: str) -> None:
    """Leave a line in the admin's log, which outlives the hold: who, what and why."""
    user: Any = request.user
    LogEntry.objects.log_actions(user.pk, [hold], CHANGE, text, single_object=True)
