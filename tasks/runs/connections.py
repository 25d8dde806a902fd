"""What a task function must not leave behind on the database connections."""

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# The state of a connection: how many atomic blocks it is in, whether it is in autocommit mode, and
# whether PostgreSQL is in a transaction nonetheless, as it is after the function's own BEGIN.
State = tuple[int, bool, bool]
# What psycopg calls a connection in a transaction.
OPEN = ("ACTIVE", "INTRANS", "INERROR")


def state() -> dict[str, State]:
    """Return the state of each open connection of this thread, by its name."""
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
    """Close the connections that were left in a transaction since then, which rolls it back.

    Otherwise everything written afterwards would be part of that transaction, and lost with it.
    Returns whether there were any.
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
