"""The starts and ends of runs that go on side by side, in one transaction: as `sql` writes each.

On PostgreSQL a group is three statements in one query, whatever its size: each has the whole group
as one parameter, a JSON array. Rows are looked up by their keys even while PostgreSQL's statistics
say that the tables are empty: `IS TRUE`, `OFFSET 0` and `PLANNING` are for that.
"""

import json
from collections.abc import Sequence
from functools import cache

from tasks.database import atomic, connection
from tasks.models import ScheduledTaskInstance
from tasks.runs.prepared import Statement, execute
from tasks.runs.sql import (
    AT_END,
    FRESH,
    End,
    Start,
    Started,
    column,
    in_turn,
    is_allowed,
    revived,
    runs,
    schedules,
    start_allowed,
    start_literals,
    started_row,
    unrecorded,
    write,
    write_each,
)
from tasks.timing.instants import EPOCH, MICROSECOND

# A plan is kept, and a table that it reads whole because it is small may have grown since.
PLANNING = Statement("many_planning", "SELECT set_config('enable_seqscan', 'off', true)")
# How the columns of an end are read from its array, which begins with its id and attempt.
TYPES = {"ended": "timestamptz", "progress": "int", "reason_values": "jsonb", "result": "jsonb"}
GIVEN_WITH_SCHEDULE = (
    "given g CROSS JOIN LATERAL (SELECT * FROM {} WHERE job_id = g.job_id OFFSET 0) s"
)
IN_MICROSECONDS = "(extract(epoch FROM {}) * 1000000)::bigint"


def write_many(
    ends: Sequence[End], starts: Sequence[Start]
) -> tuple[list[bool], list[ScheduledTaskInstance | None]]:
    """Write the ends of some runs and the starts of others, else as `sql.write`.

    Of several runs of a schedule that don't overlap, the first one starts at most.
    """
    if len(ends) <= 1 and len(starts) <= 1:
        is_ended, run = write(ends[0] if ends else None, starts[0] if starts else None)
        return [is_ended] * len(ends), [run] * len(starts)
    connection.ensure_connection()
    with connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            ended, started = _write_in_one_query(ends, starts)
        elif connection.vendor == "sqlite" and not connection.in_atomic_block:
            ended, started = in_turn(lambda: _write_one_by_one(ends, starts))
        else:
            with atomic():
                ended, started = _write_one_by_one(ends, starts)
    return ended, list(map(started_row, starts, started))


