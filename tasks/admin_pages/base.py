"""What the admin pages of this app share: notices, actions, and how runs are shown."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property, wraps
from html import escape
from http.client import FOUND
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import (
    BadRequest,
    EmptyResultSet,
    ObjectDoesNotExist,
    PermissionDenied,
)
from django.core.paginator import Paginator
from django.db import DataError, NotSupportedError, ProgrammingError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_rq.settings import get_queues_map
from redis.exceptions import RedisError

from tasks.access import is_limited
from tasks.admin_pages.addresses import initial_values, number_in, refuse_odd_values
from tasks.admin_pages.formatting import (
    NONE,
    one_line,
    progress_bar,
    short_duration,
    timestamp,
)
from tasks.admin_pages.links import pages
from tasks.admin_pages.secrets import SecretsAdmin
from tasks.admin_pages.states import record_badge
from tasks.admin_pages.viewer_zone import as_viewer_wants
from tasks.broker.clock import notices_about
from tasks.broker.connection import (
    connect,
    in_a_hurry,
    redis_obstacle,
)
from tasks.broker.keys import LEADER_KEY, explain
from tasks.broker.ownership import RedisRefused, ownership
from tasks.exceptions import TasksError
from tasks.history import made_by
from tasks.masking import hiding, mask_json, mask_text
from tasks.models import RunRecord, ScheduledTaskInstance
from tasks.queue import usable_queues
from tasks.reports.in_redis import read_snapshot

# What of a POST isn't sent again to have its question asked again: least of all what says yes.
NOT_ASKED_AGAIN = ("csrfmiddlewaretoken", "confirmed", "post")
# How many rows one action takes: a few seconds' work, as each is changed on its own.
MOST_CHOSEN = 500


def obstacles(queues: Iterable[str]) -> list[str]:
    """Return what keeps work on these queues from running now, and what to do about it.

    Also whose clock is off: times are not as people there expect.
    """
    wanted, redis, found = set(queues), connect(), []
    try:
        ownership(redis).look()
        snapshot = read_snapshot(redis)
        if wanted and not any(scheduler.leads for scheduler in snapshot.schedulers):
            # No leader can renew its lease while Redis refuses writes.
            if why := redis_obstacle():
                return [redis_unavailable(why)]
            found.append(_("No scheduler is running: start one (manage.py rqscheduler)."))
    except RedisRefused as error:
        return [str(error)]
    except RedisError as error:
        return [redis_unavailable(explain(error, redis, usable_queues()))]
    served = {queue for worker in snapshot.workers for queue in worker.queues}
    unserved = sorted(wanted - served)
    clocks = notices_about(snapshot.offsets, snapshot.step)
    return found + [no_worker(queue) for queue in unserved] + clocks


def redis_unavailable(why: str) -> str:
    """Return the warning that Redis is unavailable, with what becomes of what people change."""
    return _(
        "Redis is unavailable (%(why)s): changes to schedules are saved and take effect when it "
        "is back."
    ) % {"why": why.rstrip(".")}


def warn_of_redis(request: HttpRequest) -> None:
    """Add the warning that Redis is unavailable to the messages, if it is."""
    if why := redis_obstacle():
        messages.warning(request, redis_unavailable(why))


def no_worker(queue: str) -> str:
    """Return the warning that no worker serves a queue, with what to do about it."""
    return _(
        "No worker serves the queue “%(queue)s”: its runs wait until one is started "
        "(manage.py rqworker %(queue)s)."
    ) % {"queue": queue}


def time_column(field: str, label: Any) -> Callable[[Any, Any], Any]:
    """Return a column or row that shows a time of a record."""

    @admin.display(description=label)
    def shown(self: Any, record: Any) -> SafeString | str:
        return timestamp(getattr(record, field))

    return shown


def too_many(number: int) -> str:
    """Say that more rows are chosen than one request takes, and what to do."""
    return _(
        "%(number)s are chosen, and at most %(most)s can be changed at once. Nothing was changed: "
        "narrow the list by its filters, or choose page by page."
    ) % {"number": f"{number:,}", "most": f"{MOST_CHOSEN:,}"}


class KeyPaginator(Paginator):
    """Reads the keys of all pages at once.

    For a search that no index answers, of some ten thousand rows at most: to count what it finds
    takes as long as to find it.
    """

    @cached_property
    def keys(self) -> list[Any]:
        found: Any = self.object_list
        return list(found.values_list("pk", flat=True))

    @cached_property
    def count(self) -> int:
        return len(self.keys)


def asking(request: HttpRequest, response: Any) -> Any:
    """Return the answer to a POST; a page that asks knows what was posted, as `asked_with`.

    So the site's header can have it asked again, in another language.
    """
    context = getattr(response, "context_data", None)
    if request.method == "POST" and context is not None:
        context["asked_with"] = [
            (name, value)
            for name, values in request.POST.lists()
            for value in values
            if name not in NOT_ASKED_AGAIN
        ]
    return response


class CheckedChangeList(ChangeList):
    """A list that answers a filter that can't be, such as the year 99999, as Django does others.

    It says that the address is wrong, instead of failing when the database is asked.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        try:
            super().__init__(*args, **options)
        except (OverflowError, DataError, ProgrammingError) as error:
            raise IncorrectLookupParameters(error) from error
        # Django would find out anew for each row which page its address is of, to add them.
        self._way_back, self.preserved_filters = self.preserved_filters, ""
        self._page_of = pages(f"{self.opts.app_label}_{self.opts.model_name}_change")

    def url_for_result(self, result: Any) -> str:
        """Return the address of a row's page, from which one comes back to this list as it is."""
        page = self._page_of(result.pk)
        return f"{page}?{self._way_back}" if self._way_back else page

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        if not request.GET:
            return found
        try:
            found.query.get_compiler(found.db).as_sql()
        except EmptyResultSet:
            return found
        except (ValueError, LookupError, NotSupportedError) as error:
            raise IncorrectLookupParameters(error) from error
        return found

    def get_results(self, request: HttpRequest) -> None:
        """Read the page: first its keys, then its rows.

        The rows of the pages before it are not read, and sorting keys alone is several times as
        fast as sorting whole rows.
        """
        super().get_results(request)
        keys = self._keys()
        rows = self.apply_select_related(self.root_queryset).in_bulk(keys)
        self.result_list: Any = [rows[key] for key in keys if key in rows]

    def _keys(self) -> list[Any]:
        """Return the keys of the rows of the page, in order."""
        if not self.result_count:
            return []  # A search that has found none would search once more.
        if not isinstance(self.paginator, KeyPaginator):
            return list(self.result_list.values_list("pk", flat=True))
        if self.show_all and self.can_show_all:
            return self.paginator.keys
        first = (self.page_num - 1) * self.list_per_page
        return self.paginator.keys[first : first + self.list_per_page]


