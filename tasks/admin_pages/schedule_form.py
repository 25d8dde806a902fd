"""The pages on which a schedule is added, cloned and edited."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from tasks.access import visible
from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.call_pages import CallPages
from tasks.admin_pages.conflicts import base_of, version_of
from tasks.admin_pages.forms import ScheduledTaskForm
from tasks.admin_pages.links import schedule_page
from tasks.admin_pages.when_preview import (
    preview_of,
    preview_view,
    problem_of,
    usable,
    warning_of,
    with_crowd,
)
from tasks.definitions import EDITABLE_FIELDS
from tasks.models import ScheduledTask, Tag
from tasks.services import SchedulerService
from tasks.tags import tags_named


class SchedulePages(CallPages):
    """Add and edit a schedule; what is due next is shown while it is typed."""

    def get_urls(self) -> list[URLPattern]:
        view = require_http_methods(["GET", "HEAD", "POST"])(self.preview_view)
        name = "tasks_scheduledtask_preview"
        return [path("preview/", self.admin_site.admin_view(view), name=name), *super().get_urls()]

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return what is due next by what is typed; it changes nothing, also when it is a POST."""
        return preview_view(self, request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the form; whoever may only look at the schedule is shown its page instead."""
        schedule = self.get_object(request, unquote(object_id))
        if (
            schedule is not None
            and request.method != "POST"
            and self.has_view_permission(request, schedule)
            and not self.has_change_permission(request, schedule)
        ):
            return HttpResponseRedirect(schedule_page(schedule.pk))
        return super().change_view(request, object_id, form_url, extra_context)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, change, **options)
        form.may_add_tags = self.admin_site.get_model_admin(Tag).has_add_permission(request)
        return form

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **options)
        if db_field.name == "tags":
            # Django's own button to add one can't put it among boxes that are ticked.
            field.widget = getattr(field.widget, "widget", field.widget)
        return field

    def callback_of(self, request: HttpRequest) -> Any:
        """Return what makes the form's fields of the model's."""
        return partial(self.formfield_for_dbfield, request=request)

    def source_of(self, request: HttpRequest) -> ScheduledTask | None:
        """Return the schedule of which a clone is added, for those who may change it.

        The clone has its secrets, which aren't shown.
        """
        pk = request.POST.get("clone_of") or request.GET.get("clone_of", "")
        source = None if number_in(pk) is None else self.get_object(request, pk)
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
            if form.is_bound:
                preview = preview_of(usable(form), problem_of(form))
            else:
                preview = preview_of(shown)
            context |= {
                "preview": with_crowd(
                    preview, shown, visible(request.user, ScheduledTask.objects.all())
                ),
                "preview_url": reverse("admin:tasks_scheduledtask_preview"),
                "may_save_paused": True,
                "page_url": schedule_page(form.instance.pk) if form.instance.pk else "",
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

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the tags, also new ones."""
        super().save_related(request, form, formsets, change)
        form.instance.tags.add(*tags_named(form.cleaned_data.get("new_tags", ())))


def _remembered(form: ScheduledTaskForm) -> dict[str, str]:
    """Return what the form keeps of the row as it was when it was opened."""
    if form.instance.pk is None:
        return {}
    if form.is_bound:
        return {name: form.data.get(name, "") for name in ("version", "base")}
    return {"version": version_of(form.instance), "base": base_of(form.instance)}
