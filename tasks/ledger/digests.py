"""Tells by sums whether the rows of a schedule are what was due, without reading each of them.

A digest of some instants is their number, their sum and the sum of their squares. Equal digests
mean equal sets, for all that can go wrong by itself: a row too few, too many or at another time.
PostgreSQL adds up a million rows in the time in which some ten thousand are read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.database import connection
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.timing.instants import BEGINNING, EPOCH, MICROSECOND, SECOND
from tasks.timing.spec import Spec

# A schedule's rows between two instants: after the one, up to the other.
ROWS = """
FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS b(id, after, until)
CROSS JOIN LATERAL (
  SELECT * FROM {runs} WHERE parent_id = b.id AND due > b.after AND due <= b.until
) r
"""
DIGESTS = f"""
WITH r AS MATERIALIZED (
  SELECT parent_id, status, attempt, (extract(epoch FROM due) * 1000000)::bigint AS at {ROWS}
)
SELECT r.parent_id, r.status, bool_or(r.status = 'failed' AND r.attempt <= s.retries),
  count(*), sum(r.at), sum(r.at::numeric * r.at)
FROM r JOIN {{schedules}} s ON s.id = r.parent_id
GROUP BY r.parent_id, r.status
"""
# Some schedules, by id, and the instants between which their rows count.
Bounds = Sequence[tuple[int, datetime | None, datetime]]


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of some instants, which are counted in microseconds since the Unix epoch."""

    number: int = 0
    total: int = 0
    squares: int = 0

    @classmethod
    def of(cls, dues: Iterable[datetime]) -> "Digest":
        """Return the digest of these instants."""
        number = total = squares = 0
        for due in dues:
            at = (due - EPOCH) // MICROSECOND
            number, total, squares = number + 1, total + at, squares + at * at
        return cls(number, total, squares)

    @classmethod
    def of_steps(cls, first: datetime, step: int, number: int) -> "Digest":
        """Return the digest of `number` instants, the first one and then every `step` seconds."""
        a, d, n = (first - EPOCH) // MICROSECOND, step * (SECOND // MICROSECOND), number
        pairs = n * (n - 1) // 2
        return cls(
            n, n * a + d * pairs, n * a * a + 2 * a * d * pairs + d * d * pairs * (2 * n - 1) // 3
        )


@dataclass
class Recorded:
    """What the rows of a schedule say: their digest, and how many there are by status.

    `may_be_retried`: some of them have failed with attempts left.
    """

    digest: Digest = Digest()
    statuses: Counter[str] = field(default_factory=Counter)
    may_be_retried: bool = False

    def add(self, status: str, may_be_retried: bool, digest: Digest) -> None:
        """Add rows with this status."""
        one = self.digest
        self.digest = Digest(
            one.number + digest.number, one.total + digest.total, one.squares + digest.squares
        )
        self.statuses[status] += digest.number
        self.may_be_retried |= may_be_retried


def steps_of(spec: Spec) -> int | None:
    """Return every how many seconds a spec is due, None if it isn't a plain interval."""
    bounded = spec.repeat or spec.start or spec.end or spec.exclude
    return None if bounded else spec.interval


def read(bounds: Bounds) -> Mapping[int, Recorded] | None:
    """Return what the rows of these schedules say, or None if the database can't tell."""
    if connection.vendor != "postgresql":
        return None
    found = {pk: Recorded() for pk, _after, _until in bounds}
    for pk, status, may_be_retried, *numbers in _fetch(DIGESTS, bounds):
        found[pk].add(status, may_be_retried, Digest(*map(int, numbers)))
    return found


def read_rows(bounds: Bounds, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the rows themselves, with these columns, in order of their dues."""
    if not bounds:
        return []
    names = ", ".join(f"r.{connection.ops.quote_name(name)}" for name in columns)
    return _fetch(f"SELECT {names} {ROWS} ORDER BY r.due", bounds)


def _fetch(sql: str, bounds: Bounds) -> list[tuple[Any, ...]]:
    tables = {"schedules": ScheduledTask, "runs": ScheduledTaskInstance}
    names = {name: connection.ops.quote_name(of._meta.db_table) for name, of in tables.items()}
    pks = [pk for pk, _after, _until in bounds]
    afters = [after or BEGINNING for _pk, after, _until in bounds]
    untils = [until for _pk, _after, until in bounds]
    with connection.cursor() as cursor:
        cursor.execute(sql.format_map(names), [pks, afters, untils])
        return cursor.fetchall()
