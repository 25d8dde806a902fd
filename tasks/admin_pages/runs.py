"""Runs and background calls in the admin; the page of a running one refreshes itself."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks import clock
from tasks.access import visible
from tasks.admin_pages.base import RunDisplay, TasksAdmin, job_link, time_column
from tasks.admin_pages.call_pages import CallPages
from tasks.admin_pages.formatting import box, call, pretty_json, progress_bar
from tasks.admin_pages.forms import TaskForm
from tasks.admin_pages.limits import SharedAdmin
from tasks.admin_pages.links import schedule_page
from tasks.admin_pages.secrets import secrets_of_call
from tasks.exceptions import NotPossible
from tasks.job import RESULT_TTL
from tasks.masking import hiding, mask_json, mask_text
from tasks.models import RunRecord, ScheduledTask, ScheduledTaskInstance, Task
from tasks.reasons import codes_with
from tasks.services import TaskService
from tasks.storable import escape

SCHEDULES_OFFERED = 20
REFRESH_RECORD_MS = 1_000


class RecordAdmin(RunDisplay, TasksAdmin):
    """The page of a run or a background call: read-only, and refreshed while it runs."""

    sections: ClassVar[tuple[tuple[Any, tuple[str, ...]], ...]]
    sortable_by = ()
    # Names and reasons are stored without secrets, and can be searched; so can what is no text.
    secret_columns = frozenset(
        {"args", "kwargs", "arguments", "log", "result", "traceback", "reason_values"}
        | {"progress_message"}
    )
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
        "result_text": "result",
        "log_text": "log",
        "traceback_text": "traceback",
    }

    created_at = time_column("created", gettext_lazy("created"))

    def refresh_ms(self, record: RunRecord) -> int:
        return REFRESH_RECORD_MS if record.ended is None else 0

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Leave out the fields that are empty, and the sections without fields."""
        shown = [
            (title, {"fields": [field for field in fields if self._has(obj, field)]})
            for title, fields in self.sections
        ]
        return [(title, options) for title, options in shown if options["fields"]]

    def _has(self, record: Any, field: str) -> bool:
        if field == "progress_text":
            return record.status == record.Status.RUNNING or 0 < record.progress < 100
        if field == "reason_text":
            return bool(record.reason_in_words())
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

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for the words of reasons as well, which the rows hold as codes only."""
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        if codes := codes_with(search_term):
            found |= queryset.filter(reason_code__in=codes)
        return found, may_have_duplicates

    @admin.display(description=gettext_lazy("progress"))
    def progress_text(self, record: RunRecord) -> SafeString:
        return progress_bar(record.progress, masked_text(record, record.progress_message))

    @admin.display(description=gettext_lazy("reason"))
    def reason_text(self, record: RunRecord) -> str:
        return escape(masked_text(record, record.reason_in_words()))

    @admin.display(description=gettext_lazy("log"))
    def log_text(self, record: RunRecord) -> SafeString | str:
        return box(masked_text(record, record.log))

    @admin.display(description=gettext_lazy("traceback"))
    def traceback_text(self, record: RunRecord) -> SafeString | str:
        return box(masked_text(record, record.traceback))

    @admin.display(description=gettext_lazy("result"))
    def result_text(self, record: RunRecord) -> SafeString | str:
        with hiding(record.secret_values):
            return pretty_json(mask_json(record.result))

    @admin.display(description=gettext_lazy("job"))
    def job(self, record: Any) -> SafeString | str:
        """Show the job's id, as a link to django-rq's page as long as Redis keeps the job."""
        is_kept = record.ended is None
        if record.ended and record.started:
            is_kept = clock.now() - record.ended < timedelta(seconds=RESULT_TTL)
        return job_link(record.run_job_id, self.queue_of(record), is_kept)

    def queue_of(self, record: Any) -> str:
        """Return the queue that the record's job was put on."""
        return record.queue


def masked_text(record: RunRecord, text: str) -> str:
    """Return a text of a record, which an older version may have stored with its secrets."""
    with hiding(record.secret_values):
        return mask_text(text)


class ScheduleFilter(admin.SimpleListFilter):
    """Offers the first schedules by name, and the selected one."""

    title = gettext_lazy("schedule")
    parameter_name = "schedule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        schedules = visible(request.user, ScheduledTask.objects.all())
        names = schedules.order_by("name", "pk").values_list("pk", "name")
        offered = {str(pk): name for pk, name in names[:SCHEDULES_OFFERED]}
        selected = self.value() or ""
        if selected.isdecimal() and selected not in offered:
            offered |= {str(pk): name for pk, name in names.filter(pk=int(selected))}
        return list(offered.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        selected = self.value()
        if selected is None:
            return queryset
        known = selected in dict(self.lookup_choices)
        return queryset.filter(parent=int(selected)) if known else queryset.none()


@admin.register(ScheduledTaskInstance)
class ScheduledTaskInstanceAdmin(RecordAdmin):
    """Runs, read-only: they are deleted with their schedule or by its retention, not one by one."""

    list_display = ("name", "status_badge", "due_at", "started_at", "late", "took", "outcome")
    list_filter = ("status", ("created", admin.DateFieldListFilter), ScheduleFilter)
    list_select_related = ("parent",)
    search_fields = ("name", "reason")
    show_facets = admin.ShowFacets.NEVER  # counting a million runs for each filter takes seconds
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

    requested_at = time_column("requested", gettext_lazy("requested at"))

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
        url = schedule_page(run.parent_id)
        return format_html('<a href="{}">{}</a>', url, run.name)

    @admin.display(description=gettext_lazy("call"))
    def call(self, run: ScheduledTaskInstance) -> SafeString:
        return call(run.parent.function, *run.called_with)


@admin.register(Task)
class TaskAdmin(SharedAdmin, CallPages, RecordAdmin):
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

    reserved_at = time_column("reserved_for", gettext_lazy("reserved for"))

    def queues_in_use(self, record: Task | None) -> Iterable[str]:
        if record is None:
            waiting = Task.objects.filter(status__in=Task.WAITING)
            return waiting.order_by().values_list("queue", flat=True).distinct()
        return [record.queue] if record.status in Task.WAITING else []

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return super().get_fieldsets(request, obj) if obj is not None else self.add_fieldsets

    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        """Enqueue or reserve a new call; an existing one isn't changed."""
        if change:
            return
        if obj.reserved_for is None:
            created = TaskService.enqueue_task(obj.function, *obj.args, **obj.kwargs)
        else:
            created = TaskService.reserve_task(
                obj.reserved_for, obj.function, *obj.args, **obj.kwargs
            )
        obj.__dict__.update(created.__dict__)

    def delete_model(self, request: HttpRequest, obj: Task) -> None:
        """Delete a call; one that is waiting or running is cancelled first."""
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
            lambda n: ngettext("%d call was cancelled.", "%d calls were cancelled.", n) % n,
        )

    def secrets_of(self, record: Task) -> dict[str, Any]:
        return secrets_of_call(record)

    @admin.display(description=gettext_lazy("call"))
    def call(self, task: Task) -> SafeString:
        return call(task.function, task.args, task.kwargs)
