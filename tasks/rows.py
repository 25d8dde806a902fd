"""The two writes that every run makes, its start and its end, as plain SQL in one transaction.

Between two runs a worker writes the end of the one and the start of the other together: one
commit per run, and on PostgreSQL one round trip. What the schedule's row and the runs going on
have to say about a start is part of the statement. A start that they don't allow changes
nothing here; `recording` then finds out why, and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection, transaction

from tasks.job import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance

Statement = tuple[str, Sequence[Any]]

# The start of a run: what differs from these is given to the statement.
AT_START = {"status": "running", "attempt": 1, "progress": 0}
EMPTY = ("progress_message", "reason", "log", "exception_class", "traceback")
# The end of a run: what is given to the statement.
AT_END = ("ended", "log", "progress", "progress_message", "reason", "result")


@dataclass(frozen=True, slots=True)
class Start:
    """The first attempt of an occurrence, which this worker is about to run."""

    run_id: RunId
    worker_name: str
    moment: datetime


@dataclass(frozen=True, slots=True)
class End:
    """The end of a run that finished; `values` are the fields in `AT_END`."""

    run: ScheduledTaskInstance
    values: dict[str, Any]


def write(end: End | None, start: Start | None) -> tuple[bool, ScheduledTaskInstance | None]:
    """Write the end of one run and the start of another, either of which may be None.

    Returns whether the run was still running under this attempt, and the started run's row,
    None if the start isn't allowed. Raises the database's errors; then nothing is written.
    """
    statements: list[Statement] = []
    if end is not None:
        statements += _end(end)
    if start is not None:
        statements += _start(start)
    answers = _execute(statements)
    ended = end is not None and answers[0][0] == 1
    if start is None or not answers[-1][1]:
        return ended, None
    [(pk, parent_id, name)] = answers[-1][1]
    run = ScheduledTaskInstance(
        pk=pk,
        parent_id=parent_id,
        name=name,
        due=start.run_id.due,
        status="running",
        started=start.moment,
        worker_name=start.worker_name,
        created=start.moment,
    )
    run._state.adding = False
    return ended, run


def _execute(statements: list[Statement]) -> list[tuple[int, list[Any]]]:
    """Execute statements in one transaction; return of each how many rows, and which."""
    if connection.vendor == "postgresql":
        return _execute_together(statements)
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        return _execute_quickly(statements)
    with transaction.atomic(), connection.cursor() as cursor:
        answers = []
        for sql, params in statements:
            cursor.execute(sql, params)
            rows = cursor.fetchall() if cursor.description else []
            answers.append((cursor.rowcount, rows))
        return answers


def _execute_together(statements: list[Statement]) -> list[tuple[int, list[Any]]]:
    """Send statements as one query, which PostgreSQL takes for one transaction."""
    sql = ";".join(sql for sql, _ in statements)
    with connection.cursor() as cursor:
        cursor.execute(sql, [param for _, params in statements for param in params])
        answers = []
        while True:
            rows = cursor.fetchall() if cursor.description else []
            answers.append((cursor.rowcount, rows))
            if not cursor.nextset():
                return answers


def _execute_quickly(statements: list[Statement]) -> list[tuple[int, list[Any]]]:
    """Execute statements past Django's cursors: SQLite lets only one process write meanwhile."""
    connection.ensure_connection()
    sqlite = connection.connection
    with connection.wrap_database_errors:
        sqlite.execute("BEGIN IMMEDIATE")
        try:
            cursors = [sqlite.execute(sql.replace("%s", "?"), args) for sql, args in statements]
            answers = [(cursor.rowcount, cursor.fetchall()) for cursor in cursors]
            sqlite.execute("COMMIT")
        except BaseException:
            sqlite.execute("ROLLBACK")
            raise
    return answers


def _end(end: End) -> list[Statement]:
    run = end.run
    values = [_adapt(name, end.values[name]) for name in AT_END]
    return [
        (_update_sql(), [*values, run.pk, run.attempt]),
        # A success turns the schedule's status back, as `outcome` has it.
        (_revive_sql(), [run.parent_id]),
    ]


def _start(start: Start) -> list[Statement]:
    assert start.run_id.due is not None
    due, moment = _adapt("due", start.run_id.due), _adapt("started", start.moment)
    lateness = (start.moment - start.run_id.due).total_seconds()
    job_id = start.run_id.schedule_job_id
    params = [due, moment, moment, start.worker_name, job_id, due, lateness]
    if connection.vendor == "postgresql":
        # Of two starts of a schedule, and of a start and a pause, one waits for the other.
        return [(_lock_sql(), [job_id]), (_insert_sql(), params)]
    return [(_insert_sql(), params)]


@cache
def _update_sql() -> str:
    columns = ", ".join(f"{_column(name)} = %s" for name in AT_END)
    return (
        f"UPDATE {_runs()} SET status = 'finished', {columns} "
        "WHERE id = %s AND status = 'running' AND attempt = %s"
    )


@cache
def _revive_sql() -> str:
    return f"UPDATE {_schedules()} SET status = 'running' WHERE id = %s AND status = 'failed'"


@cache
def _lock_sql() -> str:
    return f"SELECT 1 FROM {_schedules()} WHERE job_id = %s FOR NO KEY UPDATE"


@cache
def _insert_sql() -> str:
    literals = {name: f"'{value}'" for name, value in AT_START.items()} | dict.fromkeys(EMPTY, "''")
    given = ["due", "started", "created", "worker_name"]
    names = ["parent_id", "name", *given, *literals]
    return (
        f"INSERT INTO {_runs()} ({', '.join(map(_column, names))}) "
        f"SELECT s.id, s.name, {', '.join(['%s'] * len(given))}, {', '.join(literals.values())} "
        f"FROM {_schedules()} s WHERE s.job_id = %s AND s.status IN ('running', 'failed') "
        "AND s.accounted_until < %s AND (s.start_deadline IS NULL OR s.start_deadline >= %s) "
        f"AND (s.overlap = 'allow' OR NOT EXISTS "
        f"(SELECT 1 FROM {_runs()} r WHERE r.parent_id = s.id AND r.status = 'running')) "
        "ON CONFLICT DO NOTHING RETURNING id, parent_id, name"
    )


def _adapt(name: str, value: Any) -> Any:
    if name == "result":
        return None if value is None else connection.ops.adapt_json_value(value, None)
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


def _column(name: str) -> str:
    return connection.ops.quote_name(name)


def _runs() -> str:
    return connection.ops.quote_name(ScheduledTaskInstance._meta.db_table)


def _schedules() -> str:
    return connection.ops.quote_name(ScheduledTask._meta.db_table)
