"""What-if: a change that is tried before it is made, and better times for a schedule."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from tasks.admin_pages.formatting import short_duration
from tasks.exceptions import SpecError
from tasks.reports.moves import Moves, Obstacle
from tasks.reports.simulation import Outlook, Planned, Simulation
from tasks.timing.describe import describe
from tasks.timing.moving import CannotMove, moved
from tasks.timing.spec import Spec

MINUTE = timedelta(minutes=1)
# The units of the page that moves a schedule, the largest first.
UNITS = (("days", 1440), ("hours", 60), ("minutes", 1))
LONGEST_NUMBER = 6
# The key of a schedule that isn't stored.
NEW = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """A change as if it were made: what is planned then, and in words when it is due.

    `moved` is the schedule that is moved, and by how much; None if a new one is tried.
    """

    planned: list[Planned]
    changed: Planned
    words: str
    moved: tuple[Planned, timedelta] | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change makes better or worse: a value before it and after it."""

    label: str
    before: str
    after: str
    is_worse: bool


@dataclass(frozen=True, slots=True)
class BetterTime:
    """A time to which a schedule can be moved: in words, how busy the workers are, and by what."""

    words: str
    percent: int
    by: dict[str, Any]
    try_url: str


def meant(planned: Sequence[Planned], text: str) -> list[Planned]:
    """Return the schedules that a text means: the one with this primary key, or this name."""
    keyed = [one for one in planned if str(one.pk) == text]
    return keyed or [one for one in planned if one.name == text]


def trial_of(
    query: QueryDict,
    planned: Sequence[Planned],
    chosen: Planned | None,
    job: dict[str, Any] | None,
    now: datetime,
) -> Trial | None:
    """Return the change that the address asks to try, None if it asks for none that is possible."""
    by, cron = query.get("by", ""), query.get("cron", "")
    try:
        if chosen is not None and by:
            return _moved(planned, chosen, _minutes(by), now)
        if job is not None and cron:
            return _added(planned, job, cron)
    except (CannotMove, SpecError):
        return None
    return None


def _minutes(text: str) -> timedelta:
    digits = text.removeprefix("-")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < LONGEST_NUMBER
    return int(text) * MINUTE if is_number else timedelta()


def _moved(planned: Sequence[Planned], chosen: Planned, by: timedelta, now: datetime) -> Trial:
    after = dataclasses.replace(chosen, spec=moved(chosen.spec, by, now))
    others = [after if one is chosen else one for one in planned]
    return Trial(others, after, describe(after.spec), (chosen, by))


def _added(planned: Sequence[Planned], job: dict[str, Any], cron: str) -> Trial:
    spec = Spec(cron=cron, timezone=timezone.get_current_timezone_name())
    takes = timedelta(seconds=job["takes"])
    added = Planned(NEW, _("the new job"), job["queue"], spec, takes)
    return Trial([*planned, added], added, describe(spec))


def effects(trial: Trial, before: Simulation, after: Simulation) -> list[Effect]:
    """Return what a change would do to its queue and to itself."""
    queue, pk = trial.changed.queue, trial.changed.pk
    both = (before, after)
    hours, waits = _("Full hours of %(queue)s"), _("Longest wait on %(queue)s")
    return [
        _effect(hours % {"queue": queue}, [_full_hours(one, queue) for one in both], str),
        _effect(waits % {"queue": queue}, [_wait(one, queue) for one in both], _span),
        _effect(
            _("Its dues that find it still running"), [_overlaps(one, pk) for one in both], str
        ),
    ]


def _effect(label: str, values: Sequence[Any], shown: Callable[[Any], str]) -> Effect:
    before, after = values
    return Effect(label, shown(before), shown(after), after > before)


def _span(span: timedelta) -> str:
    return short_duration(span) if span else _("none")


def _full_hours(simulation: Simulation, queue: str) -> int:
    return len(simulation.full_hours(queue)) if queue in simulation.queues else 0


def _wait(simulation: Simulation, queue: str) -> timedelta:
    load = simulation.queues.get(queue)
    return load.longest_wait if load else timedelta()


def _overlaps(simulation: Simulation, pk: int) -> int:
    found: Outlook | None = next((one for one in simulation.outlooks if one.planned.pk == pk), None)
    return found.overlaps if found else 0


def better_times(chosen: Planned, moves: Moves) -> list[BetterTime]:
    """Return the times to which a schedule can be moved, with what the page that asks is sent."""
    return [
        BetterTime(
            describe(move.spec),
            round(100 * move.busy),
            by_in_units(move.by),
            f"?{urlencode({'schedule': chosen.pk, 'by': move.by // MINUTE})}",
        )
        for move in moves.better
    ]


def in_the_way(obstacle: Obstacle | None, chosen: Planned, until: datetime) -> str:
    """Say why there are no better times for a schedule."""
    texts: dict[Obstacle | None, str] = {
        Obstacle.NO_WORKER: _(
            "No worker serves the queue “%(queue)s”: start one to see which times are empty."
        ),
        Obstacle.NOT_DUE: _("“%(name)s” isn't due before %(until)s, when what is played ends."),
        Obstacle.TOO_OFTEN: _("“%(name)s” is due too often to be moved to other times."),
        Obstacle.BOUND: _(
            "“%(name)s” can't be moved to an emptier time: it would be due on other days, or no "
            "single cron expression says when."
        ),
    }
    if obstacle not in texts:
        return ""
    shown = formats.date_format(timezone.localtime(until), _("D j M, H:i"))
    return texts[obstacle] % {"name": chosen.name, "queue": chosen.queue, "until": shown}


def by_in_units(by: timedelta) -> dict[str, Any]:
    """Return a length of time as the form that moves a schedule takes it."""
    minutes = abs(by) // MINUTE
    unit, size = next(pair for pair in UNITS if not minutes % pair[1])
    direction = "later" if by > timedelta() else "earlier"
    return {"amount": minutes // size, "unit": unit, "direction": direction}
