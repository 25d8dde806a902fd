"""The admin: what is scheduled, what ran, and the actions on both. The services do the work."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.db.models import Count, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST
from django_rq.settings import get_queues_map
from redis.exceptions import RedisError

from tasks import dashboard, services  # noqa: F401  (the dashboard registers itself)
from tasks.capture import escape
from tasks.display import (
    NONE,
    badge,
    box,
    call,
    moment,
    one_line,
    pretty_json,
    progress_bar,
    short_time,
)
from tasks.exceptions import NotPossible, TasksError
from tasks.forms import ScheduledTaskForm, TaskForm
from tasks.job import RESULT_TTL
from tasks.leadership import LEADER_KEY
from tasks.models import RunRecord, ScheduledTask, ScheduledTaskInstance, Task
from tasks.services import SchedulerService, TaskService

LATEST_RUNS = 20
SCHEDULES_OFFERED = 20
# How often an open page looks for news, in milliseconds.
LIVE_RECORD = 1_000
LIVE_SCHEDULE = 3_000


def obstacles(queues: Iterable[str]) -> list[str]:
    """Say what keeps work for these queues from being done now, and what to do about it."""
    try:
        redis = services.reachable_redis()
        if redis is None:
            return [_("Redis is away: what you change is kept and takes effect when it is back.")]
        wanted = set(queues)
        found = []
        if wanted and not redis.exists(LEADER_KEY):
            found.append(_("No scheduler is running: start one (manage.py rqscheduler)."))
        unserved = wanted & services.queues_without_worker() if wanted else set()
        return found + [no_worker(queue) for queue in sorted(unserved)]
    except RedisError as error:
        return [_("Redis does not answer: %(error)s.") % {"error": error}]


def no_worker(queue: str) -> str:
    """Say that nobody serves a queue, and what to do."""
    return _(
        "No worker serves the queue “%(queue)s”: its runs wait until one is started "
        "(manage.py rqworker %(queue)s)."
    ) % {"queue": queue}


def moment_of(field: str, label: Any) -> Callable[[Any, Any], Any]:
    """Return a column or row that shows a moment of a record."""

    @admin.display(description=label)
    def shown(self: Any, record: Any) -> SafeString | str:
        return moment(getattr(record, field))

    return shown


class TasksAdmin(admin.ModelAdmin):
    """What all pages of this app share: notices, and actions with what came of them."""

    list_per_page = 50
    show_full_result_count = False
    empty_value_display = NONE
    # The actions that also are buttons of the detail page.
    buttons: ClassVar[tuple[str, ...]] = ()

    class Media:
        css: ClassVar = {"all": ["tasks/admin.css"]}
        js: ClassVar = ["tasks/live.js"]

    def queues_in_use(self, record: Any) -> Iterable[str]:
        """Return the queues that a record's work to come needs; of all records for None."""
        return ()

    def live(self, record: Any) -> int:
        """Return how often the page of a record is brought up to date, in ms; 0 for never."""
        return 0

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"notices": obstacles(self.queues_in_use(None)), **(extra_context or {})}
        return super().changelist_view(request, context)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        queues = () if obj is None else self.queues_in_use(obj)
        context |= {"notices": obstacles(queues), "live": obj and self.live(obj)}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Say so if what the form allowed turned out to be impossible, as after a race."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (TasksError, ObjectDoesNotExist) as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(request.get_full_path())

    # Actions, from the list and from the detail page

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        view = self.admin_site.admin_view(require_POST(self.act_view))
        return [path("<int:pk>/act/<slug:action>/", view, name=name), *super().get_urls()]

    def act_view(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Do one of the actions on one record, and go back to its page."""
        record = get_object_or_404(self.model, pk=pk)
        if action not in self.buttons:
            raise Http404
        if not self.has_change_permission(request, record):
            raise PermissionDenied
        getattr(self, action)(request, self.model._default_manager.filter(pk=pk))
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponseRedirect(reverse(page, args=[pk]))

    def _each(
        self,
        request: HttpRequest,
        records: Iterable[Any],
        work: Callable[[Any], Any],
        history: str,
        done: Callable[[int], str],
    ) -> None:
        """Do something with each record that the user may change, and say what came of it."""
        changed = 0
        for record in records:
            if not self.has_change_permission(request, record):
                messages.error(request, _("You may not change “%s”.") % record.name)
                continue
            try:
                work(record)
            except (TasksError, ObjectDoesNotExist) as error:
                messages.error(request, str(error))
            else:
                changed += 1
                self.log_change(request, record, history)
        if changed:
            messages.success(request, done(changed))


class RunDisplay:
    """How runs and background calls are shown, in lists and on their page."""

    started_at = moment_of("started", gettext_lazy("started"))
    ended_at = moment_of("ended", gettext_lazy("ended"))

    @admin.display(description=gettext_lazy("status"))
    def status_badge(self, record: Any) -> SafeString:
        return badge(record.status, record.get_status_display())

    @admin.display(description=gettext_lazy("due"))
    def due_at(self, run: ScheduledTaskInstance) -> SafeString | str:
        return moment(run.due) if run.due is not None else _("by hand")

    @admin.display(description=gettext_lazy("lateness"))
    def late(self, run: ScheduledTaskInstance) -> str:
        return short_time(run.lateness)

    @admin.display(description=gettext_lazy("duration"))
    def took(self, record: RunRecord) -> str:
        return short_time(record.duration)

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, record: RunRecord) -> str:
        """Say in a line how far it is or what came of it: the reason, or else the result."""
        if record.status == "running":
            return progress_bar(record.progress, record.progress_message)
        if record.reason or record.result is None:
            return one_line(record.reason)
        return one_line(json.dumps(record.result, ensure_ascii=False))


class RecordAdmin(RunDisplay, TasksAdmin):
    """The page of a run or a background call: read-only, and up to date while it runs."""

    sections: ClassVar[tuple[tuple[Any, tuple[str, ...]], ...]]
    sortable_by = ()
    # Fields of the page that show a value of the record under another name.
    sources: ClassVar[dict[str, str]] = {
        "status_badge": "status",
        "schedule": "name",
        "call": "name",
        "job": "name",
        "due_at": "due",
        "late": "lateness",
        "requested_at": "requested",
        "created_at": "created",
        "reserved_at": "reserved_for",
        "started_at": "started",
        "ended_at": "ended",
        "took": "duration",
        "reason_text": "reason",
        "result_text": "result",
        "log_text": "log",
        "traceback_text": "traceback",
    }

    created_at = moment_of("created", gettext_lazy("created"))

    def live(self, record: RunRecord) -> int:
        return LIVE_RECORD if record.ended is None else 0

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show what the record has something to say about."""
        shown = [
            (title, {"fields": [field for field in fields if self._has(obj, field)]})
            for title, fields in self.sections
        ]
        return [(title, options) for title, options in shown if options["fields"]]

    def _has(self, record: RunRecord, field: str) -> bool:
        if field == "progress_text":
            return record.status == "running" or 0 < record.progress < 100
        if field == "attempt":
            return record.started is not None
        return getattr(record, self.sources.get(field, field)) not in (None, "")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else [field for _, fields in self.sections for field in fields]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        if context.get("original"):
            context |= {"show_save": False, "show_save_and_continue": False}
            context |= {"show_save_and_add_another": False}
            context |= {"title": capfirst(self.opts.verbose_name)}
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=gettext_lazy("progress"))
    def progress_text(self, record: RunRecord) -> SafeString:
        return progress_bar(record.progress, record.progress_message)

    @admin.display(description=gettext_lazy("reason"))
    def reason_text(self, record: RunRecord) -> str:
        return escape(record.reason)

    @admin.display(description=gettext_lazy("log"))
    def log_text(self, record: RunRecord) -> SafeString | str:
        return box(record.log)

    @admin.display(description=gettext_lazy("traceback"))
    def traceback_text(self, record: RunRecord) -> SafeString | str:
        return box(record.traceback)

    @admin.display(description=gettext_lazy("result"))
    def result_text(self, record: RunRecord) -> SafeString | str:
        return pretty_json(record.result)

    @admin.display(description=gettext_lazy("job"))
    def job(self, record: Any) -> SafeString | str:
        """Show the job's id, as a link to django-rq's page as long as Redis keeps the job."""
        is_kept = record.ended is None
        if record.ended and record.started:
            is_kept = timezone.now() - record.ended < timedelta(seconds=RESULT_TTL)
        return job_link(record.run_job_id, self.queue_of(record), is_kept)

    def queue_of(self, record: Any) -> str:
        """Return the queue that the record's job was put on."""
        return record.queue


