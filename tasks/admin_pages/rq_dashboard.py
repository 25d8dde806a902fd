"""django-rq's own pages in the admin: who may see them, and what their buttons do."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import SimpleTemplateResponse, TemplateResponse
from django.templatetags.static import static
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django_rq import cron_views, views
from django_rq.admin import QueueAdmin
from django_rq.cron import get_cron_job_data
from django_rq.models import Dashboard
from django_rq.queues import get_queue_by_index
from redis.exceptions import RedisError
from rq.exceptions import NoSuchJobError

from tasks.access import is_limited
from tasks.admin_pages import rq_reading
from tasks.admin_pages.rq_actions import is_left_to_rq
from tasks.admin_pages.rq_reading import PageJob
from tasks.broker.ownership import RedisRefused, connect_as_owner
from tasks.job_ids import is_template
from tasks.masking import hiding, mask_text
from tasks.models import ScheduledTask
from tasks.registry import masked_arguments, secret_values

View = Callable[..., HttpResponse]
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PREFIX = "django_rq_"
QUEUE_PAGE = "admin:django_rq_jobs"
# Pages that only ask for confirmation: not for people who may not do what they ask.
CONFIRMATIONS = frozenset(
    "clear delete_failed_jobs requeue_all delete_job requeue_job enqueue_job".split()
)
VIEW_ONLY = "tasks/rq_view_only.css"
# django-rq's lists load the admin's script for lists, which looks for texts and elements that they
# don't have, and call it as the jQuery plugin that it no longer is: both throw.
BROKEN_SCRIPTS = re.compile(
    rb"<script[^>]*admin/js/actions\.js[^>]*></script>\s*<script[^>]*>[^<]*\.actions\(\);[^<]*</script>"
)
BOXES = "tasks/rq_boxes.js"


class ShownJob(PageJob):
    """A job as django-rq's pages show it, with its secret arguments masked; its payload isn't."""

    @property  # type: ignore[misc]  # never set
    def args(self) -> Any:
        return masked_arguments(str(self.func_name), list(super().args), super().kwargs)[0]

    @property  # type: ignore[misc]  # never set
    def kwargs(self) -> Any:
        return masked_arguments(str(self.func_name), list(super().args), super().kwargs)[1]

    @property
    def secret_values(self) -> list[str]:
        """The secrets among its arguments; none if its payload can't be read."""
        try:
            return secret_values(str(self.func_name), list(super().args), super().kwargs)
        except Exception:  # whatever a serializer raises; the page then shows no arguments
            return []


def shown_cron_job(job: Any) -> dict[str, Any]:
    """Return what django-rq's page shows of a job of `rqcron`, with its secret arguments masked."""
    data: dict[str, Any] = get_cron_job_data(job)
    args, kwargs = masked_arguments(str(job.func_name), list(job.args or ()), job.kwargs or {})
    return data | {"args": args, "kwargs": kwargs}


rq_reading.install()
views.Job = ShownJob  # type: ignore[attr-defined]
cron_views.get_cron_job_data = shown_cron_job  # type: ignore[assignment, attr-defined]


class DashboardAdmin(QueueAdmin):
    """Queues, workers and jobs: seen and changed by those who may see and change all schedules.

    django-rq alone lets every staff user do everything, and answers with a server error while
    Redis is unavailable.
    """

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._schedules.has_view_permission(request) and not is_limited(request.user)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._schedules.has_change_permission(request) and not is_limited(request.user)

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
            match = request.resolver_match
            page = ((match and match.url_name) or "").removeprefix(PREFIX)
            try:
                if not self.admin_site.has_permission(request):
                    # The view itself redirects to the login page, or accepts a token.
                    return self._masked(view, request, *args, **kwargs)
                self._check(request, page)
                if request.method in SAFE_METHODS:
                    return self._show(request, self._masked(view, request, *args, **kwargs))
                connect_as_owner()
                if _is_about_template(request, kwargs):
                    text = _("This job belongs to a schedule: change the schedule instead.")
                    return _refuse(request, text)
                if is_left_to_rq(request, page, **kwargs):
                    return self._masked(view, request, *args, **kwargs)
            except RedisRefused as error:
                return _refuse(request, str(error))
            except RedisError as error:
                return self._redis_unavailable(request, error)
            return HttpResponseRedirect(reverse(QUEUE_PAGE, args=[kwargs["queue_index"]]))

        return guarded

    def _masked(self, view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return a page without the secrets in the texts of a job, such as its traceback."""
        response = view(request, *args, **kwargs)
        if isinstance(response, SimpleTemplateResponse):
            response.render()
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        with hiding(_secrets_of(kwargs)):
            response.content = mask_text(response.content.decode()).encode()
        return response

    def _check(self, request: HttpRequest, page: str) -> None:
        only_shows = request.method in SAFE_METHODS and page not in CONFIRMATIONS
        allowed = self.has_view_permission if only_shows else self.has_change_permission
        if not allowed(request):
            raise PermissionDenied

    def _show(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Mend the scripts of django-rq's lists, and hide the buttons that the user may not use."""
        if not response.get("Content-Type", "").startswith("text/html"):
            return response
        script = format_html('<script src="{}" defer></script>', static(BOXES)).encode()
        response.content = BROKEN_SCRIPTS.sub(script, response.content)
        if not self.has_change_permission(request):
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


def _secrets_of(kwargs: dict[str, Any]) -> list[str]:
    """Return the secrets among the arguments of the job that a page is about, if it is of one."""
    if "job_id" not in kwargs:
        return []
    queue = get_queue_by_index(kwargs["queue_index"])
    try:
        job = ShownJob.fetch(kwargs["job_id"], queue.connection, queue.serializer)
    except NoSuchJobError:
        return []
    return cast(ShownJob, job).secret_values


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
