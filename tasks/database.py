"""The database as all parts use it: whether it answers, retries, and chunks of rows."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from django.db import Error, InterfaceError, OperationalError, close_old_connections, connection

from tasks.outages import database_outage

# How many rows are read or written in one query.
CHUNK = 500
# What the database raises while it is unavailable: these errors may end by themselves.
OUTAGE_ERRORS = (OperationalError, InterfaceError)
T = TypeVar("T")
# How long a process keeps trying to write a row before it gives up, in seconds.
PATIENCE = 10.0


def database_answers() -> bool:
    """Return whether the database answers a query."""
    try:
        close_old_connections()
        connection.ensure_connection()
    except Error:
        return False
    return True


def chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Yield the items in lists of up to `size`."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def patiently(write: Callable[[], T], patience: float = PATIENCE) -> T:
    """Call `write`, and retry it for up to `patience` seconds while the database is unavailable.

    Raises the database's last error, or at once an error that a retry can't fix. Inside a
    transaction there is no retry.
    """
    give_up = time.monotonic() + patience
    pause = 0.05
    while True:
        try:
            written = write()
        except OUTAGE_ERRORS as error:
            if connection.in_atomic_block:
                raise
            database_outage.report(error)
            if time.monotonic() >= give_up:
                raise
        else:
            database_outage.worked()
            return written
        with contextlib.suppress(Error):
            connection.close()
        time.sleep(pause)
        pause = min(pause * 2, 1.0)
