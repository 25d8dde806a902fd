"""The command that stores the definitions of schedules that export_schedules has written."""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from tasks.exceptions import TasksError
from tasks.management.diff import summary, unprojected, write_changes
from tasks.management.tables import OnTables
from tasks.transfer import FORMATS, import_document, read

STDIN = "-"


class Command(OnTables):
    help = (
        "Store the schedules and calendars that export_schedules has written, and print what "
        "changes: + added, ~ changed. What is stored with the same name, function and arguments is "
        "changed; nothing is cancelled or deleted. If an entry is invalid, all invalid ones are "
        "named and nothing is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the file, - for the standard input")
        parser.add_argument(
            "--format", choices=FORMATS, help="default: json for a file named *.json, else yaml"
        )
        parser.add_argument("--dry-run", action="store_true", help="only print what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        name, dry_run = options["file"], options["dry_run"]
        guessed = "json" if name.lower().endswith(".json") else "yaml"
        try:
            document = read(_text(name), options["format"] or guessed)
            changes = import_document(document, dry_run=dry_run)
        except TasksError as error:
            raise CommandError(str(error)) from error
        write_changes(changes, self.stdout.write)
        self.stdout.write(summary(changes, dry_run=dry_run))
        if warning := unprojected(changes):
            self.stderr.write(self.style.WARNING(warning))


def _text(name: str) -> str:
    try:
        return sys.stdin.read() if name == STDIN else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            _("%(file)s can't be read: %(error)s") % {"file": name, "error": error}
        ) from error
