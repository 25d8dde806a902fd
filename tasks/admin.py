"""The admin of schedules, with its actions. The services do the work."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

# These modules register their own pages.
import tasks.admin_pages.calendars
import tasks.admin_pages.rq_dashboard
import tasks.admin_pages.runs  # noqa: F401
from tasks import clock
from tasks.admin_pages.backfill import backfill_page
from tasks.admin_pages.base import RunDisplay, job_link, time_column
from tasks.admin_pages.external_jobs import ExternalJobsAdmin
from tasks.admin_pages.formatting import NONE, timestamp
from tasks.admin_pages.forms import ScheduledTaskForm
from tasks.admin_pages.secrets import MASKED_FIELDS, masked_fields, secrets_of_schedule
from tasks.admin_pages.states import badge, record_badge
from tasks.admin_pages.viewer_zone import zone_page
from tasks.masking import mask_text
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.services import SchedulerService

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


class ScheduleChangeList(ChangeList):
    """Counts the runs of all schedules on the page in a single query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        schedules = list(self.result_list)
        counts: dict[int, Counter[str]] = {schedule.pk: Counter() for schedule in schedules}
        rows = (
            ScheduledTaskInstance.objects.filter(parent__in=counts)
            .order_by()
            .values_list("parent", "status")
            .annotate(Count("pk"))
        )
        for pk, status, count in rows:
            counts[pk][status] = count
        for schedule in schedules:
            schedule.run_counts = counts[schedule.pk]
        self.result_list = schedules


@admin.register(ScheduledTask)
class ScheduledTaskAdmin(ExternalJobsAdmin):
    """Schedules: view, add, edit, run now, pause, resume, cancel, delete."""

    form = ScheduledTaskForm
    inlines = (LatestRuns,)
    list_display = ("name", "status_badge", "when", "next_due", "last_run", "counts", "success")
    list_filter = ("status", "type", "queue", "function", "calendar")
    search_fields = ("name", "function")
    secret_search_fields = ("description", "note")
    secret_columns = frozenset({*MASKED_FIELDS, "fingerprint", "problem"})
    actions = ("run_now", "pause", "resume", "cancel")
    buttons = actions
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
            {"fields": ("function", "args", "kwargs", "name", "queue", "description")},
        ),
        (
            gettext_lazy("When"),
            {
                "description": gettext_lazy(
                    "Give an interval, or a cron expression, or only a first time to run once."
                ),
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
                "fields": (
                    "overlap",
                    "catch_up",
                    "start_deadline",
                    "timeout",
                    "isolated",
                    "retries",
                    "retry_delay",
                    "on_disconnect",
                    "keep_runs",
                    "keep_days",
                ),
            },
        ),
    )

    created_at = time_column("created", gettext_lazy("created"))
    updated_at = time_column("updated", gettext_lazy("updated"))

    def queues_in_use(self, record: ScheduledTask | None) -> Iterable[str]:
        if record is None:
            live = ScheduledTask.objects.live().order_by()
            return live.values_list("queue", flat=True).distinct()
        return [record.queue] if record.is_live else []

    def refresh_ms(self, record: ScheduledTask) -> int:
        return REFRESH_SCHEDULE_MS

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ScheduleChangeList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.backfill_view)
        page = path("<int:pk>/backfill/", view, name="tasks_scheduledtask_backfill")
        zone = path("zone/", self.admin_site.admin_view(self.zone_view), name="tasks_zone")
        return [page, zone, *super().get_urls()]

    def zone_view(self, request: HttpRequest) -> HttpResponse:
        """Show the form that chooses the viewer's zone, or handle it."""
        return zone_page(request, self.admin_site.each_context(request))

    def backfill_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the form that requests runs of a past range, or handle it."""
        return backfill_page(self, request, pk)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        schedule = context.get("original")
        context["history"] = [] if schedule is None else history(schedule)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledTask]:
        schedules = ScheduledTask.objects.with_last_run().select_related("calendar")
        return schedules.order_by("name", "pk")

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
        more = {"fields": ("note", *origin, "job", "created_at", "updated_at")}
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

    def save_model(self, request: HttpRequest, obj: ScheduledTask, form: Any, change: bool) -> None:
        SchedulerService.save(obj)

    def get_deleted_objects(self, objs: Iterable[ScheduledTask], request: HttpRequest) -> Any:
        """Name the schedules, but only count their runs: there may be very many."""
        schedules = list(objs)
        runs = ScheduledTaskInstance.objects.filter(
            parent__in=[schedule.pk for schedule in schedules]
        )
        counts = {
            self.opts.verbose_name_plural: len(schedules),
            ScheduledTaskInstance._meta.verbose_name_plural: runs.count(),
        }
        allowed = all(self.has_delete_permission(request, schedule) for schedule in schedules)
        denied = set() if allowed else {self.opts.verbose_name}
        return [schedule.name for schedule in schedules], counts, denied, []

    # Actions

    @admin.action(description=gettext_lazy("Run now"), permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        self._each(
            request,
            queryset,
            SchedulerService.run_now,
            _("Manual run requested."),
            lambda n: ngettext("%d run was enqueued.", "%d runs were enqueued.", n) % n,
        )

    @admin.action(description=gettext_lazy("Pause"), permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        note = request.POST.get("note", "").replace("\0", "").strip()
        self._each(
            request,
            queryset,
            lambda schedule: SchedulerService.pause(schedule, note),
            _("Paused. %(note)s") % {"note": note},
            lambda n: ngettext("%d schedule was paused.", "%d schedules were paused.", n) % n,
        )

    @admin.action(description=gettext_lazy("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        self._each(
            request,
            queryset,
            SchedulerService.resume,
            _("Resumed."),
            lambda n: ngettext("%d schedule was resumed.", "%d schedules were resumed.", n) % n,
        )

    @admin.action(
        description=gettext_lazy("Cancel (keeps the schedule and its runs)"),
        permissions=["change"],
    )
    def cancel(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        self._each(
            request,
            queryset,
            SchedulerService.cancel,
            _("Cancelled."),
            lambda n: ngettext("%d schedule was cancelled.", "%d schedules were cancelled.", n) % n,
        )

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
                format_html('<span title="{}">{}</span>', mask_text(schedule.problem), mark)
            )
        return format_html_join(" ", "{}", [[part] for part in parts])

    @admin.display(description=gettext_lazy("paused"))
    def paused(self, schedule: ScheduledTask) -> SafeString:
        return format_html(
            '{} <span class="quiet">{}</span>',
            timestamp(schedule.paused_at),
            mask_text(schedule.note),
        )

    @admin.display(description=gettext_lazy("last run"), ordering="last_run_started")
    def last_run(self, schedule: Any) -> SafeString | str:
        if schedule.last_run_id is None:
            return NONE
        status = ScheduledTaskInstance.Status(schedule.last_run_status)
        return format_html(
            '<a href="{}">{}</a> {}',
            reverse("admin:tasks_scheduledtaskinstance_change", args=[schedule.last_run_id]),
            badge(status, str(status.label)),
            timestamp(schedule.last_run_started),
        )

    @admin.display(description=gettext_lazy("runs"))
    def counts(self, schedule: Any) -> SafeString | str:
        return count_links(schedule, schedule.run_counts)

    @admin.display(description=gettext_lazy("success"))
    def success(self, schedule: Any) -> str:
        return success_rate(schedule.run_counts)

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
            badge(status.value, f"{counts[status.value]} {status.label}"),
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
