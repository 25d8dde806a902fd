"""The overview: whether everything is on time, and what isn't, why, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock
from tasks.access import visible
from tasks.admin_pages import lanes
from tasks.admin_pages.addresses import number_in
from tasks.admin_pages.base import BriefAdmin
from tasks.admin_pages.formatting import NONE, short_duration
from tasks.admin_pages.health import LATE, health_of, may_add_first
from tasks.admin_pages.health import state_of as state_of_all
from tasks.admin_pages.holds import may_hold, pause_page, resume_page
from tasks.admin_pages.schedule_actions import ACTIONS
from tasks.admin_pages.what_if import what_if_page
from tasks.broker.connection import connect
from tasks.models import Hold, Overview, ScheduledTask, ScheduledTaskInstance
from tasks.reports.facts import Facts, QueueFacts, Work, WorkerFacts
from tasks.reports.figures import DayFigures, Figure, day_figures
from tasks.reports.health import Code, Problem, Severity, Verdict
from tasks.reports.heatmap import heatmap
from tasks.reports.in_redis import SchedulerSeen, read_snapshot
from tasks.reports.scope import Schedules
from tasks.reports.timeline import timeline
from tasks.reports.upcoming import Upcoming, upcoming
from tasks.reports.waiting import Waiting, Why, waiting

HOUR = timedelta(hours=1)
# How many of the next due, and of what waits, are shown before the fold.
SHOWN_AT_FIRST = 9
# A scheduler's name is a UUID in hex, of which this much tells them apart.
DRAWN_NAME_LENGTH, DRAWN_NAME_SHOWN = 32, 8
# For how many hours the timeline goes back.
RANGES = (1, 6, 24)
LANES = 10
# Of how many schedules that are late the wait is drawn.
WAITING_DRAWN = 1_000
# Why a schedule waits that wouldn't on another queue.
OF_A_QUEUE = (Why.BUSY, Why.NO_WORKER, Why.PAUSED)
# How often the two parts of the page are refreshed, in milliseconds: what is now, and the pictures.
NOW_MS, HISTORY_MS = 2_000, 30_000
# Beyond all pages of a picture.
LAST_PAGE = 10**6


@dataclass(frozen=True, slots=True)
class Fact:
    """A vital sign: its name, its value and small print; `state` if something is wrong."""

    name: str
    value: str
    more: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure of the last 24 hours with the change in words; `state` colours what isn't zero."""

    name: str
    value: str
    more: str
    state: str = ""
    is_zero: bool = False


@dataclass(frozen=True, slots=True)
class Rights:
    """What the user may do from the overview."""

    may_hold: bool
    may_stop: bool
    may_change_queue: bool


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """What waits, and what ends the wait as far as the user may: each None or False if nothing.

    `hold` is the pause to end, and `previous` the run that it waits for.
    """

    seen: Waiting
    hold: Hold | None
    previous: Work | None
    can_change_queue: bool


@admin.register(Overview)
class OverviewAdmin(BriefAdmin):
    """The overview and the pages that ask before everything, or a queue, is paused."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.admin_site.get_model_admin(ScheduledTask).has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.page_view)
        return [
            path("", page, name="tasks_overview"),
            path("", page, name="tasks_overview_changelist"),  # The index links to this name.
            path("what-if/", self._asking(what_if_page), name="tasks_what_if"),
            path("pause/", self._asking(pause_page), name="tasks_hold"),
            path("resume/<int:pk>/", self._asking(resume_page), name="tasks_resume_hold"),
        ]

    def _asking(self, page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        def view(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            return page(self.admin_site, request, **kwargs)

        return self.admin_site.admin_view(view)

    def page_view(self, request: HttpRequest) -> HttpResponse:
        """Show the overview; with `part` in the address only that part, which refreshes itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        part = request.GET.get("part", "")
        schedules = visible(request.user, ScheduledTask.objects.all())
        context: dict[str, Any] = {}
        if part != "history":
            context |= now_context(
                request, schedules, connect(), rights_of(self.admin_site, request)
            )
        if part != "now":
            context |= history_context(schedules, connect(), request)
        if part in ("now", "history"):
            return TemplateResponse(request, f"admin/tasks/overview/part_{part}.html", context)
        context |= {**self.admin_site.each_context(request), "title": _("Overview")}
        return TemplateResponse(request, "admin/tasks/overview.html", context)


def rights_of(site: admin.AdminSite, request: HttpRequest) -> Rights:
    """Return what the user may do from the overview."""
    schedules: Any = site.get_model_admin(ScheduledTask)
    runs: Any = site.get_model_admin(ScheduledTaskInstance)
    return Rights(
        may_hold=may_hold(request),
        may_stop=runs.has_stop_permission(request),
        may_change_queue=schedules.may(ACTIONS["change_queue"], request),
    )


