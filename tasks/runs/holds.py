"""What is held: queues from which workers take no jobs, or everything.

The rows say so, and Redis knows nothing of it: whoever has to respect a hold reads them every
second or so, and goes on with what it last read while the database is unavailable. A child that
has never read them takes no job until it can.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import Error

from tasks.database import connection
from tasks.models import Hold
from tasks.outages import database_outage

# The name that stands for everything, in the place of a queue's.
EVERYTHING = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What is held, as it was last read."""

    names: frozenset[str] = frozenset()

    @property
    def everything(self) -> bool:
        return EVERYTHING in self.names

    def among(self, queues: Iterable[str]) -> list[str]:
        """Return which of these queues are held."""
        return [name for name in queues if self.everything or name in self.names]


# What somebody goes by who has never read what is held: it may be everything.
UNKNOWN = Held(frozenset({EVERYTHING}))


def read() -> Held:
    """Return what is held now; raises the database's errors."""
    return Held(frozenset(Hold.objects.values_list("queue", flat=True)))


def read_again(known: Held) -> Held:
    """Return what is held now; what is `known` while the database is unavailable."""
    try:
        held = read()
    except Error as error:
        database_outage.report(error)
        if not connection.in_atomic_block:
            connection.close()  # The next reading opens a new one.
        return known
    database_outage.worked()
    return held


def of_everything() -> Hold | None:
    """Return the hold of everything, None if there is none."""
    return Hold.objects.filter(queue=EVERYTHING).first()
