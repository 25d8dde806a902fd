"""The database of schedules and runs, which may be another one than Django's default one.

A database router says which. All reads and writes of this app, and its transactions, go there, also
if the router sends the reads of others to a replica: whether a run may start is not to be judged by
old rows.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any, TypeVar, cast

from django.apps import apps
from django.db import (
    DEFAULT_DB_ALIAS,
    Error,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
    router,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper

from tasks.outages import database_outage

# How many rows are read or written in one query.
CHUNK = 500
# What the database raises while it is unavailable: these errors may end by themselves.
OUTAGE_ERRORS = (OperationalError, InterfaceError)
T = TypeVar("T")
# How long a process keeps trying to write a row before it gives up, in seconds.
PATIENCE = 10.0


def alias() -> str:
    """Return the name in `DATABASES` of the database where schedules and runs are."""
    if not router.routers:
        return DEFAULT_DB_ALIAS
    return router.db_for_write(apps.get_model("tasks", "ScheduledTask"))


class _Connection:
    """The connection of this thread to the database of schedules and runs."""

    def __getattr__(self, name: str) -> Any:
        return getattr(connections[alias()], name)


connection = cast(BaseDatabaseWrapper, _Connection())


def atomic() -> AbstractContextManager[Any]:
    """Return Django's `transaction.atomic` for the database of schedules and runs."""
    return transaction.atomic(using=alias())


def on_commit(func: Callable[[], Any], robust: bool = False) -> None:
    """Do what Django's `transaction.on_commit` does, for the database of schedules and runs."""
    transaction.on_commit(func, using=alias(), robust=robust)


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