def now_context(
    request: HttpRequest, schedules: Schedules, redis: Redis, rights: Rights
) -> dict[str, Any]:
    """Return what is shown of the present moment."""
    verdict, facts = health_of(request)
    due = _upcoming(schedules, redis)
    late = facts.waiting.late if facts.waiting else 0
    return {
        "now": facts.now,
        "now_ms": NOW_MS,
        "verdict": verdict,
        "state": state_of(verdict.problems[0]) if verdict.problems else state_of_all(verdict),
        "may_add_first": may_add_first(request, verdict, facts),
        "problems": problem_rows(verdict, facts, rights.may_hold),
        "facts": vital_signs(facts),
        "figures": figures(day_figures(schedules)),
        "waiting": facts.waiting,
        "waiting_rows": waiting_rows(facts, rights),
        "late": late,
        "workers": [worker_row(worker, facts) for worker in facts.workers],
        "queues": queue_rows(facts),
        "holds": {hold.queue: hold for hold in facts.holds},
        "obstacle": facts.obstacle,
        "may_hold": rights.may_hold,
        "may_stop": rights.may_stop,
        "chosen_name": ACTION_CHECKBOX_NAME,
        "holds_are_said": True,
        "due_first": due[:SHOWN_AT_FIRST],
        "due_more": due[SHOWN_AT_FIRST:],
    }


def _upcoming(schedules: Schedules, redis: Redis) -> list[Upcoming]:
    try:
        return upcoming(redis, schedules)
    except RedisError:
        return []  # The state sentence says so.


def state_of(problem: Problem) -> str:
    """Return the state whose symbol and colour something wrong has: what is late, is amber."""
    is_broken = problem.severity == Severity.ERROR and problem.code not in LATE
    return "failed" if is_broken else "late"


def problem_rows(verdict: Verdict, facts: Facts, may_hold: bool) -> list[dict[str, Any]]:
    """Return what is wrong, each with its buttons.

    What the worst one is stands in the headline already: here it says what to do.
    """
    rows = []
    for problem in verdict.problems:
        advice = problem.fix if _is_sentence(problem) else ""
        row = {"text": problem.text, "detail": f"{problem.detail} {advice}".strip()}
        if problem is verdict.problems[0]:
            row = {"text": advice or problem.short, "detail": ""}
        rows.append(
            row
            | {
                "state": state_of(problem),
                "works": problem.works,
                "more_works": problem.more_works,
                "buttons": _buttons(problem, facts, may_hold),
            }
        )
    return rows


def _is_sentence(problem: Problem) -> bool:
    """Return whether the fix is told, and not done on the page that it links to."""
    return problem.fix.endswith(".") or not problem.link


def _buttons(problem: Problem, facts: Facts, may_hold: bool) -> list[dict[str, str]]:
    buttons = []
    if problem.code in (Code.EVERYTHING_PAUSED, Code.QUEUE_PAUSED) and may_hold:
        [pk] = [hold.pk for hold in facts.holds if hold.since == problem.since][:1]
        buttons.append((_("Resume…"), reverse("admin:tasks_resume_hold", args=[pk])))
    if problem.link:
        buttons.append((_("See which") if _is_sentence(problem) else problem.fix, problem.link))
    return [{"text": text, "url": url} for text, url in buttons]


def vital_signs(facts: Facts) -> list[Fact]:
    """Return the vital signs; a symbol is only where something is wrong."""
    return [
        _leader(facts),
        _standbys(facts),
        _workers(facts),
        _queues(facts),
        _servers(facts),
        _clocks(facts),
    ]


def _leader(facts: Facts) -> Fact:
    name = _("Leader")
    if facts.leader is None:
        return Fact(name, _("none"), _("nothing is dispatched"), "failed")
    return Fact(name, _short_name(facts.leader), _heartbeat(facts.leader.age))


def _standbys(facts: Facts) -> Fact:
    name = _("Standby")
    if not facts.standbys:
        return Fact(name, _("none"), _("nobody would take over"))
    first, others = facts.standbys[0], len(facts.standbys) - 1
    more = ngettext("and %d more", "and %d more", others) % others if others else ""
    return Fact(name, " ".join(filter(None, [_short_name(first), more])), _heartbeat(first.age))


def _short_name(scheduler: SchedulerSeen) -> str:
    """Return the beginning of a name that rq-scheduler draws by lot, or a whole other name."""
    name = scheduler.name
    return name[:DRAWN_NAME_SHOWN] if len(name) == DRAWN_NAME_LENGTH else name


def _heartbeat(age: timedelta) -> str:
    return _("heartbeat %(span)s ago") % {"span": short_duration(age)}


