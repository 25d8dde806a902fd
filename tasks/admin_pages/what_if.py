"""What-if: the load of the coming days, and better times for a new job or a schedule."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.core.validators import MaxValueValidator
from django.db.models import Count, F, Max, Sum
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
from tasks.access import limits, visible
from tasks.admin_pages import lanes
from tasks.admin_pages.shared import kept
from tasks.admin_pages.what_if_changes import (
    Trial,
    better_times,
    by_in_units,
    effects,
    in_the_way,
    meant,
    trial_of,
)
from tasks.admin_pages.when_form import IntervalField
from tasks.broker.connection import connect
from tasks.models import ScheduleChange, ScheduledTask
from tasks.queue import usable_queues
from tasks.reports.in_redis import read_snapshot
from tasks.reports.moves import moves_of
from tasks.reports.scope import Schedules
from tasks.reports.simulation import (
    FULL,
    HOUR,
    SLOT,
    Every,
    Outlook,
    Planned,
    PlayedWorker,
    QueueLoad,
    Simulation,
    Slot,
    played,
    read_planned,
    simulate,
    simulate_beside,
)
from tasks.timing.describe import describe

DAYS = 7
# The page is made while somebody waits for it: it plays less than the command does.
PLAYED_AT_MOST = 20_000
# If more is due, the page is shown first, and the coming days are played when its script asks.
QUICK = 2_000
PLAY_AFTER_MS = 1_000
# How long that may take until it looks as if the server didn't answer.
PATIENCE_MS = 60_000
# How long what was played is shown again, in seconds.
KEPT_FOR = 60.0
OVERLAPS_SHOWN = FILLERS_SHOWN = NAMESAKES_SHOWN = 20
LONGEST_JOB = 7 * 86_400
TOO_LONG = gettext_lazy("Longer than the 7 days that are played.")
SOMEWHAT_BUSY = 0.5
HEIGHT = 26
Workers = list[PlayedWorker]


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
        fields: dict[str, Any] = self.fields
        fields["queue"].choices = [(name, name) for name in queues]
        fields["takes"].required = True
        fields["takes"].validators.append(MaxValueValidator(LONGEST_JOB, TOO_LONG))


class ScheduleForm(forms.Form):
    """The schedule that a better time is looked for."""

    schedule = forms.CharField(
        label=gettext_lazy("the schedule"),
        max_length=200,
        widget=forms.TextInput({"list": "schedule-names", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, planned: Sequence[Planned], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._planned = planned
        # Several that share the name that was typed: one of them is to be chosen.
        self.namesakes: list[tuple[Planned, str]] = []

    def clean_schedule(self) -> Planned:
        """Return the schedule that is named, or has this primary key."""
        text = self.cleaned_data["schedule"]
        found = meant(self._planned, text)
        if len(found) == 1:
            return found[0]
        self.namesakes = [(one, describe(one.spec)) for one in found[:NAMESAKES_SHOWN]]
        message = (
            _("%(n)d active schedules are called “%(name)s”: choose one.")
            if found
            else _("No active schedule is called “%(name)s”.")
        )
        raise forms.ValidationError(message % {"name": text, "n": len(found)})


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A time for the new job: in words, how busy the workers are then, and where to add it."""

    words: str
    percent: int
    add_url: str
    try_url: str


@dataclass(frozen=True, slots=True)
class Filler:
    """A schedule of a queue that is full at times, and for how much of its workers' time it is."""

    outlook: Outlook
    percent: int


@dataclass(frozen=True, slots=True)
class QueueRow:
    """The load of a queue: small print under its name, its hours as a picture, and a verdict."""

    name: str
    more: str
    picture: SafeString
    verdict: str
    state: str


