"""Writes entries by a statement that is put together once.

To do so each time, as Django does, takes longer than the database takes to write them.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.db import models

from feeds.models import Entry
from tasks.database import chunks, connection

# How many entries a statement writes: SQLite takes 32,766 values.
MOST = 500
# What a change changes; the rest stays as it was when the entry was first seen.
CHANGING = [
    *("title", "link", "author", "summary", "content", "updated", "digest", "categories"),
    *("enclosures", "image", "comments", "language", "changes", "changed", "words"),
]


def write(entries: Sequence[Entry]) -> None:
    """Insert entries in their order, or change those that are stored; they don't get their keys."""
    columns = _columns(connection.vendor)
    for some in chunks(entries, MOST):
        values = [adapt(entry.__dict__[name]) for entry in some for name, adapt in columns]
        with connection.cursor() as cursor:
            cursor.execute(_statement(connection.vendor, len(some)), values)


@cache
def _columns(vendor: str) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return each column, and what makes its values what the database takes."""
    fields = [field for field in Entry._meta.concrete_fields if not field.primary_key]
    return [(field.attname, _adapter(field)) for field in fields]


def _adapter(field: "models.Field[Any, Any]") -> Callable[[Any], Any]:
    if isinstance(field, models.DateTimeField):
        return connection.ops.adapt_datetimefield_value
    if isinstance(field, models.JSONField):
        return lambda value: connection.ops.adapt_json_value(value, field.encoder)
    return lambda value: value


@cache
def _statement(vendor: str, number: int) -> str:
    quoted = connection.ops.quote_name
    names = [quoted(name) for name, _ in _columns(vendor)]
    row = f"({', '.join(['%s'] * len(names))})"
    changes = ", ".join(f"{quoted(name)} = EXCLUDED.{quoted(name)}" for name in CHANGING)
    return (
        f"INSERT INTO {quoted(Entry._meta.db_table)} ({', '.join(names)}) "
        f"VALUES {', '.join([row] * number)} "
        f"ON CONFLICT ({quoted('feed_id')}, {quoted('guid')}) DO UPDATE SET {changes}"
    )
