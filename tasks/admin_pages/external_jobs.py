"""The page of external jobs: those that are scheduled, and those in quarantine."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from tasks.access import is_limited
from tasks.admin_pages.base import TasksAdmin
from tasks.admin_pages.formatting import timestamp
from tasks.broker.connection import connect
from tasks.broker.ownership import connect_as_owner
from tasks.exceptions import TasksError
from tasks.masking import mask_text
from tasks.scheduler import external_jobs

ACTIONS = {"put_back": external_jobs.put_back, "discard": external_jobs.discard}
MAX_SHOWN = 500


class ExternalJobsAdmin(TasksAdmin):
    """Adds the page to the admin of schedules, with the same permissions."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.external_jobs_view)
        return [
            path("external-jobs/", view, name="tasks_scheduledtask_external_jobs"),
            *super().get_urls(),
        ]

    def external_jobs_view(self, request: HttpRequest) -> HttpResponse:
        """Show the external jobs; a POST puts a quarantined one back, or discards it."""
        if not self.has_view_permission(request) or is_limited(request.user):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "opts": self.opts}
        try:
            if request.method == "POST":
                return self._act_on_external_job(request)
            redis = connect()
            context |= {
                "title": _("External jobs"),
                "quarantined": _shown(external_jobs.quarantined(redis)),
                "scheduled": _shown(external_jobs.scheduled(redis)),
                "may_change": self.has_change_permission(request),
            }
        except RedisError as error:
            context |= {"title": _("Redis is unavailable"), "error": error}
            template = "admin/tasks/redis_unavailable.html"
            return TemplateResponse(request, template, context, status=503)
        return TemplateResponse(request, "admin/tasks/scheduledtask/external_jobs.html", context)

    def _act_on_external_job(self, request: HttpRequest) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        act = ACTIONS.get(request.POST.get("action", ""))
        try:
            member = bytes.fromhex(request.POST.get("job", ""))
        except ValueError:
            member = b""
        if act is not None and member:
            try:
                act(member, connect_as_owner())
            except TasksError as error:
                messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:tasks_scheduledtask_external_jobs"))


def _shown(jobs: Iterable[external_jobs.ExternalJob]) -> list[dict[str, Any]]:
    return [
        {
            "key": job.member.hex(),
            "name": mask_text(job.name),
            "function": mask_text(job.function),
            "shown_due": timestamp(job.due),
            "reason": mask_text(job.reason),
        }
        for job in islice(jobs, MAX_SHOWN)
    ]
