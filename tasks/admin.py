"""The admin of schedules, with its actions. The services do the work."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

# These modules register their own pages.
import tasks.admin_pages.calendars
import tasks.admin_pages.overview
import tasks.admin_pages.rq_dashboard
import tasks.admin_pages.runs
import tasks.admin_pages.tags  # noqa: F401
from tasks.admin_pages.external_jobs import ExternalJobsAdmin
from tasks.admin_pages.forms import ScheduledTaskForm
from tasks.admin_pages.health import health_view
from tasks.admin_pages.schedule_form import SchedulePages
from tasks.admin_pages.schedule_list import ScheduleListAdmin
from tasks.admin_pages.schedule_page import SchedulePageAdmin
from tasks.admin_pages.secrets import MASKED_FIELDS, secrets_of_schedule
from tasks.admin_pages.viewer_zone import zone_page
from tasks.admin_pages.when_preview import POLICY_FIELDS
from tasks.models import ScheduledTask


@admin.register(ScheduledTask)
class ScheduledTaskAdmin(SchedulePages, SchedulePageAdmin, ScheduleListAdmin, ExternalJobsAdmin):
    """Schedules: their list and its actions, the page of one, add, edit."""

    form = ScheduledTaskForm
    secret_search_fields = ("description", "note")
    secret_columns = frozenset({*MASKED_FIELDS, "fingerprint", "problem"})
    fields = (
        *("function", "args", "kwargs", "name", "queue", "tags", "description", "note"),
        *("interval", "first", "cron", "timezone"),
        *("repeat", "start", "end", "exclude", "calendar", "jitter"),
        *POLICY_FIELDS,
    )

    def queues_in_use(self, record: ScheduledTask) -> Iterable[str]:
        return [record.queue] if record.is_live else []

    def get_urls(self) -> list[URLPattern]:
        zone = path("zone/", self.admin_site.admin_view(self.zone_view), name="tasks_zone")
        health = path("health/", self.admin_site.admin_view(health_view), name="tasks_health")
        return [zone, health, *super().get_urls()]

    def zone_view(self, request: HttpRequest) -> HttpResponse:
        """Show the form that chooses the viewer's zone, or handle it."""
        return zone_page(request, self.admin_site.each_context(request))

    def secrets_of(self, record: ScheduledTask) -> dict[str, Any]:
        return secrets_of_schedule(record)
