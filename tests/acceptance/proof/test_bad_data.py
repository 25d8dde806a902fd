"""Schedules that can't be dispatched, among fifty good ones."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.proof.checks import check, check_runs_continue
from tests.acceptance.proof.system import SCHEDULED_JOBS, Schedule, System, next_second
from tests.servers import wait_for

# What somebody may have written into the job of a schedule.
POISON: dict[str, dict[str, Any]] = {
    "data": {"data": b"\xff\x00 neither JSON nor a pickle"},
    "status": {"status": b"no such status"},
    "date": {"created_at": b"yesterday", "enqueued_at": b"\xff"},
    "meta": {"meta": b"\xff{"},
    "function": {"data": b'["gone.away", null, [], {}]'},
    "timeout": {"timeout": b"soon"},
}
# Rows that no form would have accepted.
ROWS = {
    "unimportable": "function = 'gone.away'",
    "unregistered": "function = 'os.getcwd'",
    "impossible": "type = 'cron', first = NULL, \"interval\" = NULL, cron = '0 0 31 2 *'",
}


@pytest.mark.case(17)
def test_a_schedule_that_cannot_be_dispatched_stops_no_other_schedule(system: System):
    first = next_second(4)
    good = [Schedule(f"good {number}", first, interval=20) for number in range(50)]
    poison = [Schedule(f"bad {name}", first, interval=20) for name in (*POISON, *ROWS)]
    system.make(*good, *poison)
    system.schedules = good
    for (_, fields), schedule in zip(POISON.items(), poison, strict=False):
        system.redis.hset(f"rq:job:{schedule.job_id}", mapping=fields)
    due_now = first.timestamp()
    system.redis.zadd(SCHEDULED_JOBS, {b"\xff\xfe no id": due_now - 60, "gone": due_now - 60})
    if system.subject == "ours":
        for change, schedule in zip(ROWS.values(), poison[len(POISON) :], strict=True):
            system.execute(
                f"UPDATE tasks_scheduledtask SET {change} WHERE name = '{schedule.name}'"
            )
    system.scheduler()
    for _ in range(2):
        system.worker()
    check_runs_continue(system)
    check(system, ignored={schedule.job_id for schedule in poison})
    if system.subject == "ours":
        wait_for(
            lambda: set(_problems(system)) == {f"bad {name}" for name in ROWS},
            "the problems of the bad rows",
        )


def _problems(system: System) -> Iterator[str]:
    yield from (
        name for (name,) in system.query("SELECT name FROM tasks_scheduledtask WHERE problem <> ''")
    )
