"""Executes statements on PostgreSQL as one query, prepared: planning takes longer than running."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary
from zlib import crc32

from tasks.database import connection

# PostgreSQL's errors behind a pooler that switches connections: a prepared statement isn't there,
# or was already prepared.
NOT_KEPT = ("26000", "42P05")


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A statement with `%s` for each parameter, which returns one row at most."""

    name: str
    sql: str


# By connection: the names of the statements that it has prepared, None if it doesn't keep them.
_prepared: WeakKeyDictionary[Any, set[str] | None] = WeakKeyDictionary()


def execute(
    cursor: Any, steps: Sequence[tuple[Statement, Sequence[Any]]], *, before: str = ""
) -> None:
    """Execute statements with their parameters as one query, which is one transaction.

    `before` is what comes first, with a semicolon. A connection that loses its prepared statements,
    behind a pooler, gets them in full from then on.
    """
    database = connection.connection
    params = [value for _, values in steps for value in values]
    prepared = _prepared.setdefault(database, set())
    try:
        if prepared is not None:
            for statement in {statement for statement, _ in steps}:
                _prepare(cursor, statement, prepared)
            each = "; ".join(_execute_sql(statement) for statement, _ in steps)
            cursor.execute(before + each, params)
            return
    except Exception as error:
        if getattr(error, "sqlstate", None) not in NOT_KEPT:
            raise
        _prepared[database] = None
    cursor.execute(before + "; ".join(statement.sql for statement, _ in steps), params)


def _prepare(cursor: Any, statement: Statement, prepared: set[str]) -> None:
    if statement.name not in prepared:
        cursor.execute(f"PREPARE {_prepared_name(statement)} AS {_numbered(statement.sql)}")
        prepared.add(statement.name)


@cache
def _prepared_name(statement: Statement) -> str:
    """Return a statement's name in PostgreSQL, which contains a checksum of its text.

    Behind a pooler, a connection may hold the statements of another release.
    """
    return f"tasks_{statement.name}_{crc32(statement.sql.encode()):08x}"


@cache
def _execute_sql(statement: Statement) -> str:
    places = ", ".join(["%s"] * statement.sql.count("%s"))
    return f"EXECUTE {_prepared_name(statement)}({places})"


def _numbered(sql: str) -> str:
    first, *others = sql.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))
