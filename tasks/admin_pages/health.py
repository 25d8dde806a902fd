"""The line at the top of each page: whether everything is on time, of what the viewer may see."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tasks.access import limits, visible, visible_calls
from tasks.admin_pages.shared import kept
from tasks.broker.connection import connect, in_a_hurry, once_a_page
from tasks.models import ScheduledTask
from tasks.reports.facts import Facts
from tasks.reports.health import Code, Severity, Verdict, health

TEMPLATE = "admin/tasks/health.html"
REFRESH_MS = 10_000
# What waits is shown as late, in amber; red is for what has failed or doesn't work.
LATE = {Code.BEHIND, Code.NOT_DISPATCHED}
# How long what an open tab was told is told to others, too, that refresh themselves, in seconds.
SHARED_FOR = 1.0


def may_see_health(request: HttpRequest) -> bool:
    """Return whether a viewer may know how the schedules are."""
    user = request.user
    return user.is_active and user.is_staff and user.has_perm("tasks.view_scheduledtask")


def health_of(request: HttpRequest) -> tuple[Verdict, Facts]:
    """Return how everything is that the viewer may see, read once for a page.

    What refreshes itself is told what others were told within the last second who may see the same.
    """
    with in_a_hurry():
        return once_a_page("health", lambda: _read_or_kept(request))


def _read_or_kept(request: HttpRequest) -> tuple[Verdict, Facts]:
    user = request.user
    schedules, calls = visible(user, ScheduledTask.objects.all()), visible_calls(user)
    return kept(
        (
            "health",
            *(limits(user), calls.query.is_empty()),
            *(get_language(), timezone.get_current_timezone_name()),
        ),
        SHARED_FOR,
        lambda: health(connect(), schedules, calls),
        is_fresh="X-Live" not in request.headers,
    )


def health_line(request: HttpRequest) -> dict[str, Any]:
    """Return what the line says to a viewer; nothing to those who may not know."""
    if not may_see_health(request):
        return {}
    verdict, facts = health_of(request)
    headline, _dot, more = verdict.short.partition(" · ")
    link = link_of(verdict)
    if may_add_first(request, verdict, facts):
        more, link = _("add one"), reverse("admin:tasks_scheduledtask_add")
    return {
        "headline": headline,
        "more": more,
        "state": state_of(verdict),
        "is_fine": verdict.is_fine,
        "link": link,
        "refresh_ms": REFRESH_MS,
    }


def may_add_first(request: HttpRequest, verdict: Verdict, facts: Facts) -> bool:
    """Return whether all there is to say is that there is no schedule, and one may be added."""
    is_empty = verdict.is_idle and not facts.known
    return is_empty and request.user.has_perm("tasks.add_scheduledtask")


def state_of(verdict: Verdict) -> str:
    """Return the state in whose symbol and colours a verdict is shown."""
    if verdict.is_fine:
        return "waiting" if verdict.is_idle else "finished"
    is_broken = verdict.severity == Severity.ERROR and verdict.problems[0].code not in LATE
    return "failed" if is_broken else "late"


def link_of(verdict: Verdict) -> str:
    """Return where a verdict is explained: on the overview."""
    try:
        return reverse("admin:tasks_overview")
    except NoReverseMatch:
        links = [problem.link for problem in verdict.problems if problem.link]
        return links[0] if links else reverse("admin:tasks_scheduledtask_changelist")


def health_view(request: HttpRequest) -> HttpResponse:
    """Return the line alone, for pages that keep theirs up to date."""
    return render(request, TEMPLATE, health_line(request))
