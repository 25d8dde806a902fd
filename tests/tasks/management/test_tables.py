"""Commands on a database without tables: one sentence, which says what to do."""

from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError
from django.db import OperationalError

from tasks.database import connection
from tasks.management.tables import check_tables
from tasks.models import ScheduledTask

# It checks a feed without storing anything, and Django's own takes what tables there are.
NEED_NONE = {"fetch", "dumpdata"}
OURS = sorted(name for name, app in get_commands().items() if app in ("tasks", "feeds"))


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in OURS if name not in NEED_NONE])
def test_a_command_on_a_database_without_tables_says_to_migrate(name: str):
    with connection.cursor() as cursor:
        table = ScheduledTask._meta.db_table
        cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_of_nobody")
    with pytest.raises(CommandError, match=r"no tables yet: run manage\.py migrate first"):
        load_command_class(get_commands()[name], name).execute()


def test_that_the_database_is_unavailable_is_for_the_command_to_say(
    monkeypatch: pytest.MonkeyPatch,
):
    def refuse(*args: Any) -> Any:
        raise OperationalError("unavailable")

    monkeypatch.setattr(connection.introspection, "table_names", refuse)
    check_tables()
