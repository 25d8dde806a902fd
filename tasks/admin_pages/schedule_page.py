"""The page of a schedule: what it does, whether that works, and what can be done about it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks import clock, registry
from tasks.access import is_limited
from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.asking import ActionsAdmin
from tasks.admin_pages.backfill import backfill_page
from tasks.admin_pages.base import RunDisplay, job_link, obstacles
from tasks.admin_pages.day_ledger import day_ledger
from tasks.admin_pages.formatting import call
from tasks.admin_pages.history import changes_page, latest_lines, names_seen, put_back_page
from tasks.admin_pages.latest_changes import latest_changes_page
from tasks.admin_pages.links import schedule_page
from tasks.admin_pages.run_chart import chart_of
from tasks.admin_pages.run_with import run_with_page
from tasks.admin_pages.schedule_list import facts_of, state_of
from tasks.admin_pages.secrets import may_reveal, secrets_of_schedule
from tasks.admin_pages.states import LOOKS
from tasks.admin_pages.when_preview import preview_of
from tasks.broker.enqueue import timeout_of
from tasks.exceptions import InvalidArguments, UnknownTaskFunction
from tasks.models import ScheduledTask, ScheduledTaskInstance, WeeklySummary
from tasks.reports.waiting import Waiting
from tasks.timing.describe import describe_seconds

TEMPLATE = "admin/tasks/scheduledtask/page.html"
PREFIX = "tasks_scheduledtask"
LATEST_RUNS = 20
REFRESH_MS = 5_000
# With much on the page it takes longer to make it.
REFRESH_LARGE_MS = 30_000
Status = ScheduledTaskInstance.Status


@dataclass(frozen=True, slots=True)
class LatestRun:
    """A row of the latest runs."""

    run: ScheduledTaskInstance
    at: datetime | None
    result: str


class SchedulePageAdmin(ActionsAdmin):
    """The page of a schedule, and those that it leads to."""

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of one schedule: each is a function of this admin, a request and keys.

        And that of the changes of all.
        """
        pages: tuple[tuple[str, str, Callable[..., HttpResponse]], ...] = (
            ("", "page", schedule_view),
            ("backfill/", "backfill", backfill_page),
            ("run/", "run_with", run_with_page),
            ("changes/", "changes", changes_page),
            ("changes/<int:change_pk>/put-back/", "put_back", put_back_page),
        )
        latest = self._page(latest_changes_page)
        return [
            *(
                path(f"<int:pk>/{end}", self._page(view), name=f"{PREFIX}_{name}")
                for end, name, view in pages
            ),
            path("changes/", latest, name=f"{PREFIX}_latest_changes"),
            *super().get_urls(),
        ]

    def _page(self, view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        def shown(request: HttpRequest, **keys: int) -> HttpResponse:
            return view(self, request, **keys)

        wrapped: Callable[..., HttpResponse] = self.admin_site.admin_view(shown)
        return wrapped

    def page_of(self, record: ScheduledTask) -> str:
        return schedule_page(record.pk)

    def response_post_save_add(
        self, request: HttpRequest, obj: ScheduledTask
    ) -> HttpResponseRedirect:
        """Show a saved schedule, where its next due times are, and not the list."""
        return HttpResponseRedirect(schedule_page(obj.pk))

    def response_post_save_change(
        self, request: HttpRequest, obj: ScheduledTask
    ) -> HttpResponseRedirect:
        return self.response_post_save_add(request, obj)


def schedule_view(page: ActionsAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Show a schedule."""
    schedule = get_object_or_404(page.get_queryset(request), pk=pk)
    if not page.has_view_permission(request, schedule):
        raise PermissionDenied
    facts = _facts(schedule)
    is_large = request.GET.get("runs", "200") != "200" or "all" in request.GET
    context = {
        **page.admin_site.each_context(request),
        "title": schedule.name,
        "opts": page.opts,
        "original": schedule,
        "notices": obstacles(page.queues_in_use(schedule)),
        "refresh_ms": REFRESH_LARGE_MS if is_large else REFRESH_MS,
        **_rights(page, request, schedule),
        **facts,
        **_panels(schedule, request, facts["waiting"]),
    }
    return TemplateResponse(request, TEMPLATE, context)


def _rights(page: ActionsAdmin, request: HttpRequest, schedule: ScheduledTask) -> dict[str, Any]:
    """Return what the user may do here."""
    buttons = page.buttons_of(request, schedule)
    runs = page.admin_site.get_model_admin(ScheduledTaskInstance)
    may_change = page.has_change_permission(request, schedule)
    can_reveal = may_reveal(request) and bool(secrets_of_schedule(schedule))
    return {
        "likely": [one for one in buttons["actions"] if one.name in ("run_now", "pause", "resume")],
        "others": [one for one in buttons["actions"] if one.name in ("move", "change_queue")],
        "end_actions": buttons["end_actions"],
        "has_change_permission": may_change,
        "may_clone": may_change and page.has_add_permission(request),
        "job": schedule.job_id
        if is_limited(request.user)
        else job_link(schedule.job_id, schedule.queue, schedule.is_live),
        "may_run": page.has_run_permission(request, schedule),
        "may_see_runs": runs.has_view_permission(request),
        "reveal_url": f"admin:{PREFIX}_reveal" if can_reveal else "",
    }


def _facts(schedule: ScheduledTask) -> dict[str, Any]:
    now = clock.now()
    facts = next(iter(facts_of([schedule])))
    state = state_of(schedule, facts, now)
    week = getattr(schedule, "week", None)
    started = schedule.runs.filter(started__isnull=False).order_by("-id")
    last_run = started.defer("log", "result", "traceback").first()
    if last_run is not None:
        last_run.parent = schedule
    requested = schedule.requests.count()
    return {
        "state": state,
        "state_look": LOOKS[state.look],
        "waiting": facts.waiting,
        "spec_words": _spec_words(schedule),
        "call": call(schedule.function, schedule.args, schedule.kwargs),
        "tags": list(schedule.tags.all()),
        "when": preview_of(schedule),
        "next_due": schedule.next_due(now),
        "last_run": last_run,
        "week": week,
        "success": _success(week),
        "requested": requested if facts.waiting is None or requested > facts.waiting.number else 0,
        "problem": schedule.masked(schedule.problem_in_words()),
        "note": schedule.masked(schedule.note),
        "description": schedule.masked(schedule.description),
        "policies": _policies(schedule),
        "number_of_runs": schedule.runs.count(),
    }


def _spec_words(schedule: ScheduledTask) -> tuple[str, str]:
    """Return when it is due in words: what says most, and the rest of the sentence."""
    first, _comma, rest = schedule.when_in_words().partition(", ")
    return first, rest


def _success(week: WeeklySummary | None) -> tuple[str, str] | None:
    """Return the share of the last 7 days that finished, and of how many."""
    if week is None or week.success is None:
        return None
    number = week.finished + week.failed + week.missed
    share = 100 * week.success
    shown = f"{share:.1f}".removesuffix(".0")
    if shown == "100" and week.finished < number:
        shown = "99.9"
    words = ngettext("%(finished)d of %(n)d run", "%(finished)d of %(n)d runs", number)
    return f"{shown} %", words % {"finished": week.finished, "n": number}


def _panels(
    schedule: ScheduledTask, request: HttpRequest, waiting: Waiting | None
) -> dict[str, Any]:
    query = request.GET
    runs = list(schedule.runs.order_by("-id").defer("log", "traceback")[:LATEST_RUNS])
    latest = []
    for run in runs:
        run.parent = schedule
        result = RunDisplay().outcome(run)
        latest.append(LatestRun(run, run.due or run.requested, result))
    return {
        "chart": chart_of(schedule, query.get("runs", ""), number_in(query.get("until"))),
        "ledger": day_ledger(
            schedule,
            _day(query.get("day")),
            number_in(query.get("hour")),
            is_unfolded="all" in query,
            before=_time(query.get("before")),
            why_waiting=waiting.why_in_words if waiting is not None else "",
        ),
        "latest": latest,
        "history": latest_lines(schedule, names_seen(request)),
        "number_of_changes": schedule.changes.count(),
    }


def _day(text: str | None) -> date | None:
    """Return a day of the address; one that makes no sense is as if none were given."""
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return None
    return day if 1971 <= day.year <= 9000 else None


def _time(text: str | None) -> datetime | None:
    """Return a time of the address; one that makes no sense is as if none were given."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _policies(schedule: ScheduledTask) -> list[tuple[str, str]]:
    """Return what happens if something goes wrong, a line each."""
    lines = [
        (_("Still running"), schedule.get_overlap_display()),
        (_("After a gap"), schedule.get_catch_up_display()),
    ]
    if limit := _limit(schedule):
        lines.insert(1, (_("Limit"), limit))
    if schedule.start_deadline is not None:
        span = describe_seconds(schedule.start_deadline)
        lines.append((_("Too late"), _("not started any more after %(span)s") % {"span": span}))
    lines.append((_("After a failure"), _retries(schedule)))
    lines.append((_("Time limit"), _time_limit(schedule)))
    lines.append((_("Worker cut off"), schedule.get_on_disconnect_display()))
    if schedule.isolated is not None:
        own = _("a process of its own") if schedule.isolated else _("the worker's process")
        lines.append((_("Runs in"), own))
    lines.append((_("Kept"), _kept(schedule)))
    return [(label, str(text)) for label, text in lines]


def _limit(schedule: ScheduledTask) -> str:
    """Return of which runs only so many go on at a time, "" if there is no limit."""
    function = registry.find(schedule.function)
    if function is None or function.max_concurrent is None:
        return ""
    try:
        _number, _space, place = function.limit(schedule.args, schedule.kwargs).partition(" ")
    except InvalidArguments as error:
        return schedule.masked(str(error))
    number = function.max_concurrent
    values: dict[str, Any] = {"n": number, "function": function.name}
    if function.limit_key is None:
        text = ngettext(
            "at most %(n)d run of %(function)s at a time",
            "at most %(n)d runs of %(function)s at a time",
            number,
        )
        return text % values
    text = ngettext(
        "at most %(n)d run of %(function)s at a time for %(key)s",
        "at most %(n)d runs of %(function)s at a time for %(key)s",
        number,
    )
    values["key"] = schedule.masked(place.removeprefix(f"{function.name}:"))
    return text % values


def _retries(schedule: ScheduledTask) -> str:
    if not schedule.retries:
        return _("not tried again")
    number = schedule.retries
    text = ngettext("tried once more", "tried again up to %(n)d times", number) % {"n": number}
    if not schedule.retry_delay:
        return text
    span = describe_seconds(schedule.retry_delay)
    return _("%(tries)s, after %(span)s") % {"tries": text, "span": span}


def _time_limit(schedule: ScheduledTask) -> str:
    try:
        return describe_seconds(timeout_of(schedule))
    except UnknownTaskFunction as error:
        return str(error)


def _kept(schedule: ScheduledTask) -> str:
    parts = []
    if schedule.keep_runs is not None:
        number = schedule.keep_runs
        parts.append(ngettext("the last run", "the last %(n)d runs", number) % {"n": number})
    if schedule.keep_days is not None:
        number = schedule.keep_days
        parts.append(ngettext("%(n)d day", "%(n)d days", number) % {"n": number})
    return ", ".join(parts) or _("all runs")
