"""What-if: the load of the coming days, and the emptiest times for a new job."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from redis.exceptions import RedisError

from tasks import clock
from tasks.access import visible
from tasks.admin_pages import lanes
from tasks.admin_pages.when_form import IntervalField
from tasks.broker.connection import connect
from tasks.models import ScheduledTask
from tasks.queue import usable_queues
from tasks.reports.in_redis import read_snapshot
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
OVERLAPS_SHOWN = 20
SOMEWHAT_BUSY = 0.5
HEIGHT = 26


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
    workers, obstacle = _workers()
    planned = read_planned(visible(request.user, ScheduledTask.objects.all()))
    simulation = simulate(planned, workers, clock.now(), DAYS, PLAYED_AT_MOST)
    form = NewJobForm(
        request.GET if "takes" in request.GET else None,
        queues=usable_queues(),
        label_suffix="",
    )
    is_asked = form.is_bound and form.is_valid()
    context = {
        **site.each_context(request),
        "title": _("What-if"),
        "form": form,
        "obstacle": obstacle,
        "suggestions": suggestions(simulation, form.cleaned_data) if is_asked else None,
        "may_add": schedules.has_add_permission(request),
        "simulation": simulation,
        "labels": lanes.labels(
            lanes.midnights(simulation.begin, simulation.end),
            simulation.begin,
            simulation.end,
            pgettext("date format", "D j"),
        ),
        "queues": [queue_row(load, simulation) for load in simulation.queues.values()],
        "overlapping": simulation.overlapping[:OVERLAPS_SHOWN],
        "waiting": longest_waits(simulation),
        "unknown": sum(not one.is_known for one in planned),
    }
    return TemplateResponse(request, "admin/tasks/what_if.html", context)


def _workers() -> tuple[list[tuple[str, ...]], str]:
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
