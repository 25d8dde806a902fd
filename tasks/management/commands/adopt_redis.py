"""The command that makes the keys in Redis this database's own."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from redis.exceptions import RedisError
from rq.defaults import RQ_KEY_PREFIX

from tasks.broker.connection import connect
from tasks.ledger.adoption import Choice, Outcome, adopt
from tasks.management.tables import OnTables


class Command(OnTables):
    help = (
        "Make the keys in Redis this database's own: after it was restored from a backup, for a "
        "copy of it that others left the keys to, or where another database had them. The "
        "processes of any other database, and of any copy of this one, then stop within seconds. "
        "Say what becomes of what was due meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        group = parser.add_mutually_exclusive_group(required=True)
        group.add_argument(
            "--run",
            action="store_const",
            dest="choice",
            const="run",
            help="run what was due meanwhile, by each schedule's catch-up policy",
        )
        group.add_argument(
            "--missed",
            action="store_const",
            dest="choice",
            const="missed",
            help="record what was due meanwhile as missed: it ran elsewhere, or must not run",
        )

    def handle(self, *args: Any, choice: Choice, **options: Any) -> None:
        try:
            outcome = adopt(connect(), choice)
        except RedisError as error:
            raise CommandError(
                _("Call it again when Redis can be used: %(error)s") % {"error": error}
            ) from error
        for line in (*_whose(outcome), *_what_becomes(outcome, choice)):
            self.stdout.write(line)


def _whose(outcome: Outcome) -> list[str]:
    """Say whose the keys are now, and whose they were."""
    assert outcome.own is not None
    values = {"prefix": RQ_KEY_PREFIX, "own": outcome.own.name}
    lines = [_("The keys “%(prefix)s:…” in Redis belong to this database: %(own)s.") % values]
    if outcome.former is not None:
        lines.append(_("Until now they belonged to %(name)s.") % {"name": outcome.former.name})
    n = outcome.jobs_removed
    lines.append(
        ngettext(
            "%(n)d job that waited there was removed; what this database waits for is put there "
            "again.",
            "%(n)d jobs that waited there were removed; what this database waits for is put there "
            "again.",
            n,
        )
        % {"n": n}
    )
    return lines


def _what_becomes(outcome: Outcome, choice: Choice) -> list[str]:
    """Say what becomes of what was due before."""
    values = asdict(outcome)
    if choice == "run":
        texts = [
            _(
                "Occurrences that were due and have no row: %(to_run)d run, %(missed)d are "
                "recorded as missed, by the schedules' catch-up policies."
            ),
            _("Background calls that waited: %(calls)d run."),
            _("Requested runs that had not started: %(requests)d run."),
            _("Failed runs that had attempts left: %(retries)d are tried again."),
            _("Runs that were running: %(unleased)d are closed as lost."),
        ]
    else:
        texts = [
            _(
                "Occurrences that were due and have no row: %(missed)d have been recorded as "
                "missed."
            ),
            _("Background calls that waited: %(calls)d have been cancelled."),
            _("Requested runs that had not started: %(requests)d have been called off."),
            _("Failed runs that had attempts left: %(retries)d are not tried again."),
            _("Runs that were running: %(unleased)d have been closed, and are not tried again."),
        ]
    return [text % values for text in texts]
