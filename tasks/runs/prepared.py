"""Executes prepared statements on PostgreSQL, several in one round trip: planning takes long.

What is sent, by PostgreSQL's own protocol, are the names of prepared statements and their values:
no SQL is put together, quoted and parsed. They are one transaction.
"""

import select
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
# A row as PostgreSQL writes its values.
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A statement with `%s` for each parameter; what it returns has no nulls."""

    name: str
    sql: str


Step = tuple[Statement, Sequence[str | None]]
# By connection: the names of the statements that it has prepared, None if it doesn't keep them.
_prepared: WeakKeyDictionary[Any, set[str] | None] = WeakKeyDictionary()


def execute(steps: Sequence[Step]) -> list[list[Row]]:
    """Execute statements with their parameters in one transaction; return the rows of each.

    Parameters and rows are texts, as PostgreSQL reads and writes values. A connection that loses
    its prepared statements, behind a pooler, gets them in full from then on, as does one in the
    middle of a transaction. Raises psycopg's errors.
    """
    database = connection.connection
    prepared = _prepared.setdefault(database, _kept_at_first())
    if prepared is None or not database.autocommit:
        return _execute_in_full(database, steps)
    try:
        for statement, _ in steps:
            if statement.name not in prepared:
                database.execute(f"PREPARE {_name(statement)} AS {_numbered(statement.sql)}")
                prepared.add(statement.name)
        return send(database.pgconn, steps)
    except database.Error as error:
        if error.sqlstate not in NOT_KEPT:
            raise
    _prepared[database] = None
    return _execute_in_full(database, steps)


def _kept_at_first() -> set[str] | None:
    from psycopg import Pipeline  # A site on SQLite has no psycopg.

    return set() if Pipeline.is_supported() else None


def send(connected: Any, steps: Sequence[Step]) -> list[list[Row]]:
    """Send prepared statements by libpq's pipeline mode, and wait for what they return.

    If that is interrupted, the connection is closed: answers would be left on it.
    """
    connected.enter_pipeline_mode()
    try:
        for statement, params in steps:
            values = [None if value is None else value.encode() for value in params]
            connected.send_query_prepared(_name(statement).encode(), values)
        connected.pipeline_sync()
        results = _receive(connected, len(steps))
    except BaseException:
        connected.finish()
        raise
    connected.exit_pipeline_mode()
    return [_rows(result) for result in results]


def _receive(connected: Any, number: int) -> list[Any]:
    """Return the results of so many statements; what follows one that failed is aborted."""
    from psycopg import OperationalError
    from psycopg.pq import ExecStatus

    socket = select.poll()
    socket.register(connected.socket, select.POLLIN | select.POLLOUT)
    while connected.flush():
        socket.poll()
        connected.consume_input()
    socket.modify(connected.socket, select.POLLIN)

    def following() -> Any:
        while connected.is_busy():
            socket.poll()
            connected.consume_input()
        return connected.get_result()

    # A null ends what each statement returns; the last is the sync.
    results = [following() for _ in range(2 * number + 1)]
    if results[-1] is None or results[-1].status != ExecStatus.PIPELINE_SYNC:
        raise OperationalError(connected.get_error_message())
    return results[:-1:2]


def _rows(result: Any) -> list[Row]:
    from psycopg.errors import error_from_result
    from psycopg.pq import ExecStatus

    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise error_from_result(result)
    columns = range(result.nfields)
    return [
        tuple([result.get_value(row, column).decode() for column in columns])
        for row in range(result.ntuples)
    ]


def _execute_in_full(database: Any, steps: Sequence[Step]) -> list[list[Row]]:
    """Execute the statements as one query, which is planned each time."""
    from psycopg import ClientCursor

    rows: list[list[Row]] = []
    with ClientCursor(database) as cursor:
        params = [value for _, values in steps for value in values]
        cursor.execute("; ".join(statement.sql for statement, _ in steps), params)
        for _ in steps:
            found = cursor.fetchall() if cursor.description else []
            rows.append([tuple(map(str, row)) for row in found])
            cursor.nextset()
    return rows


@cache
def _name(statement: Statement) -> str:
    """Return a statement's name in PostgreSQL, which contains a checksum of its text.

    Behind a pooler, a connection may hold the statements of another release.
    """
    return f"tasks_{statement.name}_{crc32(statement.sql.encode()):08x}"


def _numbered(sql: str) -> str:
    first, *others = sql.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(others, start=1))
