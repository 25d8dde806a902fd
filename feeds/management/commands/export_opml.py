"""Export all feeds as a list that other feed readers import."""

import os
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from feeds import opml
from feeds.exporting import outlines_of
from feeds.models import Feed
from tasks.management.tables import OnTables

# Only its owner can read it: addresses may have passwords in them.
PRIVATE = 0o600


class Command(OnTables):
    help = (
        "Write all feeds as OPML, with their tags as folders. Their addresses are complete, also "
        "the passwords in them: keep the file to yourself."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", nargs="?", metavar="FILE", help="where to (default: standard output)"
        )

    def handle(self, *args: Any, file: str | None, **options: Any) -> None:
        outlines = outlines_of(Feed.objects.all())
        document = opml.write(outlines)
        if file is None:
            self.stdout.write(document.decode(), ending="")
            return
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
            with os.fdopen(descriptor, "wb") as target:
                target.write(document)
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            _("%(number)d feeds are in %(file)s.") % {"number": len(outlines), "file": file}
        )
