"""The page of a schedule: what it does, whether that works, and what can be done about it."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from tasks import clock
from tasks.admin_pages.base import TasksAdmin, obstacles
from tasks.admin_pages.formatting import call
from tasks.models import ScheduledTask

TEMPLATE = "admin/tasks/scheduledtask/page.html"


def schedule_view(page: TasksAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Show a schedule."""
    schedule = get_object_or_404(page.get_queryset(request), pk=pk)
    if not page.has_view_permission(request, schedule):
        raise PermissionDenied
    return TemplateResponse(request, TEMPLATE, _context(page, request, schedule))


def _context(page: TasksAdmin, request: HttpRequest, schedule: ScheduledTask) -> dict[str, Any]:
    return {
        **page.admin_site.each_context(request),
        "title": schedule.name,
        "opts": page.opts,
        "original": schedule,
        "notices": obstacles(page.queues_in_use(schedule)),
        "call": call(schedule.function, schedule.args, schedule.kwargs),
        "next_due": schedule.next_due(clock.now()),
        "has_change_permission": page.has_change_permission(request, schedule),
    }