class BriefAdmin(admin.ModelAdmin):
    """Pages in the viewer's zone, that wait for Redis only briefly.

    What they change is in the history under the user's name, and after a change they say what
    Redis has refused.
    """

    @property
    def urls(self) -> list[URLPattern]:
        patterns: list[URLPattern] = super().urls
        for pattern in patterns:
            if pattern.callback is not None:
                pattern.callback = self._briefly(pattern.callback)
        return patterns

    def _briefly(self, view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def brief(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            author = made_by(request.user.get_username())
            refuse_odd_values(request)
            with in_a_hurry(), as_viewer_wants(request), author:
                response = view(request, *args, **kwargs)
                if isinstance(response, SimpleTemplateResponse):
                    # Here, not later: most times are shown by the template.
                    response.render()
                is_change = request.method == "POST" and response.status_code == FOUND
                if is_change and self.admin_site.has_permission(request):
                    self.warn_after_change(request)
            return response

        return brief

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list under the name of what it lists."""
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def warn_after_change(self, request: HttpRequest) -> None:
        """Say that what was changed takes effect later, if Redis is unavailable."""
        warn_of_redis(request)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> Any:
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if any(number_in(key) is None for key in chosen):
            raise BadRequest("What is chosen isn't the key of a row.")
        if (
            "1" in request.POST.getlist("select_across")
            and (number := queryset.count()) > MOST_CHOSEN
        ):
            messages.error(request, too_many(number))
            return HttpResponseRedirect(request.get_full_path())
        return asking(request, super().response_action(request, queryset, *args, **kwargs))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CheckedChangeList

    def action_checkbox(self, obj: Any) -> SafeString:
        """Show the box by which a row is chosen; Django's widget takes as long as a whole row."""
        label = escape(_("Select %(name)s") % {"name": obj})
        return mark_safe(
            f'<input type="checkbox" name="{ACTION_CHECKBOX_NAME}" value="{obj.pk}"'
            f' class="action-select" aria-label="{label}">'
        )

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the address fills a form in with, as far as it fits."""
        return initial_values(self.opts, super().get_changeform_initial_data(request))


class TasksAdmin(BriefAdmin, SecretsAdmin):
    """What all pages of this app share: notices, and actions that report their outcome."""

    list_per_page = 50
    show_full_result_count = False
    empty_value_display = NONE
    # The actions that are also buttons on the page of a record.
    buttons: ClassVar[tuple[str, ...]] = ()

    def warn_after_change(self, request: HttpRequest) -> None:
        """Say that Redis refuses writes; that it doesn't answer, the next page says by itself."""
        with suppress(RedisError):
            connect().exists(LEADER_KEY)
            warn_of_redis(request)

    def queues_in_use(self, record: Any) -> Iterable[str]:
        """Return the queues that a record's next runs need; those of all records for None."""
        return ()

    def queues_of_list(self, request: HttpRequest) -> Iterable[str]:
        """Return the queues that the next runs of all that the user may see need."""
        return () if is_limited(request.user) else self.queues_in_use(None)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {
            "notices": obstacles(self.queues_of_list(request)),
            "may_see_rq": not is_limited(request.user),
            **(extra_context or {}),
        }
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
        context["notices"] = obstacles(queues)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """Show an error if saving fails although the form was valid, as after a race."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (TasksError, ObjectDoesNotExist) as error:
            messages.error(request, str(error))
            if request.method == "POST":
                return HttpResponseRedirect(request.get_full_path())
        # What can't be shown is not asked for again.
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:{name}"))

    # Actions, from the list and from the page of a record

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        view = self.admin_site.admin_view(self.act_view)
        return [path("<int:pk>/act/<slug:action>/", view, name=name), *super().get_urls()]

    def act_view(self, request: HttpRequest, pk: int, action: str) -> HttpResponse:
        """Run an action on one record, and return to its page; or show the page that it asks on.

        A GET only returns there: whoever changes the zone on a page that asks is sent back to its
        address.
        """
        record = get_object_or_404(self.get_queryset(request), pk=pk)
        if request.method != "POST":
            return HttpResponseRedirect(self.page_of(record))
        if action not in self.buttons:
            raise Http404
        act = getattr(self, action)
        needed = {"change", *getattr(act, "allowed_permissions", ())}
        if not all(getattr(self, f"has_{one}_permission")(request) for one in needed):
            raise PermissionDenied
        asked = asking(request, act(request, self.get_queryset(request).filter(pk=pk)))
        return asked or HttpResponseRedirect(self.page_of(record))

    def _each(
        self,
        request: HttpRequest,
        records: Iterable[Any],
        work: Callable[[Any], Any],
        history: str,
        done: Callable[[int], str],
    ) -> None:
        """Call `work` on each record that the user may change, and report the outcome."""
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
                self.log_change(request, record, mask_text(history))
        if changed:
            messages.success(request, done(changed))


class RunDisplay:
    """How runs and background calls are shown, in lists and on their page."""

    started_at = time_column("started", gettext_lazy("started"))
    ended_at = time_column("ended", gettext_lazy("ended"))

    @admin.display(description=gettext_lazy("status"))
    def status_badge(self, record: Any) -> SafeString:
        return record_badge(record)

    @admin.display(description=gettext_lazy("due"))
    def due_at(self, run: ScheduledTaskInstance) -> SafeString | str:
        return timestamp(run.due) if run.due is not None else _("manual")

    @admin.display(description=gettext_lazy("lateness"))
    def late(self, run: ScheduledTaskInstance) -> str:
        return short_duration(run.lateness)

    @admin.display(description=gettext_lazy("duration"))
    def took(self, record: RunRecord) -> str:
        return short_duration(record.duration)

    @admin.display(description=gettext_lazy("outcome"))
    def outcome(self, record: Any) -> str:
        """Show, in one line, a running record's progress, otherwise its reason or its result."""
        with hiding(record.secret_values):
            if record.status == record.Status.RUNNING:
                return progress_bar(record.progress, mask_text(record.progress_message))
            reason = record.reason_in_words()
            if reason or record.result is None:
                return one_line(mask_text(reason))
            return one_line(json.dumps(mask_json(record.result), ensure_ascii=False))


def job_link(job_id: str, queue: str, is_kept: bool) -> SafeString | str:
    """Show a job's id, as a link to django-rq's page if Redis has the job."""
    index = get_queues_map().get(queue)
    if index is None or not is_kept:
        return job_id
    url = reverse("admin:django_rq_job_detail", args=[index, job_id])
    return format_html('<a href="{}">{}</a>', url, job_id)
