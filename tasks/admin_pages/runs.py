"""Runs and background calls in the admin: the list of runs, and the page of a record."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet, TextField
from django.db.models.functions import Cast, Length
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.text import get_valid_filename
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks import clock
from tasks.access import is_limited, visible
from tasks.admin_pages import run_page
from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.base import (
    CheckedChangeList,
    RunDisplay,
    TasksAdmin,
    job_link,
    obstacles,
    time_column,
)
from tasks.admin_pages.call_pages import CallPages
from tasks.admin_pages.failures import FailuresAdmin
from tasks.admin_pages.forms import TaskForm
from tasks.admin_pages.history import names_seen
from tasks.admin_pages.limits import SharedAdmin
from tasks.admin_pages.run_filters import RunFilters, offered_names
from tasks.admin_pages.run_list import MOST_CHECKED, newer_page, older_page
from tasks.admin_pages.secrets import may_reveal, secrets_of_call
from tasks.exceptions import NotPossible
from tasks.job import RESULT_TTL
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.reasons import codes_with
from tasks.reports.waiting import waiting_calls
from tasks.services import TaskService

REFRESH_RECORD_MS = 1_000
REFRESH_LOG_MS = 2_000
# The list; and one for which runs have to be looked through, so that each refresh costs more.
REFRESH_LIST_MS, REFRESH_SEARCH_MS = 3_000, 30_000
# The results that a list shows have at most so many characters of JSON.
SHORT_RESULT = 500
HEAVY = ("log", "traceback", "result")
SAFE_METHODS = ("GET", "HEAD")


class RecordAdmin(RunDisplay, TasksAdmin):
    """The page of a run or a background call: read-only, and live while it runs."""

    sortable_by = ()
    # Names and reasons are stored without secrets, and can be searched; so can what is no text.
    secret_columns = frozenset(
        {"args", "kwargs", "arguments", "log", "result", "traceback", "reason_values"}
        | {"progress_message"}
    )

    created_at = time_column("created", gettext_lazy("created"))

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        log, live = (
            self.admin_site.admin_view(view) for view in (self.log_view, self.live_log_view)
        )
        pages = [
            path("<int:pk>/log.txt", log, name=f"{name}_log"),
            path("<int:pk>/log/", live, name=f"{name}_live_log"),
        ]
        return [*pages, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the page of a record, which nobody edits."""
        record = self.get_object(request, unquote(object_id))
        if record is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined]
        if request.method not in SAFE_METHODS or not self.has_view_permission(request, record):
            raise PermissionDenied
        return TemplateResponse(request, "admin/tasks/run.html", self.page(request, record))

    def page(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        """Return what the page of a record shows."""
        now = clock.now()
        is_live = record.ended is None
        context = {
            **self.admin_site.each_context(request),
            "title": f"{record.name} #{record.pk}",
            "media": self.media,
            "opts": self.opts,
            "original": record,
            "notices": obstacles(self.queues_in_use(record)),
            "refresh_ms": REFRESH_RECORD_MS if is_live else 0,
            "chosen_name": ACTION_CHECKBOX_NAME,
            "queue": self.queue_of(record),
            "job": record.run_job_id if is_limited(request.user) else self.job(record),
            "reason": run_page.masked(record, record.reason_in_words()),
            "time_limit": run_page.time_limit(record),
            "call": run_page.call_of(record),
            "result": run_page.result_text(record),
            "failure": run_page.failure_of(record),
            "earlier": run_page.earlier(record),
            "may_delete": self.has_delete_permission(request, record),
        }
        if record.status == record.Status.RUNNING:
            context["progress"] = run_page.progress_of(record, now)
        if not request.headers.get("X-Live"):  # The log refreshes itself.
            context |= self._log(record)
        if record.started is not None and not is_live:
            context["can_compare"] = True
            if record.status != record.Status.FINISHED or "compare" in request.GET:
                context["compared"] = run_page.compare(record, names_seen(request))
        if may_reveal(request) and self.secrets_of(record):
            context["reveal_url"] = f"admin:{self.opts.app_label}_{self.opts.model_name}_reveal"
        return context

    def _log(self, record: Any) -> dict[str, Any]:
        return {
            "log": run_page.log_of(record),
            "log_refresh_ms": REFRESH_LOG_MS if record.ended is None else 0,
        }

    def live_log_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show only the log of a record, for its page to refresh."""
        record = self._viewed(request, pk)
        context = {"original": record, "opts": self.opts, **self._log(record)}
        return TemplateResponse(request, "admin/tasks/run_log.html", context)

    def log_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the whole log of a record as a text file."""
        record = self._viewed(request, pk)
        text = run_page.masked(record, record.log)
        response = HttpResponse(text, content_type="text/plain; charset=utf-8")
        name = get_valid_filename(f"{record.name}-{record.pk}.log")
        response["Content-Disposition"] = f'attachment; filename="{ascii_name(name)}"'
        return response

    def _viewed(self, request: HttpRequest, pk: int) -> Any:
        record = get_object_or_404(self.get_queryset(request), pk=pk)
        if not self.has_view_permission(request, record):
            raise PermissionDenied
        return record

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for the words of reasons as well, which the rows hold as codes only."""
        found, may_have_duplicates = super().get_search_results(request, queryset, search_term)
        if codes := codes_with(search_term):
            found |= queryset.filter(reason_code__in=codes)
        return found, may_have_duplicates

    def job(self, record: Any) -> SafeString | str:
        """Show the job's id, as a link to django-rq's page as long as Redis keeps the job."""
        is_kept = record.ended is None
        if record.ended and record.started:
            is_kept = clock.now() - record.ended < timedelta(seconds=RESULT_TTL)
        return job_link(record.run_job_id, self.queue_of(record), is_kept)

    def queue_of(self, record: Any) -> str:
        """Return the queue that the record's job was put on."""
        return str(record.queue)


def ascii_name(name: str) -> str:
    """Return a file's name as a header can hold it."""
    return "".join(char if char.isascii() else "_" for char in name)


class RunChangeList(CheckedChangeList):
    """A page of runs, read without counting them."""

    def __init__(self, request: HttpRequest, model: Any, *args: Any, **kwargs: Any) -> None:
        schedules = visible(request.user, ScheduledTask.objects.all())
        runs = visible(request.user, ScheduledTaskInstance.objects.all())
        self.filters = RunFilters(request.GET, schedules, runs)
        super().__init__(request, model, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        """Leave Django's own filters those parts of the address that aren't ours."""
        ours = {*self.filters.fields, "status__exact", "before", "after"}
        return {
            name: value
            for name, value in super().get_filters_params(params).items()
            if name not in ours
        }

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """Return all runs that are wanted; actions choose from these."""
        wanted = self.filters.conditions()
        return super().get_queryset(request, exclude_parameters).filter(wanted.all)

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, without the texts that a list doesn't show."""
        before, after = (number_in(request.GET.get(name)) for name in ("before", "after"))
        runs = self.root_queryset.select_related("parent").defer(*HEAVY)
        wanted = self.filters.conditions()
        self.is_search = bool(wanted.checked)
        self.is_newest = before is None and after is None
        if after is not None:
            self.page = newer_page(runs, wanted, after)
        else:
            self.page = older_page(runs, wanted, before)
        _add_short_results(self.page.runs)
        self.result_list = self.page.runs
        self.result_count = self.full_result_count = len(self.page.runs)
        self.show_full_result_count = self.show_admin_actions = True
        self.can_show_all, self.multi_page = True, False

    @property
    def refresh_ms(self) -> int:
        """How often the newest page refreshes itself, in milliseconds; older ones never do."""
        if not self.is_newest:
            return 0
        return REFRESH_SEARCH_MS if self.is_search else REFRESH_LIST_MS

    def link(self, **changes: Any) -> str:
        """Return the address of this list with other values."""
        values = {name: value for name, value in changes.items() if value is not None}
        return str(self.get_query_string(values, ["before", "after"]))


class CallChangeList(CheckedChangeList):
    """A page of calls, with why each waits that does."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        queued = [call for call in self.result_list if call.status == Task.Status.QUEUED]
        found = waiting_calls(Task.objects.filter(pk__in=[call.pk for call in queued]))
        for call in queued:
            call.waiting = found.get(call.pk)


def _add_short_results(runs: list[ScheduledTaskInstance]) -> None:
    """Give runs of a list their results, unless these are longer than a line."""
    finished = [run.pk for run in runs if run.status == run.Status.FINISHED]
    short = ScheduledTaskInstance.objects.filter(pk__in=finished).order_by()
    short = short.annotate(size=Length(Cast("result", TextField()))).filter(size__lte=SHORT_RESULT)
    results = dict(short.values_list("pk", "result"))
    for run in runs:
        run.result = results.get(run.pk)


@admin.register(ScheduledTaskInstance)
class ScheduledTaskInstanceAdmin(FailuresAdmin, RecordAdmin):
    """Runs, read-only: they are deleted with their schedule or by its retention, not one by one."""

    list_display = ("name", "status_badge", "due_at", "started_at", "late", "took", "outcome")
    list_select_related = ("parent",)
    search_fields = ("name", "reason")
    show_facets = admin.ShowFacets.NEVER  # counting a million runs for each filter takes seconds

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.schedules_view)
        name = "tasks_scheduledtaskinstance_schedules"
        return [path("schedules/", view, name=name), *super().get_urls()]

    def schedules_view(self, request: HttpRequest) -> HttpResponse:
        """Offer names of schedules while one is typed."""
        schedules_page = self.admin_site.get_model_admin(ScheduledTask)
        if not (self.has_view_permission(request) or schedules_page.has_view_permission(request)):
            raise PermissionDenied
        text = request.GET.get("q", "").replace("\0", "")
        schedules = visible(request.user, ScheduledTask.objects.all())
        return JsonResponse({"names": offered_names(schedules, text)})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and "cl" in (response.context_data or {}):
            assert response.context_data is not None
            response.context_data |= self._list(request, response.context_data["cl"])
        return response

    def _list(self, request: HttpRequest, shown: RunChangeList) -> dict[str, Any]:
        page = shown.page
        return {
            "rows": [(run, self.outcome(run)) for run in page.runs],
            "refresh_ms": shown.refresh_ms,
            "chosen_name": ACTION_CHECKBOX_NAME,
            "most_checked": MOST_CHECKED,
            "may_run": self.has_run_permission(request),
            "may_stop": self.has_stop_permission(request),
            "newest_url": shown.link(),
            "newer_url": shown.link(after=page.newer),
            "older_url": shown.link(before=page.older),
        }

    def get_queryset(self, request: HttpRequest) -> QuerySet[ScheduledTaskInstance]:
        return super().get_queryset(request).select_related("parent__calendar")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def queue_of(self, record: ScheduledTaskInstance) -> str:
        return record.parent.queue

    def page(self, request: HttpRequest, record: ScheduledTaskInstance) -> dict[str, Any]:
        is_running = record.status == record.Status.RUNNING
        return super().page(request, record) | {
            "run": record,
            "schedule": record.parent,
            "requested_by": run_page.requested_by(record),
            "lateness": run_page.lateness_words(record),
            "same": self.same_failure(record),
            "afterwards": run_page.afterwards(record, clock.now()),
            "may_stop": is_running and self.has_stop_permission(request, record),
            "may_run": not is_running and self.has_run_permission(request, record),
        }


@admin.register(Task)
class TaskAdmin(SharedAdmin, CallPages, RecordAdmin):
    """Background calls: enqueue one, watch it, cancel it."""

    form = TaskForm
    list_display = ("name", "status_badge", "created_at", "started_at", "took", "outcome")
    list_filter = ("status", "function", "queue")
    search_fields = ("name", "reason", "job_id")
    actions = ("cancel", "call_again")
    buttons = actions
    add_fieldsets = ((None, {"fields": ("function", "args", "kwargs", "reserved_for")}),)

    def queues_in_use(self, record: Task | None) -> Iterable[str]:
        if record is None:
            waiting = Task.objects.filter(status__in=Task.WAITING)
            return waiting.order_by().values_list("queue", flat=True).distinct()
        return [record.queue] if record.status in Task.WAITING else []

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CallChangeList

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, record: Any) -> str:
        """Show also why a call waits."""
        waiting = getattr(record, "waiting", None)
        return waiting.why_in_words if waiting is not None else super().outcome(record)

    def page(self, request: HttpRequest, record: Task) -> dict[str, Any]:
        may_change = self.has_change_permission(request, record)
        waits = {}
        if record.status == Task.Status.QUEUED:
            found = waiting_calls(Task.objects.filter(pk=record.pk)).get(record.pk)
            waits = {"reason": found.why_in_words} if found is not None else {}
        return (
            super().page(request, record)
            | waits
            | {
                "may_cancel": record.ended is None and may_change,
                "may_call": record.ended is not None
                and may_change
                and self.has_add_permission(request),
            }
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.add_fieldsets

    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        """Enqueue or reserve a new call."""
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

    @admin.action(description=gettext_lazy("Cancel or stop"), permissions=["change"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Task]) -> HttpResponse | None:
        """Cancel calls that wait; it asks first if some of them run, and are stopped."""
        running = queryset.filter(status=Task.Status.RUNNING).defer(*HEAVY)
        if "confirmed" not in request.POST and (stopped := list(running)):
            return self._ask_to_stop(request, queryset, stopped)
        by = request.user.get_username()
        self._each(
            request,
            queryset,
            lambda task: TaskService.cancel_task(task, by),
            _("Cancelled."),
            lambda n: ngettext("%d call was cancelled.", "%d calls were cancelled.", n) % n,
        )
        return None

    def _ask_to_stop(
        self, request: HttpRequest, chosen: QuerySet[Task], running: list[Task]
    ) -> HttpResponse:
        text = ngettext("Stop this call?", "Stop these %(n)d calls?", len(running))
        pks = list(chosen.values_list("pk", flat=True))
        context = {
            **self.admin_site.each_context(request),
            "title": text % {"n": len(running)},
            "opts": self.opts,
            "running": running,
            "waiting": len(pks) - len(running),
            "pks": pks,
            "chosen_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/tasks/task/stop.html", context)

    @admin.action(description=gettext_lazy("Call again"), permissions=["add"])
    def call_again(self, request: HttpRequest, queryset: QuerySet[Task]) -> None:
        self._each(
            request,
            queryset,
            lambda task: TaskService.enqueue_task(task.function, *task.args, **task.kwargs),
            _("Called again."),
            lambda n: ngettext("%d call was enqueued.", "%d calls were enqueued.", n) % n,
        )

    def secrets_of(self, record: Task) -> dict[str, Any]:
        return secrets_of_call(record)
