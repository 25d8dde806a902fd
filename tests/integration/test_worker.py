"""Real workers: however a run ends, its row has the truth."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection
from django.utils import timezone
from redis import Redis
from rq.job import JobStatus
from rq.queue import Queue
from rq.suspension import resume, suspend

from tasks import holds
from tasks.job import Job
from tasks.models import ScheduledTaskInstance, Task
from tasks.runs import spool
from tasks.services import SchedulerService, TaskService
from tests.processes import Site, running, start, work_off
from tests.servers import Valkey, wait_for

TIMED_OUT = "Failed for: JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"
ENDS = {
    "return": ("finished", ""),
    "not json": ("finished", "The result is not JSON and was not kept: builtins.object."),
    "nul": ("finished", ""),
    "raise": ("failed", "Failed for: ValueError: as asked"),
    "sys.exit": ("failed", "Failed for: SystemExit: 3"),
    "os._exit": ("failed", "Lost: its process exited with status 3."),
    "segfault": ("failed", f"Lost: its process was killed by signal {signal.SIGSEGV}."),
    "kill": ("failed", f"Lost: its process was killed by signal {signal.SIGKILL}."),
    "terminate": ("finished", ""),  # It is for the worker to end its child.
    "recursion": ("failed", "Failed for: RecursionError: maximum recursion depth exceeded"),
    "memory": ("failed", "Failed for: MemoryError"),
    "timeout": ("failed", TIMED_OUT),
    "swallowed timeout": ("failed", TIMED_OUT),
    "ignored timeout": ("failed", TIMED_OUT),
    "timeout in C": ("failed", TIMED_OUT),
}


def status(record: Task | ScheduledTaskInstance) -> str:
    record.refresh_from_db()
    return record.status


@contextmanager
def worker_during_a_call(
    site: Site, notes: Path, seconds: float
) -> Iterator[tuple["subprocess.Popen[bytes]", Task]]:
    """Run a worker, from when it has started a call that takes so many seconds."""
    call = TaskService.enqueue_task("tests.jobs.note", str(notes), "x", seconds)
    with running(site, "rqworker", "default") as worker:
        wait_for(notes.read_text, "the call's start")
        yield worker, call


def child_of(worker: "subprocess.Popen[bytes]") -> psutil.Process:
    [child] = psutil.Process(worker.pid).children()
    return child


def test_the_row_of_a_call_says_how_its_function_ended(site: Site, redis_connection: Redis):
    calls = {how: TaskService.enqueue_task("tests.jobs.end_by", how) for how in ENDS}
    work_off(site)
    spool.drain(redis_connection)
    ends = {}
    for how, call in calls.items():
        call.refresh_from_db()
        ends[how] = (call.status, call.reason_in_words())
    assert ends == ENDS


def test_a_log_that_is_too_long_keeps_its_head_and_tail(site: Site):
    call = TaskService.enqueue_task("tests.jobs.end_by", "many logs")
    work_off(site)
    call.refresh_from_db()
    assert len(call.log.encode()) <= 64 * 1024
    assert "bytes left out" in call.log


@pytest.mark.parametrize("payload", [b'["gone.away", null, [], {}]', b"not JSON"])
def test_a_call_whose_payload_cannot_be_called_fails_with_the_reason(
    site: Site, redis_connection: Redis, payload: bytes
):
    call = TaskService.enqueue_task("tests.jobs.answer")
    redis_connection.hset(f"rq:job:{call.job_id}", "data", payload)
    work_off(site)
    assert status(call) == "failed"
    assert call.reason.startswith("Failed for: ")


def test_a_coroutine_function_runs_to_its_end(site: Site):
    call = TaskService.enqueue_task("tests.jobs.answer")
    work_off(site)
    call.refresh_from_db()
    assert call.result == 42


def test_progress_and_log_of_a_call_are_in_its_row_while_it_runs(site: Site):
    call = TaskService.enqueue_task("tests.jobs.count", 100, 0.1)

    def are_shown() -> bool:
        call.refresh_from_db()
        return call.status == "running" and call.progress > 0 and "At 1" in call.log

    with running(site, "rqworker", "default"):
        wait_for(are_shown, "progress and log of a running call")
        TaskService.cancel_task(call)


def test_a_running_call_that_is_cancelled_stops_on_its_worker(site: Site, notes: Path):
    with worker_during_a_call(site, notes, seconds=60) as (worker, call):
        child = child_of(worker)
        TaskService.cancel_task(call)
        child.wait(10)
        after = TaskService.enqueue_task("tests.jobs.note", str(notes), "y")
        wait_for(lambda: status(after) == "finished", "the next call")
    assert status(call) == "canceled"
    assert "end x" not in notes.read_text()


def test_a_second_sigterm_to_a_worker_kills_its_run_which_is_recorded_as_lost(
    site: Site, redis_connection: Redis, notes: Path
):
    with worker_during_a_call(site, notes, seconds=60) as (worker, call):
        child = child_of(worker)
        worker.terminate()
        wait_for(lambda: _ends_when_terminated_again(worker), "the end of the worker")
    assert not child.is_running()
    spool.drain(redis_connection)
    assert (status(call), call.reason_in_words()) == ("failed", "Lost: its worker was stopped.")


def _ends_when_terminated_again(worker: "subprocess.Popen[bytes]") -> bool:
    worker.terminate()
    return worker.poll() is not None


def test_the_first_sigterm_to_a_worker_lets_its_run_end(site: Site, notes: Path):
    with worker_during_a_call(site, notes, seconds=2) as (worker, call):
        worker.terminate()
        worker.wait(20)
    assert status(call) == "finished"


def test_a_child_does_not_outlive_its_worker(site: Site, notes: Path):
    with worker_during_a_call(site, notes, seconds=60) as (worker, _):
        child = child_of(worker)
        os.kill(worker.pid, signal.SIGKILL)
        child.wait(10)


def test_a_failed_run_is_tried_again_in_the_same_row(site: Site, redis_connection: Redis):
    schedule = SchedulerService.schedule(timezone.now(), "tests.jobs.end_by", ["raise"], retries=2)
    with running(site, "rqscheduler"), running(site, "rqworker", "default"):
        wait_for(lambda: schedule.runs.filter(status="failed", attempt=3), "the third attempt")
    assert schedule.runs.count() == 1


def test_a_lost_run_is_tried_again(site: Site, redis_connection: Redis):
    schedule = SchedulerService.schedule(timezone.now(), "tests.jobs.end_by", ["kill"], retries=1)
    with running(site, "rqscheduler"), running(site, "rqworker", "default"):
        wait_for(lambda: schedule.runs.filter(status="failed", attempt=2), "the second attempt")


def test_a_run_during_an_outage_of_redis_ends_and_its_worker_runs_the_next_one(
    site: Site, valkey: Valkey, notes: Path
):
    with worker_during_a_call(site, notes, seconds=3) as (worker, call):
        valkey.stop()
        wait_for(lambda: "end x" in notes.read_text(), "the call's end")
        wait_for(lambda: status(call) == "finished", "the row's end")
        valkey.start()
        after = TaskService.enqueue_task("tests.jobs.note", str(notes), "y")
        wait_for(lambda: status(after) == "finished", "the next call")
        assert worker.poll() is None


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no connection that could be dropped"
)
def test_the_end_of_a_run_is_written_though_the_database_dropped_its_connection_meanwhile(
    site: Site, notes: Path
):
    with worker_during_a_call(site, notes, seconds=2) as (_, call):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        wait_for(lambda: status(call) == "finished", "the row's end")


def test_a_template_on_a_queue_is_not_run(site: Site, redis_connection: Redis, notes: Path):
    later = timezone.now() + timedelta(days=1)
    schedule = SchedulerService.schedule(later, "tests.jobs.note", [str(notes)])
    redis_connection.rpush("rq:queue:default", schedule.job_id)
    work_off(site)
    assert notes.read_text() == ""
    assert redis_connection.ttl(f"rq:job:{schedule.job_id}") == -1


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_survives_outages_of_redis(site: Site, valkey: Valkey, busy: bool):
    before = TaskService.enqueue_task("tests.jobs.count", 30, 0.1) if busy else None
    with running(site, "rqworker", "high", "default") as worker:
        wait_for(lambda: valkey.client.scard("rq:workers") == 1, "the worker")
        if before is not None:
            wait_for(lambda: status(before) == "running", "the call's start")
        for _ in range(3):
            valkey.stop(signal.SIGKILL)
            valkey.start()
        after = TaskService.enqueue_task("tests.jobs.answer")
        wait_for(lambda: status(after) == "finished", "the next call")
        assert worker.poll() is None


def test_a_worker_that_waits_for_redis_can_be_stopped(site: Site, valkey: Valkey):
    with running(site, "rqworker", "default") as worker:
        wait_for(lambda: valkey.client.scard("rq:workers") == 1, "the worker")
        valkey.stop()
        worker.terminate()
        worker.wait(60)  # redis-py may be trying for long to reach it


def test_a_suspended_worker_runs_nothing_until_it_is_resumed(
    site: Site, redis_connection: Redis, notes: Path
):
    suspend(redis_connection)
    with running(site, "rqworker", "default"):
        wait_for(lambda: states(redis_connection) == {b"suspended"}, "the suspended worker")
        call = TaskService.enqueue_task("tests.jobs.note", str(notes))
        assert redis_connection.llen("rq:queue:default") == 1
        resume(redis_connection)
        wait_for(lambda: status(call) == "finished", "the call")


def test_a_queue_whose_key_holds_something_else_stops_no_other_queue(
    site: Site, redis_connection: Redis
):
    redis_connection.set("rq:queue:high", "x")
    with running(site, "rqworker", "high", "default"):
        for _ in range(2):
            wait_for(lambda: states(redis_connection) == {b"idle"}, "the idle worker")
            TaskService.enqueue_task("tests.jobs.answer")
            wait_for(lambda: not Task.objects.exclude(status="finished"), "the call")
        redis_connection.delete("rq:queue:high")
        queue = Queue("high", connection=redis_connection, job_class=Job, serializer="json")
        job = queue.enqueue("tests.jobs.answer")
        wait_for(lambda: job.get_status(refresh=True) == JobStatus.FINISHED, "the job")


def states(redis: Redis) -> set[Any]:
    return {redis.hget(key, "state") for key in redis.scan_iter("rq:worker:*")}


def test_a_worker_ends_after_its_maximum_number_of_jobs(site: Site):
    calls = [TaskService.enqueue_task("tests.jobs.answer") for _ in range(3)]
    assert start(site, "rqworker", "--max-jobs", "2", "default").wait(60) == 0
    assert [status(call) for call in calls] == ["finished", "finished", "queued"]


def test_a_worker_ends_after_its_maximum_idle_time(site: Site):
    call = TaskService.enqueue_task("tests.jobs.answer")
    assert start(site, "rqworker", "--max-idle-time", "1", "default").wait(60) == 0
    assert status(call) == "finished"


def test_the_queues_of_a_worker_are_served_in_their_order(
    site: Site, redis_connection: Redis, notes: Path
):
    for queue in ("low", "default", "high"):
        call = TaskService.enqueue_task("tests.jobs.note", str(notes), queue)
        redis_connection.lrem("rq:queue:default", 1, call.job_id)
        redis_connection.rpush(f"rq:queue:{queue}", call.job_id)
    work_off(site)
    lines = notes.read_text().splitlines()
    assert lines[::2] == ["start high", "start default", "start low"]


def test_a_child_runs_many_jobs_and_is_replaced_when_it_is_due_for_recycling(site: Site):
    for most, processes in ((100, 1), (1, 3)):
        calls = [TaskService.enqueue_task("tests.jobs.process_id") for _ in range(3)]
        work_off(dict(site) | {"TASKS_CHILD_MAX_RUNS": str(most)})
        for call in calls:
            call.refresh_from_db()
        assert len({call.result for call in calls}) == processes


def test_a_sigterm_to_a_worker_and_its_child_at_once_ends_no_run(site: Site, notes: Path):
    with worker_during_a_call(site, notes, seconds=2) as (worker, call):
        for process in (child_of(worker), psutil.Process(worker.pid)):
            process.send_signal(signal.SIGTERM)
        worker.wait(20)
    assert status(call) == "finished"


def test_a_subprocess_that_a_function_starts_is_ended_by_sigterm_as_usual(site: Site):
    call = TaskService.enqueue_task("tests.jobs.end_by", "a terminated subprocess")
    work_off(site)
    call.refresh_from_db()
    assert call.result == -signal.SIGTERM


@pytest.mark.parametrize("busy", [False, True])
def test_a_pause_of_a_queue_reaches_an_idle_and_a_busy_worker_and_survives_a_flush(
    site: Site, redis_connection: Redis, notes: Path, busy: bool
):
    with running(site, "rqworker", "high", "default"):
        wait_for(lambda: states(redis_connection) == {b"idle"}, "the idle worker")
        if busy:
            before = TaskService.enqueue_task("tests.jobs.note", str(notes), "before", 2)
            wait_for(notes.read_text, "the start of the call")
        hold = holds.pause_queue("default", "ops")
        held = TaskService.enqueue_task("tests.jobs.note", str(notes), "held")
        if busy:
            wait_for(lambda: status(before) == "finished", "the run that goes on")
        else:
            redis_connection.flushall()
            held = TaskService.enqueue_task("tests.jobs.note", str(notes), "held")
        other = in_queue("high", redis_connection)
        wait_for(lambda: other.get_status(refresh=True) == JobStatus.FINISHED, "the other queue")
        assert (status(held), "held" in notes.read_text()) == ("queued", False)
        holds.resume(hold)
        wait_for(lambda: status(held) == "finished", "the call that waited")


def in_queue(name: str, redis: Redis) -> Any:
    queue = Queue(name, connection=redis, job_class=Job, serializer="json")
    return queue.enqueue("tests.jobs.answer")


def test_an_idle_worker_is_at_rest_while_a_job_waits_on_a_paused_queue(
    site: Site, redis_connection: Redis
):
    holds.pause_queue("default", "ops")
    TaskService.enqueue_task("tests.jobs.answer")
    rung = calls_of(redis_connection, "blmove")
    with running(site, "rqworker", "default"):
        wait_for(lambda: states(redis_connection) == {b"idle"}, "the idle worker")
        looks = calls_of(redis_connection, "evalsha")
        wait_for(lambda: calls_of(redis_connection, "evalsha") >= looks + 3, "three more looks")
        assert calls_of(redis_connection, "blmove") == rung


def calls_of(redis: Redis, command: str) -> int:
    """Return how often this server has executed a command so far."""
    stats = redis.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


@contextmanager
def worker_in_a_batch(
    site: Site, notes: Path
) -> Iterator[tuple["subprocess.Popen[bytes]", list[Task], Task, list[Task]]]:
    """Run a worker from when it has started a long call in the middle of many short ones.

    It has taken several of these ahead. Gives the worker, the calls before it, it, those behind.
    """
    before = [TaskService.enqueue_task("tests.jobs.answer") for _ in range(40)]
    long = TaskService.enqueue_task("tests.jobs.note", str(notes), "long", 60)
    behind = [TaskService.enqueue_task("tests.jobs.note", str(notes), f"{n}") for n in range(9)]
    with running(site, "rqworker", "default") as worker:
        wait_for(notes.read_text, "the long call's start")
        yield worker, before, long, behind


def test_a_long_run_keeps_no_job_from_other_workers_that_was_taken_ahead(site: Site, notes: Path):
    with worker_in_a_batch(site, notes) as (_, _, long, behind):
        with running(site, "rqworker", "default"):
            wait_for(lambda: all(status(call) == "finished" for call in behind), "those behind")
        assert status(long) == "running"
        TaskService.cancel_task(long)
    lines = notes.read_text().splitlines()
    assert [line for line in lines if "long" not in line] == [
        f"{what} {n}" for n in range(9) for what in ("start", "end")
    ]


def test_what_ran_before_a_long_run_is_reported_to_rq_while_that_goes_on(
    site: Site, redis_connection: Redis, notes: Path
):
    with worker_in_a_batch(site, notes) as (_, before, long, _):
        jobs = [Job.fetch(call.job_id, connection=redis_connection) for call in before]
        reported = lambda: {job.get_status() for job in jobs} == {JobStatus.FINISHED}  # noqa: E731
        wait_for(reported, "all jobs before the long one")
        assert status(long) == "running"
        TaskService.cancel_task(long)


def test_what_was_taken_ahead_runs_once_and_in_its_order_when_the_child_is_killed(
    site: Site, redis_connection: Redis, notes: Path
):
    with worker_in_a_batch(site, notes) as (worker, before, long, behind):
        child_of(worker).kill()
        wait_for(lambda: all(status(call) == "finished" for call in behind), "those behind")
    spool.drain(redis_connection)
    assert status(long) == "failed"
    assert {status(call) for call in before} == {"finished"}
    lines = notes.read_text().splitlines()
    assert lines == ["start long"] + [f"{what} {n}" for n in range(9) for what in ("start", "end")]
