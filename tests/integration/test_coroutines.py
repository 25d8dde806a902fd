"""Real workers that run coroutine functions side by side."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tasks.models import ScheduledTaskInstance, Task
from tasks.reports.in_redis import read_snapshot
from tasks.runs import spool
from tasks.services import TaskService
from tests.processes import Site, running, start
from tests.servers import Valkey, wait_for

MEET = "tests.jobs.meet"


@contextmanager
def worker(site: Site, concurrency: int = 20, *options: str) -> Iterator[psutil.Process]:
    """Run a worker inside the block; return its process."""
    command = ("rqworker", "default", "--concurrency", str(concurrency), *options)
    with running(site, *command) as process:
        yield psutil.Process(process.pid)


def ended(*records: Task | ScheduledTaskInstance) -> bool:
    for record in records:
        record.refresh_from_db()
    return all(record.ended for record in records)


def test_coroutines_run_side_by_side_each_with_its_own_row_and_log(site: Site, notes: Path):
    calls = [
        TaskService.enqueue_task(MEET, str(notes), f"number {number}", 10) for number in range(10)
    ]
    with worker(site):
        wait_for(lambda: ended(*calls), "the ends of all calls")
    assert [(call.status, call.result) for call in calls] == [
        ("finished", f"number {number}") for number in range(10)
    ]
    for number, call in enumerate(calls):
        assert [line.partition(": ")[2] for line in call.log.splitlines()] == [
            f"I am number {number}"
        ]


def test_plain_functions_and_coroutines_of_one_worker_have_processes_of_their_own(
    site: Site, notes: Path
):
    waiting = TaskService.enqueue_task(MEET, str(notes), "x", 1, 5)
    plain = [TaskService.enqueue_task("tests.jobs.process_id") for _ in range(2)]
    with worker(site) as process:
        wait_for(lambda: ended(*plain), "the ends of the plain calls")
        children = {child.pid for child in process.children()}
        assert status(waiting) == "running"
    assert plain[0].result == plain[1].result
    assert plain[0].result in children
    assert len(children) == 2
    assert status(waiting) == "finished"  # The worker has let it end.


def test_each_worker_of_a_pool_runs_coroutines_side_by_side(site: Site, notes: Path):
    calls = [TaskService.enqueue_task(MEET, str(notes), f"{number}", 3) for number in range(3)]
    with running(site, "rqworker-pool", "default", "--num-workers", "1", "--concurrency", "3"):
        wait_for(lambda: ended(*calls), "the ends of all calls")
    assert {call.worker_name for call in calls} == {calls[0].worker_name}


def test_a_worker_says_how_many_coroutines_it_runs(
    site: Site, notes: Path, redis_connection: Redis
):
    def seen() -> tuple[bool, int, int] | None:
        workers = read_snapshot(redis_connection).workers
        found = [(one.runs_one, one.coroutines, one.concurrency) for one in workers]
        return found[0] if found else None

    meet = partial(TaskService.enqueue_task, MEET, str(notes))
    calls = [meet(f"{number}", 3) for number in range(2)]
    with worker(site):
        wait_for(lambda: seen() == (False, 2, 20), "two coroutines under way")
        calls.append(meet("the last", 3))
        wait_for(partial(ended, *calls), "the ends of all")
        wait_for(lambda: seen() == (False, 0, 20), "none under way")


def test_a_coroutine_child_stays_when_it_has_nothing_to_do(site: Site):
    processes = []
    with worker(site):
        for _ in range(3):
            call = TaskService.enqueue_task("tests.jobs.process_id_in_loop")
            wait_for(partial(ended, call), "the end of the call")
            processes.append(call.result)
    assert len(set(processes)) == 1


# A child that is due for recycling drains while its successor takes jobs


MAX_RUNS = 5


@pytest.fixture
def recycling(site: Site) -> Site:
    """Return a site whose children are replaced after `MAX_RUNS` runs."""
    return {**site, "TASKS_CHILD_MAX_RUNS": str(MAX_RUNS)}


def process_of_next() -> int:
    """Run a call; return in which process it ran."""
    call = TaskService.enqueue_task("tests.jobs.process_id_in_loop")
    wait_for(lambda: ended(call), "the end of a call")
    return int(call.result)


def have_it_drain() -> int:
    """Give a child that has one run as many as it may have; return its process."""
    [process] = {process_of_next() for _ in range(MAX_RUNS - 1)}
    return process


def test_a_long_run_in_a_child_that_is_replaced_keeps_no_others_from_running(
    recycling: Site, notes: Path, redis_connection: Redis
):
    def seen() -> tuple[int, int]:
        [one] = read_snapshot(redis_connection).workers
        return one.coroutines, one.draining

    long = TaskService.enqueue_task(MEET, str(notes), "long", 2)
    with worker(recycling) as process:
        wait_for(lambda: status(long) == "running", "the start of the long call")
        draining = have_it_drain()
        others = [process_of_next() for _ in range(MAX_RUNS + 1)]
        assert draining not in others
        assert len(set(others)) == 2  # The second one was recycled, too.
        wait_for(lambda: seen() == (1, 1), "the long run in a child that drains")
        last = TaskService.enqueue_task(MEET, str(notes), "last", 2)
        wait_for(lambda: ended(long, last), "the ends of both")
        wait_for(lambda: draining not in {one.pid for one in process.children()}, "its exit")
        wait_for(lambda: seen() == (0, 0), "none under way")
    assert [status(long), status(last)] == ["finished"] * 2


@pytest.mark.parametrize("killed", ["draining", "successor"])
def test_when_one_of_two_children_is_killed_its_runs_are_lost_and_the_other_goes_on(
    recycling: Site, notes: Path, redis_connection: Redis, killed: str
):
    processes: dict[str, int] = {}
    calls = {"draining": TaskService.enqueue_task(MEET, str(notes), "draining", 3)}
    with worker(recycling):
        wait_for(lambda: status(calls["draining"]) == "running", "the start of a call")
        processes["draining"] = have_it_drain()
        processes["successor"] = process_of_next()
        calls["successor"] = TaskService.enqueue_task(MEET, str(notes), "successor", 3)
        wait_for(lambda: status(calls["successor"]) == "running", "the start of another call")
        psutil.Process(processes[killed]).kill()
        lost = calls.pop(killed)
        wait_for(lambda: settled(redis_connection, lost), "the end of the lost run")
        assert lost.reason_in_words() == "Lost: its process was killed by signal 9."
        [other] = calls.values()
        assert status(other) == "running"
        after = TaskService.enqueue_task(MEET, str(notes), "after", 3)
        wait_for(lambda: ended(other, after), "the ends of the others")
    assert [status(other), status(after)] == ["finished"] * 2


def test_a_worker_that_is_told_to_stop_lets_the_runs_of_both_children_end(
    recycling: Site, notes: Path
):
    calls = [TaskService.enqueue_task(MEET, str(notes), "first", 2, 3)]
    with worker(recycling) as process:
        wait_for(lambda: status(calls[0]) == "running", "the start of a call")
        have_it_drain()
        calls.append(TaskService.enqueue_task(MEET, str(notes), "second", 2, 3))
        wait_for(lambda: status(calls[1]) == "running", "the start of another call")
        process.terminate()
        process.wait(30)
    assert [status(call) for call in calls] == ["finished"] * 2


def test_in_burst_mode_too_a_successor_takes_the_jobs_that_are_left(recycling: Site, notes: Path):
    calls = [
        TaskService.enqueue_task(MEET, str(notes), "long", 2),
        *(TaskService.enqueue_task("tests.jobs.nap", 0) for _ in range(2 * MAX_RUNS)),
        TaskService.enqueue_task(MEET, str(notes), "last", 2),
    ]
    process = start(recycling, "rqworker", "default", "--burst", "--concurrency", "2")
    assert process.wait(60) == 0
    assert {status(call) for call in calls} == {"finished"}


def test_a_child_whose_time_has_come_while_redis_was_away_is_replaced_when_it_is_back(
    recycling: Site, notes: Path, valkey: Valkey
):
    long = TaskService.enqueue_task(MEET, str(notes), "long", 2)
    with worker(recycling):
        wait_for(lambda: status(long) == "running", "the start of the long call")
        calls = [TaskService.enqueue_task(MEET, str(notes), "x", 0, 2) for _ in range(MAX_RUNS - 1)]
        wait_for(lambda: notes.read_text().count("start x") == MAX_RUNS - 1, "their starts")
        valkey.stop()
        wait_for(lambda: notes.read_text().count("end x") == MAX_RUNS - 1, "their ends")
        valkey.start()
        assert process_of_next()
        last = TaskService.enqueue_task(MEET, str(notes), "last", 2)
        wait_for(lambda: ended(long, last, *calls), "the ends of all")
    assert {status(call) for call in (long, last, *calls)} == {"finished"}


def settled(redis: Redis, *records: Task | ScheduledTaskInstance) -> bool:
    """Write what is on the spool, as the scheduler does; return whether all have ended."""
    spool.drain(redis)
    return ended(*records)


def status(record: Task | ScheduledTaskInstance) -> str:
    record.refresh_from_db()
    return record.status


def coroutine_child(process: psutil.Process, notes: Path) -> psutil.Process:
    """Return the coroutine child of a worker, once it has begun to run what notes its process."""
    text = wait_for(lambda: "start" in notes.read_text() and notes.read_text(), "a start")
    return psutil.Process(int(text.split()[1]))


def test_when_the_child_is_killed_each_of_its_runs_is_closed_as_lost(
    site: Site, notes: Path, redis_connection: Redis
):
    calls = [TaskService.enqueue_task("tests.jobs.go_on", str(notes)) for _ in range(3)]
    with worker(site) as process:
        wait_for(lambda: notes.read_text().count("start") == 3, "the starts of all calls")
        coroutine_child(process, notes).kill()
        after = TaskService.enqueue_task("tests.jobs.nap", 0)
        wait_for(lambda: ended(after), "a run in the next child")
        wait_for(lambda: settled(redis_connection, *calls), "the ends of the runs")
        for call in calls:
            assert (status(call), call.reason_in_words()) == (
                "failed",
                "Lost: its process was killed by signal 9.",
            )


def test_a_run_of_a_coroutine_is_stopped_on_request_and_the_others_go_on(
    site: Site, notes: Path, redis_connection: Redis
):
    calls = [TaskService.enqueue_task(MEET, str(notes), f"{n}", 2, 60) for n in range(2)]
    with worker(site) as process:
        wait_for(lambda: notes.read_text().count("start") == 2, "the starts of both calls")
        wait_for(lambda: {status(call) for call in calls} == {"running"}, "running rows")
        children = {child.pid for child in process.children()}
        TaskService.cancel_task(calls[0])
        wait_for(lambda: status(calls[0]) == "canceled", "the end of the stopped call")
        assert status(calls[1]) == "running"
        assert {child.pid for child in process.children()} == children
        TaskService.cancel_task(calls[1])
        wait_for(lambda: status(calls[1]) == "canceled", "the end of the other call")


def test_a_run_that_ignores_its_timeout_ends_with_its_child_once_the_others_have_ended(
    site: Site, notes: Path
):
    stuck = TaskService.enqueue_task("tests.jobs.ignore_timeout", str(notes))
    with worker(site) as process:
        first = coroutine_child(process, notes)
        other = TaskService.enqueue_task(MEET, str(notes), "other", 3)
        wait_for(lambda: status(other) == "running", "the start of the other call")
        wait_for(lambda: process_of_next() != first.pid, "a run in its successor")
        assert {status(stuck), status(other)} == {"running"}
        last = TaskService.enqueue_task(MEET, str(notes), "last", 3)
        wait_for(lambda: ended(stuck, other, last), "the ends of all")
        wait_for(lambda: not first.is_running(), "the end of the first child")
    assert [status(other), status(last)] == ["finished"] * 2
    assert "JobTimeoutException" in stuck.reason


def test_a_run_whose_thread_goes_on_past_its_timeout_ends_with_its_child(site: Site, notes: Path):
    call = TaskService.enqueue_task("tests.jobs.linger", str(notes), 600)
    with worker(site) as process:
        first = coroutine_child(process, notes)
        wait_for(lambda: ended(call), "the end of the call", 40)
        wait_for(lambda: not first.is_running(), "the end of its child")
    assert "JobTimeoutException" in call.reason


@pytest.mark.parametrize("value", ["-1", "many", "100000"])
def test_a_concurrency_that_is_none_is_refused_in_a_line(site: Site, value: str):
    process = start(site, "rqworker", "default", f"--concurrency={value}")
    assert process.wait(30) == 2


@pytest.mark.parametrize("way", ["sleep", "in C"])
def test_a_loop_that_is_blocked_beyond_the_timeout_costs_its_child_all_runs(
    site: Site, notes: Path, redis_connection: Redis, way: str
):
    calls = []
    with worker(site):
        if way == "sleep":
            calls.append(TaskService.enqueue_task("tests.jobs.nap", 60))
            wait_for(lambda: status(calls[0]) == "running", "the start of the other call")
        calls.append(TaskService.enqueue_task("tests.jobs.block", str(notes), 60, way))
        wait_for(lambda: settled(redis_connection, *calls), "the ends", 60)
    *others, culprit = calls
    assert culprit.reason.startswith("Failed for: JobTimeoutException")
    assert [call.reason_in_words() for call in others] == [
        "Lost: its process was killed because “tests.jobs.block”, which shared it, blocked it."
    ] * len(others)


def test_what_blocks_the_loop_is_named_with_its_stack_in_its_own_log(site: Site, notes: Path):
    call = TaskService.enqueue_task("tests.jobs.block", str(notes), 2.5)
    with worker(site):
        wait_for(lambda: ended(call), "the end of the call")
    assert "“tests.jobs.block” blocks the event loop" in call.log
    assert "time.sleep(seconds)" in call.log


def test_a_worker_in_burst_mode_runs_both_kinds_until_its_queues_are_empty(site: Site, notes: Path):
    calls = [
        TaskService.enqueue_task("tests.jobs.note", str(notes)),
        *(TaskService.enqueue_task("tests.jobs.nap", 0.1) for _ in range(3)),
    ]
    process = start(site, "rqworker", "default", "--burst", "--concurrency", "2")
    assert process.wait(60) == 0
    assert [status(call) for call in calls] == ["finished"] * 4


@pytest.mark.parametrize("options", [(), ("--burst",)], ids=["", "burst"])
def test_a_second_sigterm_kills_the_coroutines_which_is_recorded(
    site: Site, notes: Path, redis_connection: Redis, options: tuple[str, ...]
):
    call = TaskService.enqueue_task("tests.jobs.go_on", str(notes))
    with worker(site, 20, *options) as process:
        child = coroutine_child(process, notes)

        def ends_when_terminated_again() -> bool:
            process.terminate()
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

        wait_for(ends_when_terminated_again, "the end of the worker")
    child.wait(10)  # It is killed; whoever has it now may still have to reap it.
    assert not redis_connection.exists("rq:workers")
    spool.drain(redis_connection)
    assert (status(call), call.reason_in_words()) == ("failed", "Lost: its worker was stopped.")
