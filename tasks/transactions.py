"""What a task function must not leave behind on the connections to the databases."""

from django.db import connections

# By the name of a connection: how many atomic blocks it is in, and whether it commits by itself.
State = dict[str, tuple[int, bool]]


def state() -> State:
    """Return in what state the open connections of this thread are."""
    return {
        connection.alias: (len(connection.atomic_blocks), connection.autocommit)
        for connection in connections.all(initialized_only=True)
        if connection.connection is not None
    }


def roll_back_since(before: State) -> bool:
    """Close the connections that were left in a transaction since then, and so roll it back.

    Otherwise everything that is written after it would be part of that transaction, and be lost
    with it. Tells whether there were any.
    """
    found = False
    for connection in connections.all(initialized_only=True):
        commits = bool(connection.settings_dict["AUTOCOMMIT"])
        expected = before.get(connection.alias, (0, commits))
        if connection.connection is None:
            continue
        if (len(connection.atomic_blocks), connection.autocommit) != expected:
            connection.in_atomic_block = False  # Or Django would wait for the block's end.
            connection.close()
            found = True
    return found
