"""The two writes that every run makes, its start and its end, as plain SQL in one transaction.

Between two runs a worker writes the end of the one and the start of the other together: one
commit per run, and on PostgreSQL one round trip. Whether a run may start, given its schedule's row
and the schedule's other runs, is part of the statement, which says the same as `policy`. A
start that isn't allowed changes nothing here; `claim` then asks the policy why, and what to do.
What many runs have to write at the same time, `group_sql` writes.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from django.db import connections
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.models.base import ModelState

from tasks.database import alias, atomic, connection
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.runs.prepared import Statement, Step, execute
from tasks.runs.turns import turn

T = TypeVar("T")
# A started run: its id, its schedule's id, and its name.
Started = tuple[int, int, str]
# The constant values of a run's start; the others are parameters of the statement.
AT_START = {"status": ScheduledTaskInstance.Status.RUNNING.value, "attempt": 1, "progress": 0}
EMPTY = ("progress_message", "reason", "log", "exception_class", "traceback")
# For this long after a schedule changes, a start is left to `claim`, which checks the spec: until
# Redis gets the change, occurrences may be dispatched that are no longer expected.
FRESH = timedelta(minutes=1)
# The parameter is a number of seconds, not only whole ones, as the deadline is.
LATENESS = "CAST(%s AS float8)"
# The end of a run: the parameters of the statement.
AT_END = ("ended", "log", "progress", "progress_message", "reason_code", "reason_values", "result")


@dataclass(frozen=True, slots=True)
class Start:
    """The first attempt of an occurrence, which this worker is about to run."""

    run_id: RunId
    worker_name: str
    started: datetime


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
    database = connections[alias()]
    database.ensure_connection()
    with database.wrap_database_errors:
        if database.vendor == "postgresql":
            ended, started = _write_in_one_query(end, start)
        elif database.vendor == "sqlite" and not database.in_atomic_block:
            ended, started = in_turn(lambda: write_each(end, start))
        else:
            with atomic():
                ended, started = write_each(end, start)
    return ended, None if start is None else started_row(start, started)


def started_row(start: Start, started: Started | None) -> ScheduledTaskInstance | None:
    """Return the row of a run whose start was written, None if it isn't allowed."""
    if started is None:
        return None
    pk, parent_id, name = started
    run = ScheduledTaskInstance.__new__(ScheduledTaskInstance)
    run.__dict__.update(
        _new_row(),
        _state=ModelState(),
        id=pk,
        parent_id=parent_id,
        name=name,
        due=start.run_id.due,
        started=start.started,
        worker_name=start.worker_name,
        created=start.started,
    )
    run._state.adding = False
    return run


@cache
def _new_row() -> dict[str, Any]:
    """Return what all rows of running runs have: Django works much longer to make one anew."""
    return ScheduledTaskInstance(status=ScheduledTaskInstance.Status.RUNNING).__dict__


def write_each(end: End | None, start: Start | None) -> tuple[bool, Started | None]:
    """Write both in the caller's transaction on SQLite, without Django's cursors."""
    database = connection.connection
    ended, started = False, None
    if end is not None:
        ended = database.execute(_in_sqlite(_end_sql()), _end_params(end)).rowcount == 1
        database.execute(_in_sqlite(_revive_sql()), [end.run.parent_id])
    if start is not None:
        started = database.execute(_in_sqlite(_start_sql()), _start_params(start)).fetchone()
    return ended, started


def in_turn(write: Callable[[], T]) -> T:
    """Write in a transaction, when it is this process's turn.

    Only one process writes to SQLite at a time.
    """
    database = connection.connection
    with turn(os.getpid(), str(connection.settings_dict["NAME"])):
        database.execute("BEGIN IMMEDIATE")
        try:
            written = write()
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:  # SQLite has ended it by itself when its disk is full.
                database.execute("ROLLBACK")
            raise
    return written


def is_allowed(start: Start) -> bool:
    """Return whether a run would start now, on SQLite, without Django's cursors."""
    params = _start_params(start)
    given = [*params[4:], params[0]]
    return connection.connection.execute(_in_sqlite(_allowed_sql()), given).fetchone() is not None


def _write_in_one_query(end: End | None, start: Start | None) -> tuple[bool, Started | None]:
    """Write both as one query, which PostgreSQL runs as one transaction.

    The end, and the lock on the schedule of the run that starts, are one statement: two starts of
    a schedule, or a start and a pause, wait for each other, and the second sees the first.
    """
    steps: list[Step] = []
    statements = _statements()
    if start is None:
        assert end is not None
        steps.append((statements["end"], _texts(_end_params(end))))
    else:
        job_id = start.run_id.schedule_job_id
        if end is None:
            steps.append((statements["lock"], [job_id]))
        else:
            steps.append((statements["end_and_lock"], [*_texts(_end_params(end)), job_id]))
        steps.append((statements["start"], _texts(_start_params(start))))
    found = execute(steps)
    ended = end is not None and found[0][0][0] == "1"
    if start is None or not found[1]:
        return ended, None
    ((pk, parent_id, name),) = found[1]
    return ended, (int(pk), int(parent_id), name)


