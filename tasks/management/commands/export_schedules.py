"""The command that writes the definitions of schedules as YAML or JSON."""

from typing import Any

from django.core.management.base import CommandParser
from django.utils.translation import gettext as _

from tasks.management.tables import OnTables
from tasks.transfer import FORMATS, bound, exported


class Command(OnTables):
    help = (
        "Write the schedules that have not ended, and the calendars that they use, to the standard "
        "output, as import_schedules reads them: their definitions, without runs. Arguments are "
        "written as they are, secrets included. A schedule whose arguments name rows of this "
        "database, such as that of a feed, is left out, and named on the standard error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: yaml")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(exported(options["format"]), ending="")
        for schedule in bound():
            text = _("“%(name)s” is left out: its arguments name rows of this database (%(rows)s).")
            rows = ", ".join(map(str, schedule.instances()))
            self.stderr.write(self.style.WARNING(text % {"name": schedule.name, "rows": rows}))
