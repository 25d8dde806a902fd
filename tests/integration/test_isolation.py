"""Runs with a process of their own, and copies that functions make of theirs."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from django.db import connection
from django.utils import timezone
from redis import Redis

from tasks.models import ScheduledTaskInstance, Task
from tasks.runs import spool
from tasks.services import SchedulerService, TaskService
from tests.integration.test_worker import ENDS, child_of, status
from tests.processes import Site, running, work_off
from tests.servers import wait_for

on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no sessions"
)


def call(name: str, *args: object) -> Task:
    return TaskService.enqueue_task(f"tests.jobs.{name}", *args)


def results(site: Site, calls: list[Task]) -> list[object]:
    """Return the results of calls, after a worker has run them."""
    work_off(site)
    for each in calls:
        each.refresh_from_db()
        assert each.status == "finished", each.reason_in_words()
    return [each.result for each in calls]


def process_of(notes: Path) -> int:
    """Return in which process `note_apart` runs, once it has started."""
    wait_for(lambda: "start" in notes.read_text(), "the start of the function")
    return int(notes.read_text().split()[1])


def test_each_isolated_run_has_a_process_of_its_own_and_the_others_share_one(site: Site):
    names = ["process_id", "process_id_apart", "process_id_apart", "process_id"]
    first, second, third, fourth = results(site, [call(name) for name in names])
    assert first == fourth
    assert len({first, second, third}) == 3


def test_the_row_of_an_isolated_run_says_how_its_function_ended(
    site: Site, redis_connection: Redis
):
    before = call("process_id")
    calls = {how: call("end_apart_by", how) for how in ENDS}
    after = call("process_id")
    work_off(site)
    spool.drain(redis_connection)
    ends = {}
    for how, each in calls.items():
        each.refresh_from_db()
        ends[how] = (each.status, each.reason_in_words())
    assert ends == ENDS
    for each in (before, after):
        each.refresh_from_db()
    assert before.result == after.result  # Their process outlived all of that.


def test_the_row_of_an_isolated_run_that_raised_has_its_traceback(site: Site):
    failed = call("end_apart_by", "raise")
    work_off(site)
    failed.refresh_from_db()
    assert failed.exception_class == "builtins.ValueError"
    assert 'raise ValueError("as asked")' in failed.traceback
    assert failed.log.endswith("Failed for: ValueError: as asked\n")


def test_progress_and_log_of_an_isolated_call_are_in_its_row_while_it_runs(site: Site):
    counting = call("count_apart", 100, 0.1)

    def are_shown() -> bool:
        counting.refresh_from_db()
        return counting.status == "running" and counting.progress > 0 and "At 1" in counting.log

    with running(site, "rqworker", "default"):
        wait_for(are_shown, "progress and log of a running call")
        TaskService.cancel_task(counting)


def test_an_isolated_run_whose_process_is_killed_is_lost_and_no_other_run_is(
    site: Site, notes: Path
):
    killed = call("note_apart", str(notes), "x", 60)
    with running(site, "rqworker", "default") as worker:
        os.kill(process_of(notes), signal.SIGKILL)
        child = child_of(worker)
        wait_for(lambda: status(killed) == "failed", "the end of the killed run")
        after = call("note", str(notes), "y")
        wait_for(lambda: status(after) == "finished", "the next call")
        assert child_of(worker) == child
    assert killed.reason_in_words() == "Lost: its process was killed by signal 9."


def test_an_isolated_call_that_is_cancelled_stops(site: Site, notes: Path):
    cancelled = call("note_apart", str(notes), "x", 60)
    with running(site, "rqworker", "default"):
        process = psutil.Process(process_of(notes))
        TaskService.cancel_task(cancelled)
        process.wait(10)
    assert status(cancelled) == "canceled"


def test_an_isolated_run_does_not_outlive_its_worker(site: Site, notes: Path):
    call("note_apart", str(notes), "x", 60)
    with running(site, "rqworker", "default") as worker:
        process = psutil.Process(process_of(notes))
        os.kill(worker.pid, signal.SIGKILL)
        process.wait(10)


@on_postgresql
def test_an_isolated_run_has_a_database_session_of_its_own_and_its_parent_keeps_its_session(
    site: Site,
):
    names = ["session", "session_apart", "session_apart", "session"]
    first, second, third, fourth = results(site, [call(name) for name in names])
    assert first == fourth
    assert len({first, second, third}) == 3


@on_postgresql
def test_an_isolated_run_that_uses_no_database_opens_no_session(site: Site, notes: Path):
    def sessions() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])

    call("note_apart", str(notes), "x", 60)
    with running(site, "rqworker", "default"):
        process_of(notes)
        assert sessions() == 1


def test_an_isolated_run_uses_the_database_as_any_other(site: Site):
    schedule = SchedulerService.schedule(
        timezone.now(), "tests.jobs.note", ["/dev/null"], isolated=True
    )
    SchedulerService.run_now(schedule)
    left_open = call("leave_a_transaction_open")
    work_off(site)
    assert ScheduledTaskInstance.objects.get().status == "finished"
    left_open.refresh_from_db()
    assert "left a transaction open" in left_open.reason_in_words()


@on_postgresql
def test_an_isolated_run_runs_though_the_session_of_its_worker_has_ended(site: Site, notes: Path):
    call("note", str(notes), "x", 2)
    after = call("session_apart")
    with running(site, "rqworker", "default"):
        wait_for(notes.read_text, "the start of the first call")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        wait_for(lambda: status(after) == "finished", "the isolated call")


def test_a_copy_that_a_function_makes_of_its_process_ends_with_the_function(
    site: Site, notes: Path
):
    ways = {"return": 0, "raise": 1, "sys.exit": 3}
    calls = [call("fork_and", how, str(notes)) for how in ways]
    others = [call("note", str(notes), f"call {number}") for number in range(20)]
    assert results(site, calls) == list(ways.values())
    assert {status(other) for other in others} == {"finished"}
    lines = sorted(notes.read_text().splitlines())
    wanted = [f"{event} call {number}" for event in ("start", "end") for number in range(20)]
    assert lines == sorted([*wanted, *["copy", "original"] * 3])


def test_what_a_run_leaves_in_its_process_neither_reaches_nor_fails_the_next_one(site: Site):
    calls = [call("its_process"), call("change_its_process"), call("its_process")]
    before, _, after = results(site, calls)
    assert after == before