def _texts(values: list[Any]) -> list[str | None]:
    """Return values as PostgreSQL reads them."""
    return [None if value is None else str(value) for value in values]


@cache
def _statements() -> dict[str, Statement]:
    """Return PostgreSQL's statements by name; those for ends and locks return a row count."""
    ended = f"ended AS ({_end_sql()} RETURNING parent_id)"
    locked = f"locked AS (SELECT 1 FROM {schedules()} WHERE job_id = %s FOR NO KEY UPDATE)"
    numbers = {name: f"(SELECT count(*) FROM {name})" for name in ("ended", "locked")}
    each = {
        "end": f"WITH {ended}, {revived()} SELECT {numbers['ended']}",
        "lock": f"WITH {locked} SELECT {numbers['locked']}",
        "end_and_lock": f"WITH {ended}, {revived()}, {locked} SELECT {', '.join(numbers.values())}",
        "start": _start_sql(),
    }
    return {name: Statement(name, sql) for name, sql in each.items()}


def revived() -> str:
    """Return the part of a statement that turns back the schedules of runs that have `ended`."""
    return (
        f"revived AS (UPDATE {schedules()} SET status = 'running' FROM ended "
        f"WHERE {schedules()}.id = ended.parent_id AND status = 'failed')"
    )


def _end_params(end: End) -> list[Any]:
    operations = connection.ops
    values = [_adapt(operations, name, end.values[name]) for name in AT_END]
    return [*values, end.run.pk, end.run.attempt]


def _start_params(start: Start) -> list[Any]:
    assert start.run_id.due is not None
    adapt = connection.ops.adapt_datetimefield_value
    due, started = adapt(start.run_id.due), adapt(start.started)
    lateness = (start.started - start.run_id.due).total_seconds()
    job_id = start.run_id.schedule_job_id
    settled = adapt(start.run_id.due - FRESH)
    return [due, started, started, start.worker_name, job_id, due, settled, lateness]


@cache
def _end_sql() -> str:
    columns = ", ".join(f"{column(name)} = %s" for name in AT_END)
    return (
        f"UPDATE {runs()} SET status = 'finished', {columns} "
        "WHERE id = %s AND status = 'running' AND attempt = %s"
    )


@cache
def _revive_sql() -> str:
    """Return what turns a schedule's status back after a success, as `completion` does."""
    return f"UPDATE {schedules()} SET status = 'running' WHERE id = %s AND status = 'failed'"


@cache
def _start_sql() -> str:
    literals = start_literals()
    given = ["due", "started", "created", "worker_name"]
    names = ["parent_id", "name", *given, *literals]
    return (
        f"INSERT INTO {runs()} ({', '.join(map(column, names))}) "
        f"SELECT s.id, s.name, {', '.join(['%s'] * len(given))}, {', '.join(literals.values())} "
        f"FROM {schedules()} s WHERE s.job_id = %s AND {start_allowed('%s', '%s', LATENESS)} "
        "ON CONFLICT DO NOTHING RETURNING id, parent_id, name"
    )


@cache
def _allowed_sql() -> str:
    return (
        f"SELECT 1 FROM {schedules()} s WHERE s.job_id = %s "
        f"AND {start_allowed('%s', '%s', LATENESS)} AND {unrecorded('%s')}"
    )


def unrecorded(due: str) -> str:
    """Return the condition under which an occurrence of schedule `s` has no row."""
    return (
        f"(SELECT r.id FROM {runs()} r WHERE r.parent_id = s.id AND r.due = {due} LIMIT 1) IS NULL"
    )


def start_literals() -> dict[str, str]:
    """Return the columns of a run that starts which are the same for all, with their values."""
    return {name: f"'{value}'" for name, value in AT_START.items()} | dict.fromkeys(EMPTY, "''")


def start_allowed(due: str, settled: str, lateness: str, alone: str = "TRUE") -> str:
    """Return the condition under which a run of schedule `s` may start.

    `alone`: whether no other run of the schedule starts with it.
    """
    return (
        "s.status IN ('running', 'failed') "
        f"AND s.settled_through < {due} "
        f"AND (s.period_start <= s.created OR s.period_start < {settled}) "
        f"AND (s.start_deadline IS NULL OR s.start_deadline >= {lateness}) "
        f"AND (s.overlap = 'allow' OR {alone} AND (SELECT r.id FROM {runs()} r "
        "WHERE r.parent_id = s.id AND r.status = 'running' LIMIT 1) IS NULL)"
    )


@cache
def _in_sqlite(sql: str) -> str:
    return sql.replace("%s", "?")


def _adapt(operations: BaseDatabaseOperations, name: str, value: Any) -> Any:
    if name in ("result", "reason_values"):
        return None if value is None else json.dumps(value)
    if isinstance(value, datetime):
        return operations.adapt_datetimefield_value(value)
    return value


def column(name: str) -> str:
    """Return a column's name in SQL."""
    return connection.ops.quote_name(name)


def runs() -> str:
    """Return the name of the runs' table in SQL."""
    return connection.ops.quote_name(ScheduledTaskInstance._meta.db_table)


def schedules() -> str:
    """Return the name of the schedules' table in SQL."""
    return connection.ops.quote_name(ScheduledTask._meta.db_table)
