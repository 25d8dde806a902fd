"""The command that runs a past range of a schedule."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.exceptions import TasksError
from tasks.management.arguments import find_schedule, parse_time
from tasks.management.tables import OnTables
from tasks.runs.backfill import DEFAULT_LIMIT
from tasks.services import SchedulerService
from tasks.timing.instants import MICROSECOND


class Command(OnTables):
    help = (
        "Run the occurrences of a past range of a schedule that never ran: those without a row, or "
        "recorded as missed or skipped. The range includes both ends."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("schedule", metavar="S", help="the schedule's id or name")
        for end in ("from", "to"):
            parser.add_argument(
                f"--{end}",
                metavar="T",
                required=True,
                help="such as 2026-01-31 or 2026-01-31T06:30:00+01:00",
            )
        parser.add_argument(
            "--limit",
            type=int,
            metavar="N",
            default=DEFAULT_LIMIT,
            help="run nothing if there are more than N (default: %(default)s)",
        )

        parser.add_argument(
            "--failed", action="store_true", help="also what failed and isn't tried again by itself"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        schedule = find_schedule(options["schedule"])
        start, end = parse_time(options["from"]), parse_time(options["to"], is_end=True)
        try:
            runs = SchedulerService.backfill(
                schedule, start - MICROSECOND, end, options["limit"], failed=options["failed"]
            )
        except TasksError as error:
            raise CommandError(str(error)) from error
        number = len(runs)
        if not number:
            self.stdout.write(_("Nothing is left to run in that range of “%s”.") % schedule.name)
            return
        text = ngettext(
            "%(n)d run of “%(name)s” is requested.",
            "%(n)d runs of “%(name)s” are requested, one after another.",
            number,
        )
        self.stdout.write(text % {"n": number, "name": schedule.name})