def _workers(facts: Facts) -> Fact:
    name, number = _("Workers"), len(facts.workers)
    if not number:
        return Fact(name, _("none"), _("nothing is run"), "failed")
    busy = sum(worker.seen.is_busy for worker in facts.workers)
    full = [queue.name for queue in facts.queues if queue.why is Why.BUSY and queue.depth]
    value = _("%(busy)d of %(number)d busy") % {"busy": busy, "number": number}
    if full:
        return Fact(
            name, value, _("none free for %(queues)s") % {"queues": ", ".join(full)}, "late"
        )
    return Fact(name, value, _("some are free") if busy < number else _("nothing waits for them"))


def _queues(facts: Facts) -> Fact:
    depth = sum(queue.depth for queue in facts.queues)
    oldest = min((queue.oldest for queue in facts.queues if queue.oldest), default=None)
    value = ngettext("%d waits", "%d wait", depth) % depth if depth else _("nothing waits")
    more = _("oldest %(span)s") % {"span": short_duration(facts.now - oldest)} if oldest else ""
    is_late = bool(facts.waiting and facts.waiting.late)
    return Fact(_("Queues"), value, more, "late" if is_late else "")


def _servers(facts: Facts) -> Fact:
    name = _("Redis and database")
    database = short_duration(facts.database_round_trip)
    if facts.snapshot is None:
        return Fact(name, _("unavailable, %(span)s") % {"span": database}, facts.obstacle, "failed")
    return Fact(name, f"{short_duration(facts.snapshot.round_trip)}, {database}", _("to answer"))


def _clocks(facts: Facts) -> Fact:
    name, offsets = _("Clocks"), facts.snapshot.offsets if facts.snapshot else {}
    if not offsets:
        return Fact(name, _("agree"), _("within %(seconds)d s") % {"seconds": 2})
    worst = max(offsets, key=lambda process: abs(offsets[process]))
    off = short_duration(timedelta(seconds=abs(offsets[worst])))
    side = _("%(process)s is ahead") if offsets[worst] > 0 else _("%(process)s is behind")
    return Fact(name, _("%(span)s apart") % {"span": off}, side % {"process": worst}, "late")


def figures(day: DayFigures) -> list[Shown]:
    """Return the figures of the last 24 hours; a zero is grey."""
    late = day.median_lateness
    return [
        Shown(_("Runs"), f"{day.runs.now:,}", _percent(day.runs), is_zero=not day.runs.now),
        _count(_("Failed"), day.failed, "failed"),
        _count(_("Missed"), day.missed, "late"),
        _count(_("Lost"), day.lost, "failed"),
        _count(_("Late, over 10 s"), day.late, "late"),
        Shown(
            _("Lateness, median"),
            short_duration(late),
            NONE
            if late is None
            else _("p95 %(span)s") % {"span": short_duration(day.p95_lateness)},
            is_zero=late is None,
        ),
    ]


def _count(name: str, figure: Figure, state: str) -> Shown:
    return Shown(
        name, f"{figure.now:,}", _change(figure), state if figure.now else "", not figure.now
    )


def _change(figure: Figure) -> str:
    if not figure.change:
        return _("the same")
    number = abs(figure.change)
    more, fewer = _("%(number)s more"), _("%(number)s fewer")
    return (more if figure.change > 0 else fewer) % {"number": f"{number:,}"}


def _percent(figure: Figure) -> str:
    if not figure.percent:
        return _("the same") if figure.percent == 0 else _change(figure)
    more, fewer = _("%(percent)d %% more"), _("%(percent)d %% fewer")
    return (more if figure.change > 0 else fewer) % {"percent": abs(figure.percent)}


