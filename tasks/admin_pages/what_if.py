"""What-if: the load of the coming days, and the emptiest times for a new job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from redis.exceptions import RedisError

from tasks import clock
from tasks.access import limits, visible
from tasks.admin_pages import lanes
from tasks.admin_pages.shared import kept
from tasks.admin_pages.when_form import IntervalField
from tasks.broker.connection import connect
from tasks.models import ScheduledTask
from tasks.queue import usable_queues
from tasks.reports.in_redis import read_snapshot
from tasks.reports.scope import Schedules
from tasks.reports.simulation import (
    FULL,
    HOUR,
    SLOT,
    Every,
    Outlook,
    QueueLoad,
    Simulation,
    Slot,
    read_planned,
    simulate,
)

DAYS = 7
# The page is made while somebody waits for it: it plays less than the command does.
PLAYED_AT_MOST = 20_000
# If more is due, the page is shown first, and the coming days are played when its script asks.
QUICK = 2_000
PLAY_AFTER_MS = 1_000
# How long what was played is shown again, in seconds.
KEPT_FOR = 60.0
OVERLAPS_SHOWN = 20
SOMEWHAT_BUSY = 0.5
HEIGHT = 26
# The queues of each worker.
Workers = list[tuple[str, ...]]


class NewJobForm(forms.Form):
    """The job that a time is looked for."""

    takes = IntervalField(label=gettext_lazy("takes"), initial="10m")
    queue = forms.ChoiceField(label=gettext_lazy("on the queue"))
    every = forms.ChoiceField(
        label=gettext_lazy("every"),
        choices=[
            (Every.HOUR.value, gettext_lazy("hour")),
            (Every.DAY.value, gettext_lazy("day")),
            (Every.WEEK.value, gettext_lazy("week")),
        ],
        initial=Every.DAY.value,
    )

    def __init__(self, *args: Any, queues: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["queue"].choices = [(name, name) for name in queues]  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A time for the new job: in words, how busy the workers are then, and where to add it."""

    words: str
    percent: int
    add_url: str


@dataclass(frozen=True, slots=True)
class QueueRow:
    """The load of a queue: small print under its name, its hours as a picture, and a verdict."""

    name: str
    more: str
    picture: SafeString
    verdict: str
    state: str


def what_if_page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    """Show the load of the coming days; with the new job's values, the emptiest times for it."""
    schedules = site.get_model_admin(ScheduledTask)
    if not schedules.has_view_permission(request):
        raise PermissionDenied
    context = {**site.each_context(request), "title": _("What-if")}
    visible_ones = visible(request.user, ScheduledTask.objects.all())
    is_asked_for = {"takes", "play"} & request.GET.keys() or "X-Live" in request.headers
    is_quick = _is_quick(visible_ones)
    if is_quick or is_asked_for:
        context |= _outlook(request, visible_ones, is_fresh=is_quick)
        context["may_add"] = schedules.has_add_permission(request)
    else:
        context["refresh_ms"] = PLAY_AFTER_MS
    return TemplateResponse(request, "admin/tasks/what_if.html", context)


def _is_quick(schedules: Schedules) -> bool:
    """Return whether the coming days can be played while somebody waits for the page.

    As much is due, about, as was in the last 7 days.
    """
    runs: Any = sum(F(f"week__{name}") for name in ("finished", "failed", "missed", "skipped"))
    live = schedules.filter(status__in=ScheduledTask.LIVE).order_by()
    load = live.aggregate(number=Count("pk"), runs=Sum(runs, default=0))
    return load["number"] + load["runs"] <= QUICK


def _play(schedules: Schedules, workers: Workers) -> tuple[Simulation, int]:
    """Play the coming days; return what is shown of it, and how many durations aren't known."""
    planned = read_planned(schedules)
    simulation = simulate(planned, workers, clock.now(), DAYS, PLAYED_AT_MOST)
    shown = [
        *simulation.overlapping[:OVERLAPS_SHOWN],
        *(one for one, _ in longest_waits(simulation)),
    ]
    by_pk = {one.planned.pk: one for one in shown}
    unknown = sum(not one.is_known for one in planned)
    return replace(simulation, outlooks=tuple(by_pk.values())), unknown


def _outlook(request: HttpRequest, schedules: Schedules, *, is_fresh: bool) -> dict[str, Any]:
    """Return what is shown of the coming days, unless fresh as they were played within a minute."""
    workers, obstacle = _workers()
    simulation, unknown = kept(
        ("what-if", limits(request.user), tuple(workers)),
        KEPT_FOR,
        lambda: _play(schedules, workers),
        is_fresh=is_fresh,
    )
    form = NewJobForm(
        request.GET if "takes" in request.GET else None,
        queues=usable_queues(),
        label_suffix="",
    )
    is_asked = form.is_bound and form.is_valid()
    return {
        "form": form,
        "obstacle": obstacle,
        "suggestions": suggestions(simulation, form.cleaned_data) if is_asked else None,
        "simulation": simulation,
        "labels": lanes.labels(
            lanes.midnights(simulation.begin, simulation.end),
            simulation.begin,
            simulation.end,
            "D j",
        ),
        "queues": [queue_row(load, simulation) for load in simulation.queues.values()],
        "overlapping": simulation.overlapping[:OVERLAPS_SHOWN],
        "waiting": longest_waits(simulation),
        "unknown": unknown,
    }


