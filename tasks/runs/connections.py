"""What a task function must not leave behind on the connections to the databases."""

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# Of a connection: how many atomic blocks it is in, whether it commits by itself, and whether
# PostgreSQL is in a transaction all the same, in which a BEGIN of the function's own leaves it.
State = tuple[int, bool, bool]
# What psycopg calls a connection in a transaction.
OPEN = ("ACTIVE", "INTRANS", "INERROR")


def state() -> dict[str, State]:
    """Return in what state the open connections of this thread are, by their names."""
    return {
        connection.alias: _state(connection)
        for connection in connections.all(initialized_only=True)
        if connection.connection is not None
    }


def _state(connection: BaseDatabaseWrapper) -> State:
    is_in_transaction = (
        connection.vendor == "postgresql"
        and connection.autocommit
        and connection.connection.info.transaction_status.name in OPEN
    )
    return len(connection.atomic_blocks), connection.autocommit, is_in_transaction


def roll_back_since(before: dict[str, State]) -> bool:
    """Close the connections that were left in a transaction since then, and so roll it back.

    Otherwise everything that is written after it would be part of that transaction, and be lost
    with it. Returns whether there were any.
    """
    found = False
    for connection in connections.all(initialized_only=True):
        commits = bool(connection.settings_dict["AUTOCOMMIT"])
        expected = before.get(connection.alias, (0, commits, False))
        if connection.connection is None:
            continue
        if _state(connection) != expected:
            connection.in_atomic_block = False  # Or Django would wait for the block's end.
            connection.close()
            found = True
    return found