def would_start(starts: Sequence[Start]) -> list[bool]:
    """Return of each run whether `write_many` would start it now, if it were the only one."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            return _allowed_in_one_query(starts)
        return [is_allowed(start) for start in starts]


def _allowed_in_one_query(starts: Sequence[Start]) -> list[bool]:
    _, found = execute([(PLANNING, []), (_statements()["allowed"], [_starts_param(starts)])])
    allowed = {(job_id, int(due)) for job_id, due in found}
    return [_key(start) in allowed for start in starts]


def _write_one_by_one(
    ends: Sequence[End], starts: Sequence[Start]
) -> tuple[list[bool], list[Started | None]]:
    return (
        [write_each(end, None)[0] for end in ends],
        [write_each(None, start)[1] for start in starts],
    )


def _write_in_one_query(
    ends: Sequence[End], starts: Sequence[Start]
) -> tuple[list[bool], list[Started | None]]:
    """Write all of them; the schedules are locked in one order, whoever else locks them."""
    statements = _statements()
    job_ids = json.dumps([start.run_id.schedule_job_id for start in starts])
    parents = json.dumps([end.run.parent_id for end in ends])
    _, locked, ends_written, starts_written = execute(
        [
            (PLANNING, []),
            (statements["lock"], [job_ids, parents]),
            (statements["ends"], [_ends_param(ends)]),
            (statements["starts"], [_starts_param(starts)]),
        ]
    )
    job_id_of = {row[0]: row[1] for row in locked}
    ended = {int(pk) for (pk,) in ends_written}
    started = {
        (job_id_of[parent_id], int(due)): (int(pk), int(parent_id), name)
        for due, pk, parent_id, name in starts_written
    }
    # One that stands twice in the group has started once.
    return [end.run.pk in ended for end in ends], [started.pop(_key(one), None) for one in starts]


def _key(start: Start) -> tuple[str, int]:
    """Return what identifies a start: its schedule, and its due in microseconds."""
    assert start.run_id.due is not None
    return start.run_id.schedule_job_id, (start.run_id.due - EPOCH) // MICROSECOND


def _ends_param(ends: Sequence[End]) -> str:
    arrays = [[end.run.pk, end.run.attempt, *(end.values[name] for name in AT_END)] for end in ends]
    return json.dumps(arrays, default=lambda moment: moment.isoformat())


def _starts_param(starts: Sequence[Start]) -> str:
    """Return the starts as JSON; each says whether it is the first of its schedule."""
    arrays = []
    seen: set[str] = set()
    for start in starts:
        due, job_id = start.run_id.due, start.run_id.schedule_job_id
        assert due is not None
        lateness = (start.started - due).total_seconds()
        times = [moment.isoformat() for moment in (due, start.started, due - FRESH)]
        arrays.append([job_id, *times, lateness, start.worker_name, job_id not in seen])
        seen.add(job_id)
    return json.dumps(arrays)


@cache
def _statements() -> dict[str, Statement]:
    each = {"lock": _lock_sql(), "ends": _ends_sql(), "starts": _starts_sql()}
    each["allowed"] = _allowed_sql()
    return {name: Statement(f"many_{name}", sql) for name, sql in each.items()}


def _lock_sql() -> str:
    """Return what locks the schedules of runs that start, and those that an end turns back."""
    return (
        f"SELECT id, job_id FROM {schedules()} "
        "WHERE job_id = ANY(ARRAY(SELECT jsonb_array_elements_text(%s::jsonb))) "
        "OR ((status = 'failed') IS TRUE "
        "AND id = ANY(ARRAY(SELECT jsonb_array_elements_text(%s::jsonb)::bigint))) "
        "ORDER BY id FOR NO KEY UPDATE"
    )


def _given(columns: dict[str, str]) -> str:
    """Return what reads the parameter, an array of arrays with these columns of these types.

    As an array, not as a set: PostgreSQL then doesn't expect a hundred rows, for which it would
    read whole tables.
    """
    values = [_value(place, name, kind) for place, (name, kind) in enumerate(columns.items())]
    return (
        f"given AS (SELECT {', '.join(values)} "
        "FROM unnest(ARRAY(SELECT jsonb_array_elements(%s::jsonb))) AS one)"
    )


def _value(place: int, name: str, kind: str) -> str:
    if kind == "jsonb":
        return f"NULLIF(one->{place}, 'null') AS {column(name)}"
    return f"(one->>{place})::{kind} AS {column(name)}"


def _ends_sql() -> str:
    """Return the statement for ends; it returns the ids of the runs that it has ended."""
    columns = {"id": "bigint", "attempt": "int"}
    columns |= {name: TYPES.get(name, "text") for name in AT_END}
    values = ", ".join(f"{column(name)} = given.{column(name)}" for name in AT_END)
    return (
        f"WITH {_given(columns)}, "
        f"ended AS (UPDATE {runs()} r SET status = 'finished', {values} FROM given "
        "WHERE r.id = given.id AND (r.status = 'running') IS TRUE AND r.attempt = given.attempt "
        f"RETURNING r.id, r.parent_id), {revived()} "
        "SELECT id FROM ended"
    )


def _given_starts() -> str:
    times = dict.fromkeys(("due", "started", "settled"), "timestamptz")
    columns = {"job_id": "text", **times, "lateness": "float8", "worker_name": "text"}
    return _given(columns | {"is_first": "boolean"})


def _allowed_sql() -> str:
    """Return the statement for questions; it returns the keys of the runs that would start."""
    allowed = start_allowed("g.due", "g.settled", "g.lateness")
    return (
        f"WITH {_given_starts()} SELECT g.job_id, {IN_MICROSECONDS.format('g.due')} "
        f"FROM {GIVEN_WITH_SCHEDULE.format(schedules())} WHERE {allowed} AND {unrecorded('g.due')}"
    )


def _starts_sql() -> str:
    """Return the statement for starts.

    Of each run that it has started it returns the due, in microseconds, and what `sql` returns.
    """
    literals = start_literals()
    names = ["parent_id", "name", "due", "started", "created", "worker_name", *literals]
    allowed = start_allowed("g.due", "g.settled", "g.lateness", "g.is_first")
    return (
        f"WITH {_given_starts()} "
        f"INSERT INTO {runs()} ({', '.join(map(column, names))}) "
        "SELECT s.id, s.name, g.due, g.started, g.started, g.worker_name, "
        f"{', '.join(literals.values())} FROM {GIVEN_WITH_SCHEDULE.format(schedules())} "
        f"WHERE {allowed} ON CONFLICT DO NOTHING "
        f"RETURNING {IN_MICROSECONDS.format('due')}, id, parent_id, name"
    )