def what_if_page(site: admin.AdminSite, request: HttpRequest) -> HttpResponse:
    """Show the load of the coming days, as it is planned or with a change that is tried.

    It suggests times for a new job, or for a schedule. GET: nothing is changed.
    """
    schedules: Any = site.get_model_admin(ScheduledTask)
    if not schedules.has_view_permission(request):
        raise PermissionDenied
    context = {**site.each_context(request), "title": _("What-if")}
    seen = visible(request.user, ScheduledTask.objects.all())
    is_asked_for = {"takes", "schedule", "play"} & request.GET.keys()
    load = _load_of(seen)
    is_quick = load.due <= QUICK
    if is_quick or is_asked_for or "X-Live" in request.headers:
        context |= _played(request, seen, load, is_fresh=is_quick)
        context["may_add"] = schedules.has_add_permission(request)
        context["may_move"] = schedules.has_change_permission(request)
    else:
        context |= {"refresh_ms": PLAY_AFTER_MS, "patience_ms": PATIENCE_MS}
    return TemplateResponse(request, "admin/tasks/what_if.html", context)


@dataclass(frozen=True, slots=True)
class Load:
    """How many schedules there are, about how much is due of them, and their latest change.

    As much is due in the coming days as was in the last 7, about: the coming days of a small load
    can be played while somebody waits for the page.
    """

    schedules: int
    due: int
    changed: int | None


def _load_of(schedules: Schedules) -> Load:
    runs: Any = sum(F(f"week__{name}") for name in ("finished", "failed", "missed", "skipped"))
    live = schedules.filter(status__in=ScheduledTask.LIVE).order_by()
    found = live.aggregate(number=Count("pk"), runs=Sum(runs, default=0))
    changed = ScheduleChange.objects.aggregate(newest=Max("pk"))["newest"]
    return Load(found["number"], found["number"] + found["runs"], changed)


def _present(schedules: Schedules, workers: Workers) -> tuple[list[Planned], Simulation]:
    """Return what is planned, and the coming days as they are by that."""
    planned = read_planned(schedules)
    return planned, _play(planned, workers)


def _play(planned: Iterable[Planned], workers: Workers) -> Simulation:
    return simulate(planned, workers, clock.now(), DAYS, PLAYED_AT_MOST)


def _played(
    request: HttpRequest, schedules: Schedules, load: Load, *, is_fresh: bool
) -> dict[str, Any]:
    """Return what the simulations say, at most two; unless fresh the first is up to a minute old.

    It isn't older than the latest change of a schedule. A change that is tried is always played
    anew.
    """
    query, now = request.GET, clock.now()
    workers, obstacle = _workers()
    planned, present = kept(
        ("what-if", limits(request.user), tuple(workers), load.schedules, load.changed),
        KEPT_FOR,
        lambda: _present(schedules, workers),
        is_fresh=is_fresh,
    )
    job_form = NewJobForm(
        query if "takes" in query else None, queues=usable_queues(), label_suffix=""
    )
    form = ScheduleForm(query if "schedule" in query else None, planned=planned, label_suffix="")
    job = job_form.cleaned_data if job_form.is_bound and job_form.is_valid() else None
    chosen = form.cleaned_data["schedule"] if form.is_bound and form.is_valid() else None
    trial = trial_of(query, planned, chosen, job, now)
    if chosen is not None:  # Also one that a link has named by its primary key.
        form = ScheduleForm(initial={"schedule": chosen.name}, planned=planned, label_suffix="")
    shown = present
    found: dict[str, Any] = {}
    if trial is not None:
        shown = simulate_beside(trial.planned, workers, present)
        found = {"trial": trial, "effects": effects(trial, present, shown), **_way_on(trial, job)}
    elif chosen is not None:
        others = _play((one for one in planned if one is not chosen), workers)
        moves = moves_of(chosen, others, now)
        found = {
            "busy_now": round(100 * moves.busy_now),
            "better": better_times(chosen, moves),
            "in_the_way": in_the_way(moves.obstacle, chosen, others.end),
        }
    elif job is not None:
        found = {"suggestions": suggestions(present, job)}
    found |= {"job_form": job_form, "schedule_form": form, "chosen": chosen}
    unknown = sum(not one.is_known for one in planned)
    return {"obstacle": obstacle, "unknown": unknown, **found, **_load(shown)}


