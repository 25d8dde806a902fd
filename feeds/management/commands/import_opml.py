"""Import the feeds of a list that another feed reader has exported."""

import re
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from feeds import opml
from feeds.addresses import typed_url
from feeds.importing import Outcome, Result, import_feeds, summary
from feeds.management.options import OneLineCommand, add_schedule_options, schedule_options
from feeds.remote import look_at
from tasks.broker.ownership import why_not_in_redis
from tasks.exceptions import TasksError

BAR = 30


class Command(OneLineCommand):
    help = (
        "Poll the feeds of an OPML list from now on. The folders that a feed is in are its tags. "
        "What is here already stays as it is and gets the tags."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("source", metavar="FILE|URL", help="a file, an address, or - for stdin")
        add_schedule_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            given = schedule_options(options)
            outlines = opml.read(_document(options["source"]))
            try:
                results = import_feeds(outlines, progress=self._show_progress, **given)
            finally:
                self._show_progress(0, 0)
        except (TasksError, OSError) as error:
            raise CommandError(" ".join(str(error).split())) from error
        for result in results:
            self.stdout.write(_line(result))
        self.stdout.write(summary(results))
        feeds = [result.feed for result in results if result.feed is not None]
        if any(feed.schedule and feed.schedule.projected is False for feed in feeds):
            self.stderr.write(self.style.WARNING(why_not_in_redis()))

    def _show_progress(self, done: int, total: int) -> None:
        """Draw a bar on a terminal; nothing is left of it in the end."""
        if not self.stderr.isatty():
            return
        bar = ""
        if total:
            filled = BAR * done // total
            bar = f"[{'#' * filled}{'.' * (BAR - filled)}] {done:,} / {total:,}"
        self.stderr.write(f"\r\033[K{bar}", ending="")
        self.stderr.flush()


def _document(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read(opml.MAX_BYTES + 1)
    if re.match("(https?|feed):", source, re.IGNORECASE):
        return look_at(typed_url(source)).body
    with Path(source).open("rb") as file:
        return file.read(opml.MAX_BYTES + 1)


def _line(result: Result) -> str:
    words = {
        Outcome.NEW: _("new"),
        Outcome.KNOWN: _("known"),
        Outcome.REFUSED: _("refused"),
    }
    text = f"{words[result.outcome]}  {result.url}"
    if result.outcome == Outcome.REFUSED:
        why = {"line": result.outline.line, "text": text, "why": result.problem}
        return _("%(text)s (line %(line)d): %(why)s") % why
    tags = ", ".join(result.outline.tags)
    return f"{text} ({tags})" if tags else text
