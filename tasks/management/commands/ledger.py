"""The command that shows whether the ledger closes."""

import time
from collections import Counter
from contextlib import suppress
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker.clock import notices
from tasks.broker.connection import connect
from tasks.ledger.audit import NAMED, Dues, Tally, tallies
from tasks.management.arguments import find_schedule, parse_time
from tasks.management.columns import fit, width
from tasks.management.tables import OnTables
from tasks.models import ScheduledTask, ScheduledTaskInstance

Status = ScheduledTaskInstance.Status
# How often it says how far it is, in seconds.
SAID_EVERY = 2.0
NAME_COLUMNS = 32
OUTCOMES = (Status.FINISHED, Status.FAILED, Status.CANCELED, Status.MISSED, Status.SKIPPED)
# What is counted: its heading, and the least width of its column.
COLUMNS = {
    "due": (gettext_lazy("due"), 9),
    **{status.value: (status.label, 8) for status in OUTCOMES},
    "in_flight": (gettext_lazy("in flight"), 9),
    "overdue": (gettext_lazy("overdue"), 7),
    "missing": (gettext_lazy("missing"), 6),
    "unexpected": (gettext_lazy("unexpected"), 6),
}


class Command(OnTables):
    help = (
        "Check that the ledger closes: compare what was due by each schedule's spec with the rows. "
        "An occurrence is missing if it was due and settled but has no row; a row is unexpected if "
        "it was never due. An occurrence that has not started ten minutes after its due is "
        "overdue: it waits for a worker or for the scheduler. Exit code 1 if anything is missing, "
        "unexpected or overdue, or if a schedule has a problem: a spec that is invalid, a function "
        "that is gone, arguments that it doesn't take or whose object is gone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--schedule", metavar="S", help="only the schedule with this id or name"
        )
        parser.add_argument(
            "--since",
            metavar="T",
            help="only what was due from T on, such as 2026-01-31 or 2026-01-31T06:30:00+01:00",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        begin = parse_time(options["since"]) if options["since"] is not None else None
        if begin is not None and begin > clock.now():
            raise CommandError(_("--since is in the future: nothing was due from then on."))
        if options["schedule"] is not None:
            pks = [find_schedule(options["schedule"]).pk]
        else:
            pks = list(ScheduledTask.objects.order_by("pk").values_list("pk", flat=True))
        self._row(_("Schedule"), [str(heading) for heading, _width in COLUMNS.values()])
        total: Counter[str] = Counter()
        said = time.monotonic()
        for number, tally in enumerate(tallies(pks, begin), start=1):
            self._write(tally)
            if time.monotonic() - said > SAID_EVERY:
                said = time.monotonic()
                self._say_how_far(number, len(pks))
            total += _numbers(tally) + Counter(schedules=1, problems=int(bool(tally.problem)))
        self._say_whose_clock_is_off()
        self._conclude(total)

    def _say_how_far(self, number: int, total: int) -> None:
        """Say it to who watches and doesn't see the table itself, which goes to a file."""
        if self.stderr.isatty() and not self.stdout.isatty():
            text = _("%(number)s of %(total)s schedules have been checked.")
            self.stderr.write(text % {"number": f"{number:,}", "total": f"{total:,}"})

    def _write(self, tally: Tally) -> None:
        schedule = tally.schedule
        self._row(f"{schedule.pk} {schedule.name}", _cells(_numbers(tally)))
        self._name(tally.missing, _("missing: %(due)s has no row although settled"))
        self._name(tally.unexpected, _("unexpected: %(due)s was never due"))
        self._name(tally.overdue, _("overdue: %(due)s waits for a worker or the scheduler"))
        if tally.problem:
            self.stdout.write("    " + _("problem: %(text)s") % {"text": tally.problem})

    def _name(self, dues: Dues, text: str) -> None:
        for due in dues.first:
            local = timezone.localtime(due).isoformat(sep=" ", timespec="milliseconds")
            self.stdout.write("    " + text % {"due": local})
        if dues.number > NAMED:
            self.stdout.write("    " + _("and %(n)d more") % {"n": dues.number - NAMED})

    def _say_whose_clock_is_off(self) -> None:
        with suppress(RedisError):  # The ledger itself is in the database.
            for notice in notices(connect()):
                self.stdout.write(self.style.WARNING(notice))

    def _row(self, name: str, cells: list[str]) -> None:
        texts = [
            " " * (max(least, width(str(heading))) - width(cell)) + cell
            for (heading, least), cell in zip(COLUMNS.values(), cells, strict=True)
        ]
        self.stdout.write(" ".join([fit(" ".join(name.split()), NAME_COLUMNS), *texts]))

    def _conclude(self, total: Counter[str]) -> None:
        if total["schedules"] > 1:
            self._row(_("Total"), _cells(total))
        findings = {
            "missing": ngettext("%(n)d missing", "%(n)d missing", total["missing"]),
            "unexpected": ngettext("%(n)d unexpected", "%(n)d unexpected", total["unexpected"]),
            "overdue": ngettext("%(n)d overdue", "%(n)d overdue", total["overdue"]),
            "problems": ngettext("%(n)d problem", "%(n)d problems", total["problems"]),
        }
        found = [text % {"n": total[key]} for key, text in findings.items() if total[key]]
        if found:
            raise CommandError(
                _("The ledger doesn't close: %(found)s.") % {"found": ", ".join(found)}
            )
        self.stdout.write(self.style.SUCCESS(_("The ledger closes.")))


def _numbers(tally: Tally) -> Counter[str]:
    return Counter(
        due=tally.due,
        in_flight=tally.in_flight,
        overdue=tally.overdue.number,
        missing=tally.missing.number,
        unexpected=tally.unexpected.number,
        **{status.value: tally.outcomes[status.value] for status in OUTCOMES},
    )


def _cells(numbers: Counter[str]) -> list[str]:
    return [f"{numbers[key]:,}" for key in COLUMNS]