def _way_on(trial: Trial, job: dict[str, Any] | None) -> dict[str, Any]:
    """Return where the tried change is made, and where the other times are."""
    if trial.moved is not None:
        chosen, by = trial.moved
        return {"by": by_in_units(by), "back_url": f"?{urlencode({'schedule': chosen.pk})}"}
    assert job is not None
    add = {"cron": trial.changed.spec.cron, "queue": trial.changed.queue}
    add["timezone"] = trial.changed.spec.timezone
    return {"add_url": _add_url(add), "back_url": f"?{urlencode(_asked(job))}"}


def _load(simulation: Simulation) -> dict[str, Any]:
    """Return the panels on the load of the coming days."""
    begin, end = simulation.begin, simulation.end
    return {
        "simulation": simulation,
        "labels": lanes.labels(
            lanes.midnights(begin, end), begin, end, pgettext("date format", "D j")
        ),
        "queues": [queue_row(load, simulation) for load in simulation.queues.values()],
        "fillers": fillers(simulation),
        "overlapping": simulation.overlapping[:OVERLAPS_SHOWN],
        "waiting": longest_waits(simulation),
    }


def fillers(simulation: Simulation) -> list[Filler]:
    """Return the schedules that take most of the time of workers whose queues are full at times."""
    full = {name for name in simulation.queues if simulation.full_hours(name)}
    span = simulation.end - simulation.begin
    found = [
        Filler(one, round(100 * one.runs * one.planned.takes / (span * room)))
        for one in simulation.outlooks
        if one.runs and one.planned.queue in full
        for room in [simulation.queues[one.planned.queue].room[one.planned.kind]]
    ]
    found.sort(key=lambda one: (-one.percent, one.outlook.planned.name))
    return [one for one in found[:FILLERS_SHOWN] if one.percent]


def _workers() -> tuple[Workers, str]:
    """Return the workers that there are, and why that isn't known."""
    try:
        return played(read_snapshot(connect()).workers), ""
    except RedisError as error:
        return [], str(error)


def suggestions(simulation: Simulation, job: dict[str, Any]) -> list[Suggestion]:
    """Return the emptiest times for a job, with links that add a schedule then, or try one."""
    every, takes = Every(job["every"]), timedelta(seconds=job["takes"])
    found = []
    for slot in simulation.emptiest(job["queue"], takes, every):
        cron = _cron(slot, every)
        add = {"cron": cron, "queue": job["queue"]}
        add["timezone"] = timezone.get_current_timezone_name()
        try_url = f"?{urlencode(_asked(job) | {'cron': cron})}"
        words, percent = in_words(slot, every), round(100 * slot.busy)
        found.append(Suggestion(words, percent, _add_url(add), try_url))
    return found


def _asked(job: dict[str, Any]) -> dict[str, str]:
    """Return the query by which the page is asked for times for a job."""
    return {"takes": str(job["takes"]), "queue": job["queue"], "every": job["every"]}


def _add_url(values: dict[str, Any]) -> str:
    return f"{reverse('admin:tasks_scheduledtask_add')}?{urlencode(values)}"


def in_words(slot: Slot, every: Every) -> str:
    """Say when a job is due that repeats from a slot on, by the viewer's clock."""
    local = timezone.localtime(slot.first)
    if every == Every.HOUR:
        return _("every hour at :%(minute)02d") % {"minute": local.minute}
    time = f"{local:%H:%M}"
    if every == Every.DAY:
        return _("every day at %(time)s") % {"time": time}
    return _("every %(day)s at %(time)s") % {"day": formats.date_format(local, "l"), "time": time}


def _cron(slot: Slot, every: Every) -> str:
    """Return the expression of a job that repeats from a slot on, by the viewer's clock."""
    local = timezone.localtime(slot.first)
    hour, weekday = ("*", "*") if every == Every.HOUR else (str(local.hour), "*")
    if every == Every.WEEK:
        weekday = f"{local:%a}".upper()
    return f"{local.minute} {hour} * * {weekday}"


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
