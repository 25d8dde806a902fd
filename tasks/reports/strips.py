"""The latest runs of many schedules at once."""

from collections.abc import Iterable

from tasks.database import connection
from tasks.models import ScheduledTask, ScheduledTaskInstance

LENGTH = 20
COLUMNS = (
    "id",
    "parent_id",
    "name",
    "status",
    "attempt",
    "due",
    "requested",
    "started",
    "ended",
    "progress",
    "reason",
    "reason_code",
    "reason_values",
)


def strips(pks: Iterable[int], length: int = LENGTH) -> dict[int, list[ScheduledTaskInstance]]:
    """Return, by schedule, its latest runs, newest first, in one query.

    The runs have no log, traceback or result; reading one of these costs a query. A schedule
    without runs has an empty list.
    """
    wanted = list(pks)
    found: dict[int, list[ScheduledTaskInstance]] = {pk: [] for pk in wanted}
    if wanted:
        for run in ScheduledTaskInstance.objects.raw(_sql(len(wanted), length), wanted):
            found[run.parent_id].append(run)
    return found


def _sql(number: int, length: int) -> str:
    """Return the query; the planner reads no more than these runs, by the index of each schedule.

    It is in two dialects, since SQLite has no LATERAL and PostgreSQL doesn't join by a list.
    """
    quote = connection.ops.quote_name
    runs = quote(ScheduledTaskInstance._meta.db_table)
    schedules = quote(ScheduledTask._meta.db_table)
    columns = ", ".join(f"run.{quote(name)}" for name in COLUMNS)
    marks = ", ".join(["%s"] * number)
    newest = (
        f"FROM {runs} run WHERE run.parent_id = schedule.id ORDER BY run.id DESC LIMIT {length}"
    )
    if connection.vendor == "postgresql":
        joined = f"CROSS JOIN LATERAL (SELECT run.* {newest}) run"
    else:
        joined = f"JOIN {runs} run ON run.id IN (SELECT run.id {newest})"
    return (
        f"SELECT {columns} FROM {schedules} schedule {joined} "
        f"WHERE schedule.id IN ({marks}) ORDER BY run.id DESC"
    )
