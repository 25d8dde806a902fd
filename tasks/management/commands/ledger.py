"""The command that shows whether the books close."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks.ledger.audit import NAMED, Instants, Tally, tallies
from tasks.management.arguments import find_schedule, parse_moment
from tasks.management.columns import fit, width
from tasks.models import ScheduledTask, ScheduledTaskInstance

Status = ScheduledTaskInstance.Status
NAME_COLUMNS = 32
OUTCOMES = (Status.FINISHED, Status.FAILED, Status.CANCELED, Status.MISSED, Status.SKIPPED)
# With the columns that their numbers have at least.
HEADINGS = (
    (gettext_lazy("due"), 9),
    *((status.label, 8) for status in OUTCOMES),
    (gettext_lazy("in flight"), 9),
    (gettext_lazy("overdue"), 7),
    (gettext_lazy("missing"), 6),
    (gettext_lazy("unexpected"), 6),
)


class Command(BaseCommand):
    help = (
        "Check the books: lay what was due by each schedule's spec beside the rows. A hole is a "
        "due instant without a row though the books are closed over it, a stray is the row of an "
        "instant that was not due. What is still open ten minutes after it was due is overdue: it "
        "waits for a worker or for the scheduler. Exit code 1 if there is any of these."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--schedule", metavar="S", help="only this one: its id or name")
        parser.add_argument(
            "--since",
            metavar="T",
            help="only what was due from then on, such as 2026-01-31 or 2026-01-31T06:30:00+01:00",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        begin = parse_moment(options["since"]) if options["since"] is not None else None
        pks: Iterable[int]
        if options["schedule"] is not None:
            pks = [find_schedule(options["schedule"]).pk]
        else:
            pks = ScheduledTask.objects.order_by("pk").values_list("pk", flat=True).iterator()
        self._row(_("Schedule"), [str(label) for label, _columns in HEADINGS])
        total: Counter[str] = Counter()
        for tally in tallies(pks, begin):
            self._write(tally)
            total += _numbers(tally) + Counter(schedules=1, problems=int(bool(tally.problem)))
        self._conclude(total)

    def _write(self, tally: Tally) -> None:
        schedule = tally.schedule
        self._row(f"{schedule.pk} {schedule.name}", _cells(_numbers(tally)))
        self._name(tally.overdue, _("overdue: %(moment)s waits for a worker or the scheduler"))
        self._name(tally.missing, _("hole: %(moment)s has no row"))
        self._name(tally.unexpected, _("stray: %(moment)s was not due"))
        if tally.problem:
            self.stdout.write("    " + _("problem: %(text)s") % {"text": tally.problem})

    def _name(self, instants: Instants, text: str) -> None:
        for due in instants.first:
            self.stdout.write("    " + text % {"moment": _moment(due)})
        if instants.number > NAMED:
            self.stdout.write("    " + _("and %(n)d more") % {"n": instants.number - NAMED})

    def _row(self, name: str, cells: list[str]) -> None:
        texts = [
            " " * (max(columns, width(str(label))) - width(cell)) + cell
            for (label, columns), cell in zip(HEADINGS, cells, strict=True)
        ]
        self.stdout.write(" ".join([fit(" ".join(name.split()), NAME_COLUMNS), *texts]))

    def _conclude(self, total: Counter[str]) -> None:
        if total["schedules"] > 1:
            self._row(_("Total"), _cells(total))
        words = {
            "overdue": ngettext("%(n)d overdue", "%(n)d overdue", total["overdue"]),
            "missing": ngettext("%(n)d hole", "%(n)d missing", total["missing"]),
            "unexpected": ngettext("%(n)d stray", "%(n)d unexpected", total["unexpected"]),
            "problems": ngettext("%(n)d problem", "%(n)d problems", total["problems"]),
        }
        amiss = [text % {"n": total[key]} for key, text in words.items() if total[key]]
        if amiss:
            raise CommandError(_("The books don't close: %(found)s.") % {"found": ", ".join(amiss)})
        self.stdout.write(self.style.SUCCESS(_("The books close.")))


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
    keys = (
        "due",
        *(status.value for status in OUTCOMES),
        "in_flight",
        "overdue",
        "missing",
        "unexpected",
    )
    return [f"{numbers[key]:,}" for key in keys]


def _moment(moment: datetime) -> str:
    return timezone.localtime(moment).isoformat(sep=" ", timespec="milliseconds")
