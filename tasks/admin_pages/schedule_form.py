"""The pages on which a schedule is added, cloned and edited."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from tasks.admin_pages.call_pages import CallPages
from tasks.admin_pages.conflicts import base_of, version_of
from tasks.admin_pages.forms import ScheduledTaskForm
from tasks.admin_pages.when_preview import preview_of, preview_view, problem_of, warning_of
from tasks.definitions import EDITABLE_FIELDS
from tasks.models import ScheduledTask
from tasks.services import SchedulerService


class SchedulePages(CallPages):
    """Add and edit a schedule; what is due next is shown while it is typed."""

    def get_urls(self) -> list[URLPattern]:
        view = require_http_methods(["GET", "POST"])(self.preview_view)
        name = "tasks_scheduledtask_preview"
        return [path("preview/", self.admin_site.admin_view(view), name=name), *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return what is due next by what is typed; it changes nothing, also when it is a POST."""
        return preview_view(self, request)

    def callback_of(self, request: HttpRequest) -> Any:
        """Return what makes the form's fields of the model's."""
        return partial(self.formfield_for_dbfield, request=request)

    def source_of(self, request: HttpRequest) -> ScheduledTask | None:
        """Return the schedule of which a clone is added, for those who may change it.

        The clone has its secrets, which aren't shown.
        """
        pk = request.POST.get("clone_of") or request.GET.get("clone_of", "")
        source = self.get_object(request, pk) if pk.isdecimal() else None
        return source if source and self.has_change_permission(request, source) else None

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        source = self.source_of(request)
        if source is None:
            return super().get_changeform_initial_data(request)
        initial = {name: getattr(source, name) for name in EDITABLE_FIELDS}
        copy = _("%(name)s (copy)") % {"name": source.name}
        tags = list(source.tags.values_list("pk", flat=True))
        return initial | {"name": copy, "calendar": source.calendar_id, "tags": tags}

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> HttpResponse:
        form = context["adminform"].form
        if isinstance(form, ScheduledTaskForm) and "function" in form.fields:
            shown = form.source if form.source and not form.is_bound else form.instance
            if shown.pk is None and not form.is_bound:
                shown.timezone = form.initial["timezone"]
                shown.cron = form.initial.get("cron") or shown.cron
            context |= {
                "preview": preview_of(shown, problem_of(form) if form.is_bound else ""),
                "preview_url": reverse("admin:tasks_scheduledtask_preview"),
                "may_save_paused": True,
                **_remembered(form),
            }
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: ScheduledTask, form: Any, change: bool) -> None:
        """Save a schedule, paused if that is asked for, and say if nothing will ever be due."""
        SchedulerService.save(obj)
        if "_save_paused" in request.POST and not change:
            SchedulerService.pause(obj)
        if warning := warning_of(obj):
            messages.warning(request, warning)


def _remembered(form: ScheduledTaskForm) -> dict[str, str]:
    """Return what the form keeps of the row as it was when it was opened."""
    if form.instance.pk is None:
        return {}
    if form.is_bound:
        return {name: form.data.get(name, "") for name in ("version", "base")}
    return {"version": version_of(form.instance), "base": base_of(form.instance)}
