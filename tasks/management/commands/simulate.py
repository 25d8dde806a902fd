"""The command that shows what the coming days would be like."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis.exceptions import RedisError

from tasks.broker.connection import connect
from tasks.exceptions import SpecError
from tasks.management.columns import fit
from tasks.management.tables import OnTables
from tasks.models import ScheduledTask
from tasks.queue import usable_queues
from tasks.reports.in_redis import read_snapshot
from tasks.reports.simulation import (
    Every,
    PlayedWorker,
    QueueLoad,
    Simulation,
    played,
    simulate_schedules,
)
from tasks.timing.text import parse_interval
from tasks.worker.concurrency import coroutines_at_a_time

MOST_DAYS, SHOWN = 31, 10


class Command(OnTables):
    help = (
        "Show what the coming days would be like, by the specs and by how long runs have taken: "
        "the load of each queue, what would overlap or wait, and the emptiest times for a new "
        "job. Nothing is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=7, help="how many (default: 7)")
        parser.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="play with N workers for all queues instead of those that run now",
        )
        parser.add_argument("--takes", metavar="D", help="how long a new job takes, such as 10m")
        parser.add_argument("--queue", default="default", help="its queue (default: default)")
        parser.add_argument(
            "--every",
            choices=[every.value for every in Every],
            default=Every.DAY.value,
            help="how often it is to run (default: day)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= MOST_DAYS:
            raise CommandError(_("--days must be from 1 to %(most)d.") % {"most": MOST_DAYS})
        takes = _takes(options["takes"])
        workers = _workers(options["workers"])
        simulation = simulate_schedules(ScheduledTask.objects.all(), workers, options["days"])
        self._show_loads(simulation)
        self._show_overlaps(simulation)
        if takes is not None:
            self._show_slots(simulation, options["queue"], takes, Every(options["every"]))

    def _show_loads(self, simulation: Simulation) -> None:
        self.stdout.write(
            _("From %(begin)s to %(end)s:")
            % {"begin": _time(simulation.begin), "end": _time(simulation.end)}
        )
        if not simulation.is_whole:
            self.stdout.write(_("(What comes later is too much to be played.)"))
        for load in simulation.queues.values():
            self.stdout.write(f"  {fit(load.name, 16)} {_summary(load)}")
            full = simulation.full_hours(load.name)
            if full:
                text = ngettext(
                    "%(n)d hour without time left, the first at %(first)s",
                    "%(n)d hours without time left, the first at %(first)s",
                    len(full),
                )
                self.stdout.write(
                    f"  {fit('', 16)} {text % {'n': len(full), 'first': _time(full[0])}}"
                )

    def _show_overlaps(self, simulation: Simulation) -> None:
        for one in simulation.overlapping[:SHOWN]:
            values = {"name": one.planned.name, "n": one.overlaps}
            text = ngettext(
                "“%(name)s”: %(n)d due finds the run before still going on.",
                "“%(name)s”: %(n)d dues find the run before still going on.",
                one.overlaps,
            )
            self.stdout.write(text % values)
        more = len(simulation.overlapping) - SHOWN
        if more > 0:
            self.stdout.write(
                ngettext("… and %d more schedule", "… and %d more schedules", more) % more
            )

    def _show_slots(
        self, simulation: Simulation, queue: str, takes: timedelta, every: Every
    ) -> None:
        slots = simulation.emptiest(queue, takes, every)
        if not slots:
            raise CommandError(
                _("No worker serves the queue “%(queue)s”: --workers 1 plays with one.")
                % {"queue": queue}
            )
        self.stdout.write(_("The emptiest times:"))
        for slot in slots:
            busy = _("its workers are busy for up to %(percent)d %%") % {
                "percent": round(100 * slot.busy)
            }
            self.stdout.write(f"  {_first(slot.first, every)}: {busy}")


def _takes(text: str | None) -> timedelta | None:
    try:
        return None if text is None else timedelta(seconds=parse_interval(text))
    except SpecError as error:
        raise CommandError(f"--takes: {error}") from error


def _workers(number: int | None) -> Sequence[PlayedWorker]:
    if number is not None:
        if number < 1:
            raise CommandError(_("At least one worker is needed: --workers 1"))
        return [PlayedWorker(tuple(usable_queues()), coroutines_at_a_time())] * number
    try:
        return played(read_snapshot(connect()).workers)
    except RedisError as error:
        raise CommandError(
            _("Redis is unavailable (%(error)s): --workers N says how many workers there are.")
            % {"error": error}
        ) from error


def _summary(load: QueueLoad) -> str:
    runs = ngettext("%(n)d run", "%(n)d runs", load.runs) % {"n": load.runs}
    work = _("%(hours).1f h of work") % {"hours": load.work / timedelta(hours=1)}
    if not load.workers:
        return f"{runs}, {work}, " + _("and no worker")
    workers = ngettext("%(n)d worker", "%(n)d workers", load.workers) % {"n": load.workers}
    peak = _("at most %(percent)d %% busy") % {"percent": round(100 * load.peak)}
    parts = [runs, work, workers, peak]
    if load.longest_wait_at is not None:
        parts.append(
            _("longest wait %(seconds)d s at %(at)s")
            % {"seconds": load.longest_wait.total_seconds(), "at": _time(load.longest_wait_at)}
        )
    return ", ".join(parts)


def _time(instant: datetime) -> str:
    return f"{timezone.localtime(instant):%Y-%m-%d %H:%M %Z}"


def _first(instant: datetime, every: Every) -> str:
    """Say when a job is due that repeats from an instant on."""
    local = timezone.localtime(instant)
    if every == Every.HOUR:
        return _("every hour at :%(minute)02d") % {"minute": local.minute}
    if every == Every.DAY:
        return _("every day at %(time)s") % {"time": f"{local:%H:%M}"}
    day = date_format(local, "l")
    return _("every %(day)s at %(time)s") % {"day": day, "time": f"{local:%H:%M}"}
