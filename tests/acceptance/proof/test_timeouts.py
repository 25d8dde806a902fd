"""Functions that ignore their timeout, and a timeout that expires while the row is written."""

import time

import psycopg
import pytest

from tests.acceptance.proof.checks import check
from tests.acceptance.proof.system import Schedule, System, next_second
from tests.servers import wait_for


@pytest.mark.case(18)
def test_a_run_that_ignores_its_timeout_is_killed_and_recorded_as_failed(system: System):
    first = next_second()
    ways = {"swallow": "lane-1", "in C": "lane-2"}
    system.make(
        *(
            Schedule(way, first, interval=3600, seconds=600, way=way, options=options)
            for way, queue in ways.items()
            for options in [{"queue": queue, "timeout": 2}]
        )
    )
    system.scheduler()
    for queue in ways.values():
        system.worker(queue)
    check(system, until=system.schedules[0].first)
    assert {run.schedule: run.status for run in system.runs()} == dict.fromkeys(ways, "failed")


@pytest.mark.case(18)
def test_a_timeout_that_expires_while_the_end_is_written_does_not_fail_the_run(system: System):
    first = next_second()
    options = {"timeout": 3}
    system.make(Schedule("slow", first, interval=3600, seconds=1, options=options))
    system.scheduler()
    system.worker()
    system.wait_for_start(system.schedules[0])
    with psycopg.connect(system.database) as connection:
        connection.execute("SELECT * FROM tasks_scheduledtaskinstance FOR UPDATE")
        wait_for(lambda: [line for line in system.lines() if line.event == "end"], "the end")
        time.sleep(5)
    check(system, until=system.schedules[0].first)
    assert [run.status for run in system.runs()] == ["finished"]
