"""The admin of schedules, with its actions. The services do the work."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

# These modules register their own pages.
import tasks.admin_pages.calendars
import tasks.admin_pages.overview
import tasks.admin_pages.rq_dashboard
import tasks.admin_pages.runs
import tasks.admin_pages.tags  # noqa: F401
from tasks import clock
from tasks.admin_pages.base import RunDisplay, job_link, time_column
from tasks.admin_pages.external_jobs import ExternalJobsAdmin
from tasks.admin_pages.formatting import NONE, timestamp
from tasks.admin_pages.forms import ScheduledTaskForm
from tasks.admin_pages.health import health_view
from tasks.admin_pages.schedule_form import SchedulePages
from tasks.admin_pages.schedule_list import ScheduleListAdmin
from tasks.admin_pages.schedule_page import SchedulePageAdmin
from tasks.admin_pages.secrets import MASKED_FIELDS, masked_fields, secrets_of_schedule
from tasks.admin_pages.states import badge, how_many, record_badge
from tasks.admin_pages.viewer_zone import zone_page
from tasks.admin_pages.when_preview import POLICY_FIELDS
from tasks.masking import mask_text
from tasks.models import ScheduledTask, ScheduledTaskInstance

LATEST_RUNS = LATEST_PERIODS = 20
REFRESH_SCHEDULE_MS = 3_000


class LatestRuns(RunDisplay, admin.TabularInline):
    """The newest runs of a schedule, read-only."""

    model = ScheduledTaskInstance
    verbose_name_plural = gettext_lazy("Latest runs")
    fields = ("run", "status_badge", "due_at", "started_at", "took", "outcome")
    readonly_fields = fields
    template = "admin/tasks/scheduledtask/latest_runs.html"
    extra = max_num = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledTaskInstance]:
        """Return only the newest: a schedule can have any number of runs."""
        match = request.resolver_match
        pk = match.kwargs.get("object_id") if match else None
        runs = super().get_queryset(request).select_related("parent")
        if pk is None or not str(pk).isdecimal():
            return runs.none()
        newest = runs.filter(parent_id=int(pk)).order_by("-id").values_list("id", flat=True)
        return runs.filter(id__in=list(newest[:LATEST_RUNS]))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("run"))
    def run(self, run: ScheduledTaskInstance) -> SafeString:
        url = reverse("admin:tasks_scheduledtaskinstance_change", args=[run.pk])
        return format_html('<a href="{}">#{}</a>', url, run.pk)


@admin.register(ScheduledTask)
class ScheduledTaskAdmin(SchedulePages, SchedulePageAdmin, ScheduleListAdmin, ExternalJobsAdmin):
    """Schedules: their list and its actions, the page of one, add, edit."""

    form = ScheduledTaskForm
    inlines = (LatestRuns,)
    secret_search_fields = ("description", "note")
    secret_columns = frozenset({*MASKED_FIELDS, "fingerprint", "problem"})
    readonly_fields = (
        "status_badge",
        "problem",
        "paused",
        "when",
        "next_due",
        "all_counts",
        "requested_runs",
        "code_list",
        "job",
        "created_at",
        "updated_at",
    )
    fieldsets = (
        (
            gettext_lazy("What"),
            {
                "fields": (
                    "function",
                    "args",
                    "kwargs",
                    "name",
                    "queue",
                    "tags",
                    "description",
                    "note",
                )
            },
        ),
        (
            gettext_lazy("When"),
            {
                "fields": ("interval", "first", "cron", "timezone"),
            },
        ),
        (
            gettext_lazy("Limits"),
            {
                "classes": ["collapse"],
                "fields": ("repeat", "start", "end", "exclude", "calendar", "jitter"),
            },
        ),
        (
            gettext_lazy("Policies"),
            {
                "classes": ["collapse"],
                "fields": POLICY_FIELDS,
            },
        ),
    )

    created_at = time_column("created", gettext_lazy("created"))
    updated_at = time_column("updated", gettext_lazy("updated"))

    def queues_in_use(self, record: ScheduledTask) -> Iterable[str]:
        return [record.queue] if record.is_live else []

    def refresh_ms(self, record: ScheduledTask) -> int:
        return REFRESH_SCHEDULE_MS

    def get_urls(self) -> list[URLPattern]:
        zone = path("zone/", self.admin_site.admin_view(self.zone_view), name="tasks_zone")
        health = path("health/", self.admin_site.admin_view(health_view), name="tasks_health")
        return [zone, health, *super().get_urls()]

    def zone_view(self, request: HttpRequest) -> HttpResponse:
        """Show the form that chooses the viewer's zone, or handle it."""
        return zone_page(request, self.admin_site.each_context(request))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        schedule = context.get("original")
        context["history"] = [] if schedule is None else history(schedule)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: ScheduledTask | None = None) -> Any:
        """Add the state of a saved schedule before its form, and its origin after it."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        state = ["status_badge", "when", "next_due", "all_counts"]
        if obj.problem:
            state.insert(1, "problem")
        if obj.paused_at is not None:
            state.insert(1, "paused")
        if obj.requests.exists():
            state.append("requested_runs")
        origin = ["code_list"] if obj.list_owner is not None else []
        more = {"fields": (*origin, "job", "created_at", "updated_at")}
        return [(None, {"fields": state}), *fieldsets, (_("More"), more)]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> ScheduledTask | None:
        """Return a schedule as the user may see it; the form of those who may change it masks."""
        schedule = super().get_object(request, object_id, from_field)
        if schedule is not None and not self.has_change_permission(request, schedule):
            for field, value in masked_fields(schedule).items():
                setattr(schedule, field, value)
        return schedule

    def secrets_of(self, record: ScheduledTask) -> dict[str, Any]:
        return secrets_of_schedule(record)

    def get_inlines(self, request: HttpRequest, obj: ScheduledTask | None) -> Any:
        return self.inlines if obj is not None else ()

    # Columns and rows

    @admin.display(description=gettext_lazy("when"))
    def when(self, schedule: ScheduledTask) -> str:
        return schedule.when_in_words()

    @admin.display(description=gettext_lazy("next due"))
    def next_due(self, schedule: ScheduledTask) -> SafeString | str:
        return timestamp(schedule.next_due(clock.now()))

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def status_badge(self, schedule: ScheduledTask) -> SafeString:
        parts = [record_badge(schedule)]
        if reason := schedule.end_reason():
            parts.append(format_html('<span class="quiet">{}</span>', reason))
        if schedule.problem:
            mark = badge("problem", _("problem"))
            parts.append(
                format_html(
                    '<span title="{}">{}</span>', mask_text(schedule.problem_in_words()), mark
                )
            )
        return format_html_join(" ", "{}", [[part] for part in parts])

    @admin.display(description=gettext_lazy("paused"))
    def paused(self, schedule: ScheduledTask) -> SafeString:
        return format_html(
            '{} <span class="quiet">{}</span>',
            timestamp(schedule.paused_at),
            mask_text(schedule.note),
        )

    @admin.display(description=gettext_lazy("runs"))
    def all_counts(self, schedule: ScheduledTask) -> SafeString:
        rows = schedule.runs.order_by().values_list("status").annotate(Count("pk"))
        counts = Counter(dict(rows))
        return format_html(
            "{} · {}: {}", count_links(schedule, counts), _("success"), success_rate(counts)
        )

    @admin.display(description=gettext_lazy("requested"))
    def requested_runs(self, schedule: ScheduledTask) -> SafeString:
        """Show how many requested runs have not started yet, and which backfill runs next."""
        number = schedule.requests.count()
        following = schedule.requests.filter(due__isnull=False).order_by("due").first()
        return format_html(
            "{}{}",
            ngettext("%d run waiting", "%d runs waiting", number) % number,
            format_html(", {} {}", _("next"), timestamp(following.due)) if following else "",
        )

    @admin.display(description=gettext_lazy("list in code"))
    def code_list(self, schedule: ScheduledTask) -> str:
        """Name the list that the schedule is on: when it is synced, changes made here go."""
        text = _("%(owner)s: what is changed here lasts until the list is synced again")
        return text % {"owner": schedule.list_owner or _("without an owner")}

    @admin.display(description=gettext_lazy("job"))
    def job(self, schedule: ScheduledTask) -> SafeString | str:
        return job_link(schedule.job_id, schedule.queue, schedule.is_live)


def history(schedule: ScheduledTask) -> list[tuple[SafeString | str, ...]]:
    """Return the earlier periods of a schedule, newest first: kind, start, end, spec or note."""
    return [
        (
            badge(period.kind, period.get_kind_display()),
            timestamp(period.start),
            timestamp(period.end),
            mask_text(period.in_words()),
        )
        for period in schedule.periods.all()[:LATEST_PERIODS]
    ]


def success_rate(counts: Counter[str]) -> str:
    """Show the share of finished runs among those that finished or failed."""
    finished = counts[ScheduledTaskInstance.Status.FINISHED]
    ended = finished + counts[ScheduledTaskInstance.Status.FAILED]
    return f"{100 * finished / ended:.0f}%" if ended else NONE


def count_links(schedule: ScheduledTask, counts: Counter[str]) -> SafeString | str:
    """Show the number of runs of each status, as links to those runs."""
    url = reverse("admin:tasks_scheduledtaskinstance_changelist")
    links = [
        (
            url,
            schedule.pk,
            status.value,
            badge(status.value, how_many(counts[status.value], status.label)),
        )
        for status in ScheduledTaskInstance.Status
        if counts[status.value]
    ]
    return (
        format_html_join(
            " ",
            '<a class="count" href="{}?schedule={}&status__exact={}">{}</a>',
            links,
        )
        or NONE
    )
