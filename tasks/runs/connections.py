"""What a task function must not leave behind on the database connections."""

import os
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# The state of a connection: how many atomic blocks it is in, whether it is in autocommit mode, and
# whether PostgreSQL is in a transaction nonetheless, as it is after the function's own BEGIN.
State = tuple[int, bool, bool]
# What libpq calls a connection in a transaction: active, in a transaction, in a failed one.
OPEN = (1, 2, 3)
# The connections of this process's parent, kept so that nothing closes them.
_of_parent: list[Any] = []


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
        and connection.connection.pgconn.transaction_status in OPEN
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


def leave_to_parent() -> None:
    """Have this process, which was just forked, open connections of its own when it needs them.

    Those of its parent are neither used nor closed: SQLite allows neither, and a goodbye on a
    shared socket would end the parent's session. The sockets are replaced, or they would keep that
    session open if this process outlives its parent.
    """
    for connection in connections.all(initialized_only=True):
        pools = getattr(connection, "_connection_pools", {})
        _of_parent.extend([connection, connection.connection, dict(pools)])
        pools.clear()
        session = connection.connection
        if connection.vendor == "postgresql" and session is not None and not session.closed:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, session.fileno(), inheritable=False)
            os.close(nothing)
        del connections[connection.alias]
