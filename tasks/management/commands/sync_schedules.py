"""The command that applies the lists of schedules that apps declare."""

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.translation import gettext as _

from tasks.changes.lists import sync_lists
from tasks.exceptions import TasksError
from tasks.lists import ATTRIBUTE, MODULE, Change, ScheduleList, declared_lists
from tasks.management.diff import summary, unprojected, write_changes
from tasks.management.tables import OnTables


class Command(OnTables):
    help = (
        "Make the stored schedules match the lists that apps declare as SCHEDULES in their module "
        "schedules.py, and print what changes: + added, ~ changed, - cancelled. What has left the "
        "list of its app is cancelled; all other schedules are left alone. If an entry is invalid, "
        "all invalid ones are named and nothing is changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only print what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run = options["dry_run"]
        try:
            lists = declared_lists()
            changes = sync_lists(lists, dry_run=dry_run)
        except TasksError as error:
            raise CommandError(str(error)) from error
        if not lists:
            names = {"module": f"{MODULE}.py", "list": ATTRIBUTE}
            self.stdout.write(_("No app declares a list %(list)s in %(module)s.") % names)
            return
        self._write(lists, changes)
        self.stdout.write(summary(changes, dry_run=dry_run))
        if warning := unprojected(changes):
            self.stderr.write(self.style.WARNING(warning))

    def _write(self, lists: Sequence[ScheduleList], changes: Sequence[Change[Any]]) -> None:
        for one in lists:
            self.stdout.write(f"{one.owner}:")
            own = [change for change in changes if change.record.list_owner == one.owner]
            write_changes(own, lambda line: self.stdout.write(f"  {line}"))
