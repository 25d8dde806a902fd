"""Calendars in the admin: the dates that schedules exclude, and which schedules use them."""

from contextlib import suppress
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy, ngettext

from tasks import clock
from tasks.admin_pages.base import TasksAdmin, time_column
from tasks.admin_pages.formatting import NONE, one_line
from tasks.admin_pages.forms import CalendarForm
from tasks.admin_pages.limits import SharedAdmin
from tasks.exceptions import SpecError
from tasks.models import Calendar
from tasks.services import CalendarService
from tasks.timing.text import format_dates, number_of_days, parse_dates


@admin.register(Calendar)
class CalendarAdmin(SharedAdmin, TasksAdmin):
    """Calendars: view, add, edit, and delete those that no schedule uses."""

    form = CalendarForm
    list_display = ("name", "days", "next_dates", "used_by", "about")
    search_fields = ("name", "description", "dates")
    readonly_fields = ("used_by", "created_at", "updated_at")

    created_at = time_column("created", gettext_lazy("created"))
    updated_at = time_column("updated", gettext_lazy("updated"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Calendar]:
        return super().get_queryset(request).annotate(users=Count("schedules"))

    def get_fieldsets(self, request: HttpRequest, obj: Calendar | None = None) -> Any:
        shown = ("used_by", "created_at", "updated_at") if obj is not None else ()
        return [(None, {"fields": (*self.form.Meta.fields, *shown)})]

    def save_model(self, request: HttpRequest, obj: Calendar, form: Any, change: bool) -> None:
        CalendarService.save(obj)

    @admin.display(description=gettext_lazy("days"))
    def days(self, calendar: Calendar) -> str:
        try:
            return str(number_of_days(calendar.dates))
        except SpecError as error:  # saved without the service
            return str(error)

    @admin.display(description=gettext_lazy("next"))
    def next_dates(self, calendar: Calendar) -> str:
        today = timezone.localdate(clock.now())
        with suppress(SpecError):
            upcoming = [dates for dates in parse_dates(calendar.dates) if dates[1] >= today]
            return format_dates(upcoming[:1]) or NONE
        return NONE

    @admin.display(description=gettext_lazy("description"))
    def about(self, calendar: Calendar) -> str:
        return one_line(calendar.description) or NONE

    @admin.display(description=gettext_lazy("used by"), ordering="users")
    def used_by(self, calendar: Any) -> SafeString | str:
        if not calendar.users:
            return NONE
        return format_html(
            '<a href="{}?calendar__id__exact={}">{}</a>',
            reverse("admin:tasks_scheduledtask_changelist"),
            calendar.pk,
            ngettext("%d schedule", "%d schedules", calendar.users) % calendar.users,
        )
