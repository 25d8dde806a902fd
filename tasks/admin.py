"""The admin: what is scheduled, what ran, and the actions on both. The services do the work."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from django_rq.settings import get_queues_map

from tasks import services
from tasks.exceptions import TasksError
from tasks.forms import ScheduledTaskForm, TaskForm
from tasks.models import RunRecord, ScheduledTask, ScheduledTaskInstance, Task
from tasks.services import SchedulerService, TaskService

NONE = "–"
LATEST_RUNS = 20


def badge(status: str, text: str) -> SafeString:
    """Show a status as a coloured label."""
    return format_html('<span class="status status-{}">{}</span>', status, text)


def short_time(span: timedelta | None) -> str:
    """Show a time span in the unit that fits: 12 ms, 3.4 s, 5 min 6 s, 2 h 3 min."""
    if span is None:
        return NONE
    seconds = span.total_seconds()
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if abs(minutes) < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def pre(text: str) -> SafeString | str:
    """Show longer text as it is, in a box that scrolls."""
    return format_html('<pre class="text">{}</pre>', text) if text else NONE


def pretty_json(value: Any) -> SafeString | str:
    """Show a JSON value, indented."""
    return NONE if value is None else pre(json.dumps(value, indent=2, ensure_ascii=False))


def job_link(record: RunRecord, queue: str) -> SafeString | str:
    """Link to django-rq's page for the job of a record; Redis forgets ended jobs after a day."""
    index = get_queues_map().get(queue)
    if index is None:
        return record.run_job_id
    url = reverse("admin:django_rq_job_detail", args=[index, record.run_job_id])
    return format_html('<a href="{}">{}</a>', url, record.run_job_id)


class LiveMixin(admin.ModelAdmin):
    """Shows how a record goes on while it runs: progress, message and log, without a reload."""

    class Media:
        css: ClassVar = {"all": ["tasks/admin.css"]}
        js: ClassVar = ["tasks/live.js"]

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_live"
        view = self.admin_site.admin_view(self.live_view)
        return [path("<int:pk>/live/", view, name=name), *super().get_urls()]

    def live_view(self, request: HttpRequest, pk: int) -> JsonResponse:
        """Return what changes while a record runs."""
        record: RunRecord = get_object_or_404(self.model, pk=pk)
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        return JsonResponse(
            {
                "status": record.status,
                "progress": record.progress,
                "message": record.progress_message,
                "log": record.log,
            }
        )

    @admin.display(description=gettext_lazy("progress"))
    def progress_bar(self, record: RunRecord) -> SafeString:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_live"
        return format_html(
            '<div class="live" data-live="{}" data-status="{}"><progress max="100" value="{}">'
            '</progress> <span class="percent">{} %</span> <span class="message">{}</span></div>',
            reverse(name, args=[record.pk]),
            record.status,
            record.progress,
            record.progress,
            record.progress_message,
        )

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def status_badge(self, record: Any) -> SafeString:
        return badge(record.status, record.get_status_display())

    @admin.display(description=gettext_lazy("duration"))
    def took(self, record: RunRecord) -> str:
        return short_time(record.duration)

    @admin.display(description=gettext_lazy("log"))
    def log_text(self, record: RunRecord) -> SafeString:
        return format_html('<pre class="text" data-live-log>{}</pre>', record.log)

    @admin.display(description=gettext_lazy("traceback"))
    def traceback_text(self, record: RunRecord) -> SafeString | str:
        return pre(record.traceback)

    @admin.display(description=gettext_lazy("result"))
    def result_text(self, record: RunRecord) -> SafeString | str:
        return pretty_json(record.result)

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, record: RunRecord) -> str:
        """Say in a line what came of it: the reason, or else the result."""
        text = record.reason
        if not text and record.result is not None:
            text = json.dumps(record.result, ensure_ascii=False)
        return text if len(text) <= 120 else f"{text[:119]}…"


class LatestRuns(admin.TabularInline):
    """The newest runs of a schedule, read-only."""

    model = ScheduledTaskInstance
    verbose_name_plural = gettext_lazy("Latest runs")
    fields = ("link", "state", "due", "started", "took", "outcome")
    readonly_fields = fields
    template = "admin/tasks/scheduledtask/latest_runs.html"
    extra = max_num = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledTaskInstance]:
        """Keep to the newest: a schedule can have any number of runs."""
        match = request.resolver_match
        pk = match.kwargs.get("object_id") if match else None
        runs = super().get_queryset(request)
        if pk is None or not str(pk).isdigit():
            return runs.none()
        newest = runs.filter(parent_id=int(pk)).order_by("-id").values_list("id", flat=True)
        return runs.filter(id__in=list(newest[:LATEST_RUNS]))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=gettext_lazy("run"))
    def link(self, run: ScheduledTaskInstance) -> SafeString:
        url = reverse("admin:tasks_scheduledtaskinstance_change", args=[run.pk])
        return format_html('<a href="{}">#{}</a>', url, run.pk)

    @admin.display(description=gettext_lazy("status"))
    def state(self, run: ScheduledTaskInstance) -> SafeString:
        return badge(run.status, run.get_status_display())

    @admin.display(description=gettext_lazy("duration"))
    def took(self, run: ScheduledTaskInstance) -> str:
        return short_time(run.duration)

    outcome = LiveMixin.outcome


