"""django-rq's own pages in the admin: who may see them, who may change what they show."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.translation import gettext as _
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard
from redis.exceptions import RedisError

from tasks.broker.ownership import RedisRefused, connect_as_owner
from tasks.job_ids import is_template
from tasks.models import ScheduledTask

View = Callable[..., HttpResponse]
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class DashboardAdmin(QueueAdmin):
    """Queues, workers and jobs: seen and changed by those who may see and change schedules.

    django-rq alone lets every staff user do everything, and answers with a server error while
    Redis is unavailable.
    """

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._schedules.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._schedules.has_change_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @property
    def _schedules(self) -> admin.ModelAdmin:
        return self.admin_site.get_model_admin(ScheduledTask)

    def get_urls(self) -> list[URLPattern]:
        patterns: list[URLPattern] = super().get_urls()
        for pattern in patterns:
            pattern.callback = self._guarded(pattern.callback)
        return patterns

    def _guarded(self, view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            # The view itself redirects others to the login page, or accepts their token.
            if self.admin_site.has_permission(request):
                self._check(request)
            try:
                if request.method not in SAFE_METHODS:
                    connect_as_owner()
                    if _is_about_template(request, kwargs):
                        text = _("This job belongs to a schedule: change the schedule instead.")
                        return _refuse(request, text)
                return view(request, *args, **kwargs)
            except RedisRefused as error:
                return _refuse(request, str(error))
            except RedisError as error:
                return self._redis_unavailable(request, error)

        return guarded

    def _check(self, request: HttpRequest) -> None:
        safe = request.method in SAFE_METHODS
        if not (self.has_view_permission if safe else self.has_change_permission)(request):
            raise PermissionDenied

    def _redis_unavailable(self, request: HttpRequest, error: RedisError) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Redis is unavailable"),
            "error": error,
        }
        template = "admin/tasks/redis_unavailable.html"
        return TemplateResponse(request, template, context, status=503)


def _is_about_template(request: HttpRequest, kwargs: dict[str, Any]) -> bool:
    """Return whether a request is about a schedule's own job, which only its row controls (R2)."""
    job_ids = [kwargs.get("job_id", ""), *request.POST.getlist("job_ids")]
    return any(is_template(job_id) for job_id in job_ids)


def _refuse(request: HttpRequest, text: str) -> HttpResponse:
    messages.error(request, text)
    return HttpResponseRedirect(reverse("admin:tasks_scheduledtask_changelist"))


if admin.site.is_registered(Dashboard):
    admin.site.unregister(Dashboard)
    admin.site.register(Dashboard, DashboardAdmin)
