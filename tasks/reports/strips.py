"""The latest runs of many schedules at once."""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from tasks.database import connection
from tasks.models import ScheduledTask, ScheduledTaskInstance

LENGTH = 20


class LatestRun(NamedTuple):
    """What is read of a run: a page shows a thousand of them, and times take long to read.

    `lateness` is that of the run's record.
    """

    pk: int
    parent_id: int
    status: str
    has_started: bool
    lateness: timedelta | None


def strips(pks: Iterable[int], length: int = LENGTH) -> dict[int, list[LatestRun]]:
    """Return, by schedule, its latest runs, newest first, in one query.

    A schedule without runs has an empty list.
    """
    wanted = list(pks)
    found: dict[int, list[LatestRun]] = {pk: [] for pk in wanted}
    if wanted:
        with connection.cursor() as cursor:
            cursor.execute(_sql(len(wanted), length), wanted)
            for pk, parent, status, has_started, late in cursor.fetchall():
                run = LatestRun(pk, parent, status, bool(has_started), _span(late))
                found[parent].append(run)
    return found


def _sql(number: int, length: int) -> str:
    """Return the query, which reads no more runs than these, by their index.

    It is in two dialects, since SQLite has no LATERAL and PostgreSQL doesn't join by a list. By
    Django's models it takes three times as long. Lateness is that of `tasks.reports.lengths`.
    """
    runs, schedules = (
        connection.ops.quote_name(model._meta.db_table)
        for model in (ScheduledTaskInstance, ScheduledTask)
    )
    newest = f"FROM {runs} WHERE parent_id = schedule.id ORDER BY id DESC LIMIT {length}"
    if connection.vendor == "postgresql":
        read = "id, parent_id, status, attempt, requested, due, started"
        joined = f"CROSS JOIN LATERAL (SELECT {read} {newest}) run"
    else:
        joined = f"JOIN {runs} run ON run.id IN (SELECT id {newest})"
    late, _params = connection.ops.subtract_temporals(
        "DateTimeField", ("run.started", ()), ("run.due", ())
    )
    marks = ", ".join(["%s"] * number)
    return (
        "SELECT run.id, run.parent_id, run.status, run.started IS NOT NULL, "
        f"CASE WHEN run.attempt = 1 AND run.requested IS NULL THEN {late} END "
        f"FROM {schedules} schedule {joined} WHERE schedule.id IN ({marks}) ORDER BY run.id DESC"
    )


def _span(value: timedelta | int | None) -> timedelta | None:
    """Return a length of time as the database has it; SQLite has microseconds."""
    return timedelta(microseconds=value) if isinstance(value, int) else value
