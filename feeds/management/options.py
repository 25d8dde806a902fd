"""What the commands that schedule feeds have in common: their options and how they refuse."""

import sys
from argparse import BooleanOptionalAction
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from tasks.management.tables import OnTables
from tasks.timing.text import parse_interval

# The options that --timezone applies to.
ZONED = ("cron", "exclude", "calendar")


class OneLineCommand(OnTables):
    """A command that reports wrong options like any other error: on one line, exit code 1."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.error = self._refuse  # type: ignore[method-assign]

    def _refuse(self, message: str) -> NoReturn:
        error = CommandError(_("%(message)s. See --help.") % {"message": message})
        if not getattr(self, "_called_from_command_line", False):
            raise error
        self.stderr.write(f"CommandError: {error}")
        sys.exit(error.returncode)


def add_schedule_options(parser: CommandParser) -> None:
    """Add the options that say when feeds are polled, and on which queue."""
    parser.add_argument(
        "--every", metavar="TIME", help="how often, such as 90s, 15m, 2h or 1d (default: 15m)"
    )
    parser.add_argument("--cron", metavar="EXPR", help="when, such as “30 6 * * MON-FRI”")
    parser.add_argument(
        "--timezone", metavar="ZONE", help="of --cron and the dates, such as Europe/Berlin"
    )
    parser.add_argument(
        "--exclude",
        metavar="DATES",
        help="dates without a poll, such as 2026-12-24..2026-12-26,2027-01-01",
    )
    parser.add_argument("--calendar", metavar="NAME", help="a calendar of such dates")
    parser.add_argument(
        "--jitter", metavar="TIME", help="delay by a constant part of this, such as 10m"
    )
    parser.add_argument(
        "--adaptive",
        action=BooleanOptionalAction,
        help="ask less often, but at least once a day, if the feed publishes rarely",
    )
    parser.add_argument(
        "--ignore-hints",
        action=BooleanOptionalAction,
        dest="ignores_hints",
        help="ask as often as that even if its server or the feed itself says that nothing new is "
        "to be expected",
    )
    parser.add_argument(
        "--queue", help="the queue of the runs (default: feeds, where there is one)"
    )


def schedule_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return these options as `feeds.services.schedule_feed` takes them.

    Raises CommandError for those that don't go together, SpecError for lengths of time that are
    none.
    """
    if options["every"] is not None and options["cron"] is not None:
        raise CommandError(_("Give either --every or --cron."))
    if options["timezone"] is not None and not any(options[name] for name in ZONED):
        raise CommandError(
            _("--timezone is the time zone of --cron, --exclude or --calendar: give one of them.")
        )
    spans = {
        name: None if options[option] is None else parse_interval(options[option])
        for name, option in (("interval", "every"), ("jitter", "jitter"))
    }
    others = ("timezone", "queue", "adaptive", "ignores_hints", *ZONED)
    return spans | {name: options[name] for name in others}
