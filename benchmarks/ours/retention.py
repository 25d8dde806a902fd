"""Runs that their schedules no longer keep, and what retention leaves of them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F

from benchmarks.ours.ledger import columns_of, copy_rows
from benchmarks.ours.schedules import all_due_now
from tasks import clock
from tasks.ledger.retention import Retention
from tasks.models import ScheduledTask, ScheduledTaskInstance

# How often the schedules were due whose runs are deleted.
EVERY = timedelta(seconds=10)
# Which part of what is kept is new when retention looks: as much as it waits for.
PART = 10
BEFORE = "before"
STATUS = ScheduledTaskInstance.Status


def fill_up(schedules: int, kept: int, excess: int, load: int) -> None:
    """Make schedules that have ended, with more runs than they keep, and `load` waiting jobs."""
    number = kept + excess
    first = clock.now().replace(microsecond=0) - number * EVERY
    pks = _make_schedules(schedules, kept, first)
    _copy_runs(pks, first, number, STATUS.FINISHED)
    all_due_now(load, keep_runs=None)


def turn_over(schedules: int, kept: int, times: int) -> dict[str, float]:
    """Have all that is kept replaced so many times: written twice, as runs do, and deleted.

    Returns the size of the runs' table when it has been filled, in bytes, and at the end.
    """
    sizes = []
    new = kept // PART
    rounds = PART * (times + 1)
    first = clock.now().replace(microsecond=0) - rounds * new * EVERY
    pks = _make_schedules(schedules, kept, first)
    retention = Retention()
    for place in range(rounds):
        _copy_runs(pks, first + place * new * EVERY, new, STATUS.RUNNING)
        ScheduledTaskInstance.objects.running().update(
            status=STATUS.FINISHED, ended=F("started") + timedelta(seconds=1), result={"rows": 7}
        )
        for _ in retention.steps():
            pass
        if place + 1 in (PART, rounds):
            sizes.append(_size())
    left = ScheduledTaskInstance.objects.count()
    if left > schedules * (kept + new):
        raise RuntimeError(f"{left:,} runs were left")
    filled, at_last = sizes
    return {"filled": filled, "at_last": at_last}


def _size() -> float:
    with connection.cursor() as cursor:
        table = ScheduledTaskInstance._meta.db_table
        cursor.execute("SELECT pg_total_relation_size(%s)", [table])
        [size] = cursor.fetchone()
    return float(size)


def _make_schedules(number: int, kept: int, first: datetime) -> list[int]:
    """Make schedules that have ended, so that nothing else changes their runs."""
    now = clock.now()
    rows = ScheduledTask.objects.bulk_create(
        ScheduledTask(
            name=f"kept {place}",
            job_id=f"kept-{place}",
            fingerprint=f"kept{place:060}",
            function="benchmarks.noop",
            args=[place],
            status=ScheduledTask.Status.DEATH,
            first=first,
            interval=EVERY.seconds,
            settled_through=now,
            period_start=now,
            keep_runs=kept,
        )
        for place in range(number)
    )
    return [row.pk for row in rows]


def _copy_runs(pks: list[int], first: datetime, number: int, status: str) -> None:
    rows = _runs(pks, first, number, status)
    copy_rows(ScheduledTaskInstance, columns_of(ScheduledTaskInstance), rows)


def _runs(pks: list[int], first: datetime, number: int, status: str) -> Iterator[dict[str, Any]]:
    for place in range(number):
        due = first + place * EVERY
        ended = None if status == STATUS.RUNNING else due + timedelta(seconds=1)
        values = {"status": status, "due": due, "started": due, "created": due, "ended": ended}
        for pk in pks:
            yield values | {"name": "kept", "parent_id": pk, "worker_name": BEFORE}