def _workers() -> tuple[Workers, str]:
    """Return the queues of each worker there is, and why that isn't known."""
    try:
        return [worker.queues for worker in read_snapshot(connect()).workers], ""
    except RedisError as error:
        return [], str(error)


def suggestions(simulation: Simulation, job: dict[str, Any]) -> list[Suggestion]:
    """Return the emptiest times for a job, with links that add a schedule then."""
    every, takes = Every(job["every"]), timedelta(seconds=job["takes"])
    return [
        Suggestion(
            in_words(slot, every),
            round(100 * slot.busy),
            f"{reverse('admin:tasks_scheduledtask_add')}?{_prefilled(slot, every, job['queue'])}",
        )
        for slot in simulation.emptiest(job["queue"], takes, every)
    ]


def in_words(slot: Slot, every: Every) -> str:
    """Say when a job is due that repeats from a slot on, by the viewer's clock."""
    local = timezone.localtime(slot.first)
    if every == Every.HOUR:
        return _("every hour at :%(minute)02d") % {"minute": local.minute}
    time = f"{local:%H:%M}"
    if every == Every.DAY:
        return _("every day at %(time)s") % {"time": time}
    return _("every %(day)s at %(time)s") % {"day": formats.date_format(local, "l"), "time": time}


def _prefilled(slot: Slot, every: Every, queue: str) -> str:
    """Return the query by which the form to add a schedule begins with a time."""
    local = timezone.localtime(slot.first)
    hour, weekday = ("*", "*") if every == Every.HOUR else (str(local.hour), "*")
    if every == Every.WEEK:
        weekday = f"{local:%a}".upper()
    values = {"cron": f"{local.minute} {hour} * * {weekday}", "queue": queue}
    return urlencode(values | {"timezone": timezone.get_current_timezone_name()})


def queue_row(load: QueueLoad, simulation: Simulation) -> QueueRow:
    """Return a queue as the page shows it."""
    runs = ngettext("%(n)d run", "%(n)d runs", load.runs) % {"n": load.runs}
    workers = ngettext("%(n)d worker", "%(n)d workers", load.workers) % {"n": load.workers}
    more = f"{runs}, {workers}"
    if load.runs and not load.workers:
        return QueueRow(load.name, more, picture(load, simulation), _("no worker"), "failed")
    full = len(simulation.full_hours(load.name))
    if full:
        verdict = ngettext("%(n)d hour is full", "%(n)d hours are full", full) % {"n": full}
        return QueueRow(load.name, more, picture(load, simulation), verdict, "late")
    verdict = _("at most %(percent)d %% busy") % {"percent": round(100 * load.peak)}
    return QueueRow(load.name, more, picture(load, simulation), verdict, "")


def picture(load: QueueLoad, simulation: Simulation) -> SafeString:
    """Draw how busy the workers of a queue are, hour by hour: height is how much."""
    per_hour = HOUR // SLOT
    hours = [
        sum(load.busy[at : at + per_hour]) / per_hour for at in range(0, len(load.busy), per_hour)
    ]
    span = (simulation.end - simulation.begin) / HOUR
    width = lanes.WIDTH / span if span else 0
    parts: dict[str, list[str]] = {"f-band": [], "f-late": [], "f-finished": []}
    for number, busy in enumerate(hours):
        height = max(busy * (HEIGHT - 2), 0.5 if busy else 0)
        look = _look(busy)
        left, top = number * width, HEIGHT - height
        parts[look].append(
            f"M{left:.1f} {top:.1f}h{0.8 * width:.2f}v{height:.1f}h-{0.8 * width:.2f}z"
        )
    paths = [(look, "".join(shapes)) for look, shapes in parts.items() if shapes]
    drawn = format_html_join("", '<path class="{}" d="{}"/>', paths)
    return format_html(
        '<svg class="sl-lane" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>',
        *(lanes.WIDTH, HEIGHT),
        _("%(queue)s: at most %(percent)d %% busy")
        % {"queue": load.name, "percent": round(100 * load.peak)},
        drawn,
    )


def _look(busy: float) -> str:
    if busy >= FULL:
        return "f-late"
    return "f-finished" if busy >= SOMEWHAT_BUSY else "f-band"


def longest_waits(simulation: Simulation) -> list[tuple[Outlook, datetime]]:
    """Return the schedules of which a run would wait longest for a worker, and when."""
    waits = [
        (one, one.longest_wait_at) for one in simulation.outlooks if one.longest_wait_at is not None
    ]
    waits.sort(key=lambda pair: (-pair[0].longest_wait, pair[0].planned.name))
    return waits[:OVERLAPS_SHOWN]
