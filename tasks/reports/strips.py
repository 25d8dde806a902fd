"""The latest runs of many schedules at once."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Q
from django.db.models.expressions import RawSQL

from tasks.database import connection
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reports.lengths import LATENESS

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
        newest = RawSQL(_sql(len(wanted), length), wanted)
        rows = ScheduledTaskInstance.objects.filter(pk__in=newest).order_by("-pk")
        columns: Any = ("pk", "parent_id", "status", Q(started__isnull=False), LATENESS)
        for run in map(LatestRun._make, rows.values_list(*columns)):
            found[run.parent_id].append(run)
    return found


def _sql(number: int, length: int) -> str:
    """Return the query for the keys of the runs; it reads no more than these, by their index.

    It is in two dialects, since SQLite has no LATERAL and PostgreSQL doesn't join by a list.
    """
    runs, schedules = (
        connection.ops.quote_name(model._meta.db_table)
        for model in (ScheduledTaskInstance, ScheduledTask)
    )
    newest = (
        f"SELECT run.id FROM {runs} run WHERE run.parent_id = schedule.id "
        f"ORDER BY run.id DESC LIMIT {length}"
    )
    if connection.vendor == "postgresql":
        joined = f"CROSS JOIN LATERAL ({newest}) latest"
    else:
        joined = f"JOIN {runs} latest ON latest.id IN ({newest})"
    marks = ", ".join(["%s"] * number)
    return f"SELECT latest.id FROM {schedules} schedule {joined} WHERE schedule.id IN ({marks})"