def waiting_rows(facts: Facts, rights: Rights) -> list[WaitingRow]:
    """Return what waits, the oldest first, each with what ends the wait."""
    if facts.waiting is None:
        return []
    held = {hold.queue: hold for hold in facts.holds}
    works = [work for worker in facts.workers for work in (worker.work, *worker.beside) if work]
    running = {work.schedule_pk: work for work in works if work.schedule_pk is not None}
    # Nothing runs on any other queue, either, while everything is held.
    may_change_queue = rights.may_change_queue and len(facts.queues) > 1 and "" not in held
    rows = []
    for one in facts.waiting.shown:
        hold = held.get(one.queue) or held.get("")
        is_of_queue = one.schedule_pk is not None and one.why in OF_A_QUEUE
        waits_for_itself = one.schedule_pk is not None and one.why is Why.PREVIOUS_RUN
        rows.append(
            WaitingRow(
                one,
                hold if one.why is Why.PAUSED and rights.may_hold else None,
                running.get(one.schedule_pk or 0) if waits_for_itself else None,
                is_of_queue and may_change_queue,
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue with its share, from 0 to 100, of the jobs that wait on the longest one."""

    queue: QueueFacts
    share: int
    is_late: bool


def queue_rows(facts: Facts) -> list[QueueRow]:
    """Return the queues that are in use; all of them if none is."""
    longest = max((queue.depth for queue in facts.queues), default=0) or 1
    late = {one.queue for one in facts.waiting.shown if one.is_late} if facts.waiting else set()
    in_use = [queue for queue in facts.queues if queue.workers or queue.depth or queue.hold]
    return [
        QueueRow(queue, round(100 * queue.depth / longest), queue.name in late)
        for queue in in_use or facts.queues
    ]


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker, with about how long its run still takes, and what it runs side by side in words.

    `list_url` is the list of what it runs
    side by side, "" if it runs nothing so.
    """

    worker: WorkerFacts
    left: str
    beside: str
    list_url: str


def worker_row(worker: WorkerFacts, facts: Facts) -> WorkerRow:
    """Return a worker as the page shows it."""
    seen, left = worker.seen, worker.work and worker.work.left(facts.now)
    beside = ""
    if seen.concurrency:
        text = _("%(running)s of %(most)s side by side")
        if seen.draining:
            text = _("%(running)s of %(most)s side by side; a process is being replaced")
        beside = text % {"running": f"{seen.coroutines:,}", "most": f"{seen.concurrency:,}"}
    return WorkerRow(
        worker,
        _("%(span)s left") % {"span": short_duration(left)} if left else "",
        beside,
        _list_of(worker) if seen.coroutines else "",
    )


def _list_of(worker: WorkerFacts) -> str:
    """Return the address of the runs that a worker has; of the calls, if it has no others."""
    if worker.beside and all(work.schedule_pk is None for work in worker.beside):
        return f"{reverse('admin:tasks_task_changelist')}?status__exact=running"
    query = urlencode({"status": "running", "worker": worker.seen.name})
    return f"{reverse('admin:tasks_scheduledtaskinstance_changelist')}?{query}"


# The pictures


def history_context(schedules: Schedules, redis: Redis, request: HttpRequest) -> dict[str, Any]:
    """Return the pictures: the timeline of the last hours, and the trouble of 7 days."""
    hours = _chosen(request, "hours", 6)
    hours = hours if hours in RANGES else 6
    page, heat_page = _chosen(request, "lanes", 1), _chosen(request, "heat", 1)
    now = clock.now()
    drawn = timeline(schedules, now - hours * HOUR, now, page, LANES)
    heat = heatmap(schedules, heat_page)
    chosen = {"hours": hours, "lanes": page, "heat": heat_page}
    return {
        "history_ms": HISTORY_MS,
        "history_url": _address(chosen, part="history"),
        "ranges": [
            {"hours": one, "url": _address(chosen, hours=one), "is_on": one == hours}
            for one in RANGES
        ],
        "timeline": lanes.timeline_rows(drawn, _waiting_since(schedules, redis)),
        "timeline_labels": lanes.timeline_labels(drawn),
        "timeline_pages": _pages(chosen, "lanes", drawn.total),
        "legend": lanes.legend(),
        "heat": lanes.heat_rows(heat),
        "heat_labels": lanes.heat_labels(heat),
        "heat_pages": _pages(chosen, "heat", heat.total),
    }


def _waiting_since(schedules: Schedules, redis: Redis) -> dict[int, datetime]:
    """Return since when the next run of a schedule is late, by primary key."""
    try:
        snapshot = read_snapshot(redis)
    except RedisError:
        return {}
    found = waiting(snapshot, schedules, number=WAITING_DRAWN).shown
    return {one.schedule_pk: one.since for one in found if one.schedule_pk and one.is_late}


def _chosen(request: HttpRequest, name: str, default: int) -> int:
    number = number_in(request.GET.get(name))
    return default if number is None else min(max(number, 1), LAST_PAGE)


def _address(chosen: dict[str, int], **changes: Any) -> str:
    values = {
        name: value for name, value in (chosen | changes).items() if value != 1 or name == "hours"
    }
    query = "&".join(f"{name}={value}" for name, value in values.items())
    return f"{reverse('admin:tasks_overview')}?{query}"


def _pages(chosen: dict[str, int], name: str, total: int) -> dict[str, Any]:
    """Return the addresses of the neighbouring pages of a picture, and how many rows follow."""
    page = chosen[name]
    follow = max(total - page * LANES, 0)
    return {
        "previous": _address(chosen, **{name: page - 1}) if page > 1 else "",
        "next": _address(chosen, **{name: page + 1}) if follow else "",
        "follow": follow,
    }
