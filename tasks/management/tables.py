"""Commands that need the tables of the database, and say so where there are none yet."""

from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error
from django.utils.translation import gettext as _

from tasks.database import connection
from tasks.models import ScheduledTask


class OnTables(BaseCommand):
    """A command that raises CommandError in place of doing anything if there are no tables yet."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Check that there are tables, and run the command."""
        check_tables()
        return super().execute(*args, **options)


def check_tables() -> None:
    """Raise CommandError if the database has no tables yet.

    If it is unavailable nothing is said here: some commands wait until it is back.
    """
    with suppress(Error):
        if ScheduledTask._meta.db_table not in connection.introspection.table_names():
            raise CommandError(_("The database has no tables yet: run manage.py migrate first."))
