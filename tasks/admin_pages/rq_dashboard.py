"""django-rq's own pages in the admin: who may see them, and what their buttons do."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.templatetags.static import static
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django_rq.admin import QueueAdmin
from django_rq.models import Dashboard
from redis.exceptions import RedisError

from tasks.admin_pages.rq_actions import is_left_to_rq
from tasks.job_ids import is_template
from tasks.models import ScheduledTask

View = Callable[..., HttpResponse]
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PREFIX = "django_rq_"
QUEUE_PAGE = "admin:django_rq_jobs"
# Pages that only ask for confirmation: not for people who may not do what they ask.
CONFIRMATIONS = frozenset(
    "clear delete_failed_jobs requeue_all delete_job requeue_job enqueue_job".split()
)
VIEW_ONLY = "tasks/rq_view_only.css"


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
            if not self.admin_site.has_permission(request):
                return view(request, *args, **kwargs)
            page = ((request.resolver_match and request.resolver_match.url_name) or "")[
                len(PREFIX) :
            ]
            self._check(request, page)
            try:
                if request.method in SAFE_METHODS:
                    return self._show(request, view(request, *args, **kwargs))
                if _is_about_template(request, kwargs):
                    return _refuse(request)
                if is_left_to_rq(request, page, **kwargs):
                    return view(request, *args, **kwargs)
            except RedisError as error:
                return self._redis_unavailable(request, error)
            return HttpResponseRedirect(reverse(QUEUE_PAGE, args=[kwargs["queue_index"]]))

        return guarded

    def _check(self, request: HttpRequest, page: str) -> None:
        only_shows = request.method in SAFE_METHODS and page not in CONFIRMATIONS
        allowed = self.has_view_permission if only_shows else self.has_change_permission
        if not allowed(request):
            raise PermissionDenied

    def _show(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Hide django-rq's buttons from people who may not use them."""
        is_page = response.get("Content-Type", "").startswith("text/html")
        if is_page and not self.has_change_permission(request):
            link = format_html('<link rel="stylesheet" href="{}"></head>', static(VIEW_ONLY))
            response.content = response.content.replace(b"</head>", link.encode(), 1)
        return response

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


def _refuse(request: HttpRequest) -> HttpResponse:
    messages.error(request, _("This job belongs to a schedule: change the schedule instead."))
    return HttpResponseRedirect(reverse("admin:tasks_scheduledtask_changelist"))


if admin.site.is_registered(Dashboard):
    admin.site.unregister(Dashboard)
    admin.site.register(Dashboard, DashboardAdmin)