class ScheduleChangeList(ChangeList):
    """Counts the runs of all schedules on the page in one query."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        schedules = list(self.result_list)
        counts: dict[int, Counter[str]] = {task.pk: Counter() for task in schedules}
        rows = (
            ScheduledTaskInstance.objects.filter(parent__in=counts)
            .order_by()
            .values_list("parent", "status")
            .annotate(Count("pk"))
        )
        for pk, status, count in rows:
            counts[pk][status] = count
        for task in schedules:
            task.run_counts = counts[task.pk]
        self.result_list = schedules


def success_rate(counts: Counter[str]) -> str:
    """Show which share of the runs that ended by themselves finished."""
    ended = counts["finished"] + counts["failed"]
    return f"{100 * counts['finished'] / ended:.0f} %" if ended else NONE


@admin.register(ScheduledTask)
class ScheduledTaskAdmin(admin.ModelAdmin):
    """Schedules: view, add, edit, run now, pause, resume, cancel, delete."""

    form = ScheduledTaskForm
    change_form_template = "admin/tasks/scheduledtask/change_form.html"
    change_list_template = "admin/tasks/scheduledtask/change_list.html"
    inlines = (LatestRuns,)
    list_display = ("name", "when", "next_due", "status_badge", "last_run", "counts", "success")
    list_filter = ("status", "type", "queue", "function")
    search_fields = ("name", "function", "description", "note")
    actions = ("run_now", "pause", "resume", "cancel")
    list_per_page = 50
    show_full_result_count = False
    readonly_fields = (
        "status_badge",
        "problem_text",
        "when",
        "next_due",
        "all_counts",
        "job_id",
        "paused_at",
        "created",
        "updated",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "status_badge",
                    "problem_text",
                    "when",
                    "next_due",
                    "all_counts",
                )
            },
        ),
        (
            gettext_lazy("What"),
            {"fields": ("name", "function", "args", "kwargs", "queue", "description")},
        ),
        (
            gettext_lazy("When: a cron expression, or a first time with or without an interval"),
            {
                "fields": (
                    ("cron", "timezone"),
                    "first",
                    "interval",
                    "repeat",
                    "start",
                    "end",
                )
            },
        ),
        (
            gettext_lazy("Policies"),
            {
                "fields": (
                    ("overlap", "catch_up"),
                    ("start_deadline", "timeout"),
                    ("retries", "retry_delay"),
                    ("keep_runs", "keep_days"),
                )
            },
        ),
        (gettext_lazy("More"), {"fields": ("note", "job_id", "paused_at", "created", "updated")}),
    )

    class Media:
        css: ClassVar = {"all": ["tasks/admin.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ScheduleChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledTask]:
        return ScheduledTask.objects.with_last_run().order_by("name", "pk")

    def get_fieldsets(self, request: HttpRequest, obj: ScheduledTask | None = None) -> Any:
        """Leave out, while adding, what only a saved schedule has."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None:
            return fieldsets
        last_title, _options = fieldsets[-1]
        return [*fieldsets[1:-1], (last_title, {"fields": ("note",)})]

    def get_inlines(self, request: HttpRequest, obj: ScheduledTask | None) -> Any:
        return self.inlines if obj is not None else ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.act_view))
        act = path("<int:pk>/act/<slug:action>/", view, name="tasks_scheduledtask_act")
        return [act, *super().get_urls()]

    def save_model(
        self, request: HttpRequest, obj: ScheduledTask, form: Any, change: bool
    ) -> None:
        SchedulerService.save(obj)
        self._warn(request, [obj])

    def _warn(self, request: HttpRequest, schedules: Iterable[ScheduledTask]) -> None:
        """Say what keeps schedules from running now: Redis away, or no worker."""
        if services.reachable_redis() is None:
            text = _("Redis is away: this is saved and takes effect when Redis is back.")
            messages.warning(request, text)
            return
        unserved = services.queues_without_worker() & {task.queue for task in schedules}
        for queue in sorted(unserved):
            messages.warning(request, no_worker(queue))

    # Actions, from the list and from the detail page

    def act_view(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Do one of the actions on one schedule, and go back to its page."""
        task = get_object_or_404(ScheduledTask, pk=pk)
        if action not in self.actions:
            return HttpResponse(status=404)
        if not self.has_change_permission(request, task):
            raise PermissionDenied
        getattr(self, action)(request, ScheduledTask.objects.filter(pk=pk))
        return HttpResponseRedirect(reverse("admin:tasks_scheduledtask_change", args=[pk]))

    def _each(
        self,
        request: HttpRequest,
        schedules: QuerySet[ScheduledTask],
        work: Callable[[ScheduledTask], Any],
        done: Callable[[int], str],
    ) -> list[ScheduledTask]:
        """Do something with each schedule that the user may change, and say what came of it."""
        changed = []
        for task in schedules:
            if not self.has_change_permission(request, task):
                messages.error(request, _("You may not change “%s”.") % task.name)
                continue
            try:
                work(task)
            except TasksError as error:
                messages.error(request, str(error))
            else:
                changed.append(task)
        if changed:
            messages.success(request, done(len(changed)))
        return changed

    @admin.action(description=gettext_lazy("Run now"), permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        changed = self._each(
            request,
            queryset,
            SchedulerService.run_now,
            lambda n: ngettext("%d run is on its queue.", "%d runs are on their queues.", n) % n,
        )
        if changed:
            self._warn(request, changed)

    @admin.action(description=gettext_lazy("Pause"), permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        note = request.POST.get("note", "").strip()
        self._each(
            request,
            queryset,
            lambda task: SchedulerService.pause(task, note),
            lambda n: ngettext("%d schedule is paused.", "%d schedules are paused.", n) % n,
        )

    @admin.action(description=gettext_lazy("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        changed = self._each(
            request,
            queryset,
            SchedulerService.resume,
            lambda n: ngettext("%d schedule is resumed.", "%d schedules are resumed.", n) % n,
        )
        if changed:
            self._warn(request, changed)

    @admin.action(
        description=gettext_lazy("Cancel (keeps the schedule and its runs)"),
        permissions=["change"],
    )
    def cancel(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        self._each(
            request,
            queryset,
            SchedulerService.cancel,
            lambda n: ngettext("%d schedule is cancelled.", "%d schedules are cancelled.", n) % n,
        )

    # Columns

    @admin.display(description=gettext_lazy("when"))
    def when(self, task: ScheduledTask) -> str:
        return task.when_in_words()

    @admin.display(description=gettext_lazy("next due"), empty_value=NONE)
    def next_due(self, task: ScheduledTask) -> Any:
        return task.next_due(timezone.now())

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def status_badge(self, task: ScheduledTask) -> SafeString:
        label = badge(task.status, task.get_status_display())
        if not task.problem:
            return label
        return format_html(
            '{} <span class="status status-problem" title="{}">{}</span>',
            label,
            task.problem,
            _("problem"),
        )

    @admin.display(description=gettext_lazy("problem"), empty_value=NONE)
    def problem_text(self, task: ScheduledTask) -> str | None:
        return task.problem or None

    @admin.display(description=gettext_lazy("last run"))
    def last_run(self, task: Any) -> SafeString | str:
        if task.last_run_id is None:
            return NONE
        url = reverse("admin:tasks_scheduledtaskinstance_change", args=[task.last_run_id])
        status = ScheduledTaskInstance.Status(task.last_run_status)
        started = timezone.localtime(task.last_run_started).strftime("%m-%d %H:%M:%S")
        return format_html(
            '<a class="last-run" href="{}">{} {}</a>', url, badge(status, status.label), started
        )

    @admin.display(description=gettext_lazy("runs"))
    def counts(self, task: Any) -> SafeString:
        return count_links(task, task.run_counts)

    @admin.display(description=gettext_lazy("success"))
    def success(self, task: Any) -> str:
        return success_rate(task.run_counts)

    @admin.display(description=gettext_lazy("runs"))
    def all_counts(self, task: ScheduledTask) -> SafeString:
        rows = task.runs.order_by().values_list("status").annotate(Count("pk"))
        counts = Counter(dict(rows))
        return format_html(
            "{} · {} {}", count_links(task, counts), success_rate(counts), _("success")
        )


def count_links(task: ScheduledTask, counts: Counter[str]) -> SafeString | str:
    """Show how many runs have which status, each a link to those runs."""
    url = reverse("admin:tasks_scheduledtaskinstance_changelist")
    links = [
        (url, task.pk, status.value, status.value, counts[status.value], status.label)
        for status in ScheduledTaskInstance.Status
        if counts[status.value]
    ]
    return (
        format_html_join(
            " ",
            '<a class="count" href="{}?parent__id__exact={}&status__exact={}">'
            '<span class="dot status-{}"></span>{} {}</a>',
            links,
        )
        or NONE
    )


def no_worker(queue: str) -> str:
    """Say that nobody serves a queue, and what to do."""
    return _(
        "No worker serves the queue “%(queue)s” now: its runs wait until one is started "
        "(manage.py rqworker %(queue)s)."
    ) % {"queue": queue}


@admin.register(ScheduledTaskInstance)
class ScheduledTaskInstanceAdmin(LiveMixin):
    """Runs: what happened, read-only."""

    list_display = ("name", "status_badge", "due", "started", "late", "took", "outcome")
    list_filter = ("status", ("parent", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("parent",)
    search_fields = ("name", "reason")
    date_hierarchy = "created"
    list_per_page = 50
    show_full_result_count = False
    actions = None
    fieldsets = (
        (None, {"fields": ("schedule", "status_badge", "progress_bar", "reason")}),
        (
            gettext_lazy("When"),
            {"fields": ("due", "requested", "started", "ended", "late", "took")},
        ),
        (
            gettext_lazy("What happened"),
            {"fields": ("result_text", "log_text", "exception_class", "traceback_text")},
        ),
        (gettext_lazy("Where"), {"fields": ("worker_name", "attempt", "job")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [field for _title, options in self.fieldsets for field in options["fields"]]

    @admin.display(description=gettext_lazy("schedule"))
    def schedule(self, run: ScheduledTaskInstance) -> SafeString:
        url = reverse("admin:tasks_scheduledtask_change", args=[run.parent_id])
        return format_html('<a href="{}">{}</a>', url, run.name)

    @admin.display(description=gettext_lazy("lateness"))
    def late(self, run: ScheduledTaskInstance) -> str:
        return short_time(run.lateness)

    @admin.display(description=gettext_lazy("job"))
    def job(self, run: ScheduledTaskInstance) -> SafeString | str:
        return job_link(run, run.parent.queue)


@admin.register(Task)
class TaskAdmin(LiveMixin):
    """Background calls: enqueue one, watch it, cancel it."""

    form = TaskForm
    change_form_template = "admin/tasks/task/change_form.html"
    list_display = ("name", "status_badge", "created", "started", "took", "outcome")
    list_filter = ("status", "function", "queue")
    search_fields = ("name", "reason", "job_id")
    list_per_page = 50
    show_full_result_count = False
    actions = ("cancel",)
    fieldsets = (
        (None, {"fields": ("status_badge", "progress_bar", "reason")}),
        (gettext_lazy("What"), {"fields": ("function", "args", "kwargs", "queue")}),
        (
            gettext_lazy("When"),
            {"fields": ("created", "reserved_for", "started", "ended", "took")},
        ),
        (
            gettext_lazy("What happened"),
            {"fields": ("result_text", "log_text", "exception_class", "traceback_text")},
        ),
        (gettext_lazy("Where"), {"fields": ("worker_name", "job")}),
    )
    add_fieldsets = ((None, {"fields": ("function", "args", "kwargs", "reserved_for")}),)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fieldsets if obj is not None else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return ()
        return [field for _title, options in self.fieldsets for field in options["fields"]]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.cancel_view))
        return [path("<int:pk>/cancel/", view, name="tasks_task_cancel"), *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        """Enqueue a new call; one that exists isn't changed."""
        if change:
            return
        if obj.reserved_for is None:
            made = TaskService.enqueue_task(obj.function, *obj.args, **obj.kwargs)
        else:
            made = TaskService.reserve_task(
                obj.reserved_for, obj.function, *obj.args, **obj.kwargs
            )
        obj.__dict__.update(made.__dict__)
        if made.queue in services.queues_without_worker():
            messages.warning(request, no_worker(made.queue))

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Cancel one call, and go back to its page."""
        task = get_object_or_404(Task, pk=pk)
        if not self.has_change_permission(request, task):
            raise PermissionDenied
        self.cancel(request, Task.objects.filter(pk=pk))
        return HttpResponseRedirect(reverse("admin:tasks_task_change", args=[pk]))

    @admin.action(description=gettext_lazy("Cancel"), permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        cancelled = 0
        for task in queryset:
            try:
                TaskService.cancel_task(task)
            except TasksError as error:
                messages.error(request, str(error))
            else:
                cancelled += 1
        if cancelled:
            text = ngettext("%d call is cancelled.", "%d calls are cancelled.", cancelled)
            messages.success(request, text % cancelled)

    @admin.display(description=gettext_lazy("job"))
    def job(self, task: Task) -> SafeString | str:
        return job_link(task, task.queue)