def job_link(job_id: str, queue: str, is_kept: bool) -> SafeString | str:
    """Show a job's id, as a link to django-rq's page if Redis has the job."""
    index = get_queues_map().get(queue)
    if index is None or not is_kept:
        return job_id
    url = reverse("admin:django_rq_job_detail", args=[index, job_id])
    return format_html('<a href="{}">{}</a>', url, job_id)


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
        """Keep to the newest: a schedule can have any number of runs."""
        match = request.resolver_match
        pk = match.kwargs.get("object_id") if match else None
        runs = super().get_queryset(request)
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


@admin.register(ScheduledTask)
class ScheduledTaskAdmin(TasksAdmin):
    """Schedules: view, add, edit, run now, pause, resume, cancel, delete."""

    form = ScheduledTaskForm
    inlines = (LatestRuns,)
    list_display = ("name", "status_badge", "when", "next_due", "last_run", "counts", "success")
    list_filter = ("status", "type", "queue", "function")
    search_fields = ("name", "function", "description", "note")
    actions = ("run_now", "pause", "resume", "cancel")
    buttons = actions
    readonly_fields = (
        "status_badge",
        "problem",
        "paused",
        "when",
        "next_due",
        "all_counts",
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
                    "By an interval, or by a cron expression, or once at the first time."
                ),
                "fields": ("interval", "first", "cron", "timezone"),
            },
        ),
        (
            gettext_lazy("Limits"),
            {"classes": ["collapse"], "fields": ("repeat", "start", "end")},
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
                    "retries",
                    "retry_delay",
                    "keep_runs",
                    "keep_days",
                ),
            },
        ),
    )

    created_at = moment_of("created", gettext_lazy("created"))
    updated_at = moment_of("updated", gettext_lazy("updated"))

    def queues_in_use(self, record: ScheduledTask | None) -> Iterable[str]:
        if record is None:
            live = ScheduledTask.objects.live().order_by()
            return live.values_list("queue", flat=True).distinct()
        return [record.queue] if record.is_live else []

    def live(self, record: ScheduledTask) -> int:
        return LIVE_SCHEDULE

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ScheduleChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledTask]:
        return ScheduledTask.objects.with_last_run().order_by("name", "pk")

    def get_fieldsets(self, request: HttpRequest, obj: ScheduledTask | None = None) -> Any:
        """Add what a saved schedule has to say: how it is going, and where it came from."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        state = ["status_badge", "when", "next_due", "all_counts"]
        if obj.problem:
            state.insert(1, "problem")
        if obj.paused_at is not None:
            state.insert(1, "paused")
        more = {"fields": ("note", "job", "created_at", "updated_at")}
        return [(None, {"fields": state}), *fieldsets, (_("More"), more)]

    def get_inlines(self, request: HttpRequest, obj: ScheduledTask | None) -> Any:
        return self.inlines if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: ScheduledTask, form: Any, change: bool) -> None:
        SchedulerService.save(obj)

    def get_deleted_objects(self, objs: Iterable[ScheduledTask], request: HttpRequest) -> Any:
        """Name the schedules, and only count their runs: there may be very many."""
        schedules = list(objs)
        runs = ScheduledTaskInstance.objects.filter(parent__in=[task.pk for task in schedules])
        counts = {
            self.opts.verbose_name_plural: len(schedules),
            ScheduledTaskInstance._meta.verbose_name_plural: runs.count(),
        }
        allowed = all(self.has_delete_permission(request, task) for task in schedules)
        denied = set() if allowed else {self.opts.verbose_name}
        return [task.name for task in schedules], counts, denied, []

    # Actions

    @admin.action(description=gettext_lazy("Run now"), permissions=["change"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        self._each(
            request,
            queryset,
            SchedulerService.run_now,
            _("Run by hand."),
            lambda n: ngettext("%d run is on its queue.", "%d runs are on their queues.", n) % n,
        )

    @admin.action(description=gettext_lazy("Pause"), permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        note = request.POST.get("note", "").replace("\0", "").strip()
        self._each(
            request,
            queryset,
            lambda task: SchedulerService.pause(task, note),
            _("Paused. %(note)s") % {"note": note},
            lambda n: ngettext("%d schedule is paused.", "%d schedules are paused.", n) % n,
        )

    @admin.action(description=gettext_lazy("Resume"), permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[ScheduledTask]) -> None:
        self._each(
            request,
            queryset,
            SchedulerService.resume,
            _("Resumed."),
            lambda n: ngettext("%d schedule is resumed.", "%d schedules are resumed.", n) % n,
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
            lambda n: ngettext("%d schedule is cancelled.", "%d schedules are cancelled.", n) % n,
        )

    # Columns and rows

    @admin.display(description=gettext_lazy("when"))
    def when(self, task: ScheduledTask) -> str:
        return task.when_in_words()

    @admin.display(description=gettext_lazy("next due"))
    def next_due(self, task: ScheduledTask) -> SafeString | str:
        return moment(task.next_due(timezone.now()))

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

    @admin.display(description=gettext_lazy("paused"))
    def paused(self, task: ScheduledTask) -> SafeString:
        return format_html("{} <span class='quiet'>{}</span>", moment(task.paused_at), task.note)

    @admin.display(description=gettext_lazy("last run"), ordering="last_run_started")
    def last_run(self, task: Any) -> SafeString | str:
        if task.last_run_id is None:
            return NONE
        status = ScheduledTaskInstance.Status(task.last_run_status)
        return format_html(
            '<a href="{}">{}</a> {}',
            reverse("admin:tasks_scheduledtaskinstance_change", args=[task.last_run_id]),
            badge(status, str(status.label)),
            moment(task.last_run_started),
        )

    @admin.display(description=gettext_lazy("runs"))
    def counts(self, task: Any) -> SafeString | str:
        return count_links(task, task.run_counts)

    @admin.display(description=gettext_lazy("success"))
    def success(self, task: Any) -> str:
        return success_rate(task.run_counts)

    @admin.display(description=gettext_lazy("runs"))
    def all_counts(self, task: ScheduledTask) -> SafeString:
        rows = task.runs.order_by().values_list("status").annotate(Count("pk"))
        counts = Counter(dict(rows))
        return format_html(
            "{} · {}: {}", count_links(task, counts), _("success"), success_rate(counts)
        )

    @admin.display(description=gettext_lazy("job"))
    def job(self, task: ScheduledTask) -> SafeString | str:
        return job_link(task.job_id, task.queue, task.is_live)


def success_rate(counts: Counter[str]) -> str:
    """Show which share of the runs that ended by themselves finished."""
    ended = counts["finished"] + counts["failed"]
    return f"{100 * counts['finished'] / ended:.0f} %" if ended else NONE


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
            '<a class="count" href="{}?schedule={}&status__exact={}">'
            '<span class="dot status-{}"></span>{} {}</a>',
            links,
        )
        or NONE
    )


class ScheduleFilter(admin.SimpleListFilter):
    """Offers the first schedules by name, and the one that is asked for."""

    title = gettext_lazy("schedule")
    parameter_name = "schedule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = ScheduledTask.objects.order_by("name", "pk").values_list("pk", "name")
        offered = {str(pk): name for pk, name in names[:SCHEDULES_OFFERED]}
        wanted = self.value() or ""
        if wanted.isdecimal() and wanted not in offered:
            offered |= {str(pk): name for pk, name in names.filter(pk=int(wanted))}
        return list(offered.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        wanted = self.value()
        if wanted is None:
            return queryset
        known = wanted in dict(self.lookup_choices)
        return queryset.filter(parent=int(wanted)) if known else queryset.none()


@admin.register(ScheduledTaskInstance)
class ScheduledTaskInstanceAdmin(RecordAdmin):
    """Runs: what happened. They go with their schedule, or by its retention, not one by one."""

    list_display = ("name", "status_badge", "due_at", "started_at", "late", "took", "outcome")
    list_filter = ("status", ("created", admin.DateFieldListFilter), ScheduleFilter)
    list_select_related = ("parent",)
    search_fields = ("name", "reason")
    show_facets = admin.ShowFacets.NEVER  # counting a million runs by each filter takes seconds
    actions = None
    sections = (
        (None, ("schedule", "status_badge", "progress_text", "reason_text")),
        (
            gettext_lazy("When"),
            ("due_at", "requested_at", "started_at", "ended_at", "late", "took"),
        ),
        (
            gettext_lazy("What happened"),
            ("result_text", "log_text", "exception_class", "traceback_text"),
        ),
        (gettext_lazy("Where"), ("call", "worker_name", "attempt", "job")),
    )

    requested_at = moment_of("requested", gettext_lazy("run by hand at"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def queue_of(self, record: ScheduledTaskInstance) -> str:
        return record.parent.queue

    @admin.display(description=gettext_lazy("schedule"))
    def schedule(self, run: ScheduledTaskInstance) -> SafeString:
        url = reverse("admin:tasks_scheduledtask_change", args=[run.parent_id])
        return format_html('<a href="{}">{}</a>', url, run.name)

    @admin.display(description=gettext_lazy("call"))
    def call(self, run: ScheduledTaskInstance) -> SafeString:
        return call(run.parent.function, run.parent.args, run.parent.kwargs)


@admin.register(Task)
class TaskAdmin(RecordAdmin):
    """Background calls: enqueue one, watch it, cancel it."""

    form = TaskForm
    list_display = ("name", "status_badge", "created_at", "started_at", "took", "outcome")
    list_filter = ("status", "function", "queue")
    search_fields = ("name", "reason", "job_id")
    actions = ("cancel",)
    buttons = actions
    sections = (
        (None, ("status_badge", "progress_text", "reason_text", "call")),
        (
            gettext_lazy("When"),
            ("created_at", "reserved_at", "started_at", "ended_at", "took"),
        ),
        (
            gettext_lazy("What happened"),
            ("result_text", "log_text", "exception_class", "traceback_text"),
        ),
        (gettext_lazy("Where"), ("queue", "worker_name", "job")),
    )
    add_fieldsets = ((None, {"fields": ("function", "args", "kwargs", "reserved_for")}),)

    reserved_at = moment_of("reserved_for", gettext_lazy("reserved for"))

    def queues_in_use(self, record: Task | None) -> Iterable[str]:
        if record is None:
            waiting = Task.objects.filter(status__in=Task.WAITING)
            return waiting.order_by().values_list("queue", flat=True).distinct()
        return [record.queue] if record.status in Task.WAITING else []

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fieldsets(request, obj) if obj is not None else self.add_fieldsets

    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        """Enqueue a new call; one that exists isn't changed."""
        if change:
            return
        if obj.reserved_for is None:
            made = TaskService.enqueue_task(obj.function, *obj.args, **obj.kwargs)
        else:
            made = TaskService.reserve_task(obj.reserved_for, obj.function, *obj.args, **obj.kwargs)
        obj.__dict__.update(made.__dict__)

    def delete_model(self, request: HttpRequest, obj: Task) -> None:
        """Delete a call; one that waits or runs is cancelled first."""
        with suppress(NotPossible):
            TaskService.cancel_task(obj)
        obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        for task in queryset.filter(ended=None):
            with suppress(NotPossible):
                TaskService.cancel_task(task)
        queryset.delete()

    @admin.action(description=gettext_lazy("Cancel"), permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        self._each(
            request,
            queryset,
            TaskService.cancel_task,
            _("Cancelled."),
            lambda n: ngettext("%d call is cancelled.", "%d calls are cancelled.", n) % n,
        )

    @admin.display(description=gettext_lazy("call"))
    def call(self, task: Task) -> SafeString:
        return call(task.function, task.args, task.kwargs)
