"""The worker: JSON only, leases, and a record of how a child died.

What a worker does when its child has died is called here directly, though it is private: it happens
in the middle of the worker's loop, and a child that really dies at a given line takes processes
and a kill point (`tests/acceptance/proof` has those).
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NoReturn

import django_rq
import psutil
import pytest
import rq
from django.utils import timezone
from redis import Redis
from rq.job import JobStatus
from rq.serializers import DefaultSerializer, JSONSerializer

from tasks.broker import projection
from tasks.broker.enqueue import build_job, enqueue_run
from tasks.broker.keys import SPOOL_KEY, lease_key, taken_key
from tasks.broker.leases import renew_lease
from tasks.broker.workers import live_workers
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reasons import Code, reason
from tasks.reports.in_redis import read_snapshot
from tasks.runs import holds, spool
from tasks.runs.claim import claim
from tasks.runs.lease import Hold
from tasks.worker.child import Child
from tasks.worker.coroutine_keeper import CoroutineKeeper
from tasks.worker.lease import LeaseKeeper
from tasks.worker.process import ChildProcess, Worker
from tasks.worker.queues import Taken
from tasks.worker.run_table import RunTable
from tasks.worker.shared_state import NUMBER_TAKEN, TAKEN, TAKEN_SIZE, Run, SharedState
from tests.servers import wait_for
from tests.tasks.functions import ECHO, perform, queued
from tests.tasks.schedules import ago, make_row
from tests.tasks.worker.lost_answers import lost_answers

pytestmark = pytest.mark.django_db

KILLED = reason(Code.LOST_SIGNAL, signal=9).fields


@pytest.fixture
def worker(redis_connection: Redis) -> Worker:
    return Worker(["default"], connection=redis_connection)


@pytest.fixture
def run(schedule: ScheduledTask) -> ScheduledTaskInstance:
    return schedule.runs.create(name="x", due=ago(5), started=ago(4))


@pytest.fixture
def job(run: ScheduledTaskInstance, redis_connection: Redis) -> Job:
    """Return the job of a run that is running, with its lease."""
    job = build_job(run.parent, run.run_job_id, redis_connection)
    job.save()
    renew_lease(redis_connection, job.id, "w1")
    return job


def ended(run: ScheduledTaskInstance, redis: Redis) -> tuple[str, str]:
    spool.drain(redis)
    run.refresh_from_db()
    return run.status, run.reason_in_words()


def test_a_worker_reads_payloads_as_json_whatever_serializer_it_is_given(redis_connection: Redis):
    worker = Worker(
        ["default"], connection=redis_connection, serializer=DefaultSerializer, job_class=rq.job.Job
    )
    assert (worker.serializer, worker.job_class) == (JSONSerializer, Job)
    assert worker.queues[0].job_class is Job


def test_a_silent_worker_soon_counts_no_more_in_the_admin_but_may_still_know_a_refused_job(
    worker: Worker, redis_connection: Redis
):
    worker.register_birth()
    worker.heartbeat()
    [seen] = read_snapshot(redis_connection).workers
    assert seen.name == worker.name
    redis_connection.expire(worker.key, redis_connection.ttl(worker.key) - 31)
    assert read_snapshot(redis_connection).workers == ()
    assert live_workers(["default"], redis_connection) == {"default": {worker.name}}
    worker.heartbeat()
    assert [one.name for one in read_snapshot(redis_connection).workers] == [worker.name]


@pytest.mark.parametrize("concurrency", [0, 7])
def test_a_worker_says_how_many_coroutines_it_runs_side_by_side_at_most(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch, concurrency: int
):
    monkeypatch.setattr(Worker, "concurrency", concurrency)
    worker = Worker(["default"], connection=redis_connection)
    worker.register_birth()
    worker.heartbeat()
    [seen] = read_snapshot(redis_connection).workers
    assert (seen.concurrency, seen.coroutines, seen.is_busy) == (concurrency, 0, False)


def worker_with_a_coroutine(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Worker:
    """Return a worker whose second child runs something, as the table that they share says."""
    monkeypatch.setattr(Worker, "concurrency", 7)
    worker = Worker(["default"], connection=redis)
    worker.register_birth()
    assert worker._coroutines
    table = RunTable(7)
    table.take([Run("task-1", "1", "default", 60, 0.0)])
    worker._coroutines.children = (SimpleNamespace(table=table),)  # type: ignore[assignment]
    return worker


@pytest.mark.parametrize("concurrency", [0, 7])
def test_to_rq_a_worker_that_waits_for_plain_jobs_is_busy_while_it_runs_coroutines(
    worker: Worker, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch, concurrency: int
):
    if concurrency:
        worker = worker_with_a_coroutine(redis_connection, monkeypatch)
    worker._stop_requested = True  # so that it doesn't listen
    worker._wait(10.0)
    state = redis_connection.hget(worker.key, "state")
    assert state == (b"busy" if concurrency else b"idle")


def test_after_redis_was_emptied_a_worker_says_again_how_many_coroutines_it_runs(
    redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    worker = worker_with_a_coroutine(redis_connection, monkeypatch)
    redis_connection.flushall()
    worker.heartbeat()
    [seen] = read_snapshot(redis_connection).workers
    assert (seen.concurrency, seen.coroutines, seen.is_busy) == (7, 1, True)


def test_django_rq_makes_workers_of_this_class():
    assert isinstance(django_rq.get_worker("default"), Worker)


@pytest.fixture
def shared() -> SharedState:
    return SharedState()


@pytest.fixture
def process(shared: SharedState, job: Job) -> ChildProcess:
    """Return a child process that runs that job, as its worker sees it; the process is made up."""
    shared.take(Run(job.id, "e1", "default", 60, time.monotonic()))
    shared.start()
    return process_with(shared)


def process_with(shared: SharedState) -> ChildProcess:
    return ChildProcess(0, SimpleNamespace(close=lambda: None), shared, time.monotonic())


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (signal.SIGKILL, "Lost: its process was killed by signal 9."),
        (3 << 8, "Lost: its process exited with status 3."),
    ],
)
def test_the_run_of_a_child_that_died_is_recorded_as_lost_with_the_reason(
    worker: Worker,
    process: ChildProcess,
    run: ScheduledTaskInstance,
    redis_connection: Redis,
    status: int,
    reason: str,
):
    worker._note_end(process, worker._reason(process.shared.run, status))
    assert ended(run, redis_connection) == ("failed", reason)
    assert not redis_connection.exists(lease_key(run.run_job_id))


def test_a_run_that_was_stopped_on_request_is_recorded_as_canceled(
    worker: Worker, process: ChildProcess, run: ScheduledTaskInstance, redis_connection: Redis
):
    worker._stopped_job_id = run.run_job_id
    worker._note_end(process, worker._reason(process.shared.run, signal.SIGKILL))
    assert ended(run, redis_connection) == ("canceled", "Stopped on request.")


def test_a_run_that_was_killed_after_its_timeout_is_recorded_as_timed_out(
    worker: Worker, process: ChildProcess, run: ScheduledTaskInstance
):
    board_run = Run(run.run_job_id, "e1", "default", 7, time.monotonic() - 20)
    worker._overtime.killed = "e1"
    assert worker._reason(board_run, signal.SIGKILL) == {
        "reason": "Failed for: JobTimeoutException: Task exceeded maximum timeout value (7 seconds)"
    }


def test_a_finished_run_whose_child_died_before_it_was_written_is_recorded_as_finished(
    worker: Worker, process: ChildProcess, run: ScheduledTaskInstance, redis_connection: Redis
):
    process.shared.keep_end(run.run_job_id, "finished", {"result": 1, "ended": timezone.now()})
    worker._note_end(process, KILLED)
    assert ended(run, redis_connection) == ("finished", "")


def test_a_run_that_a_dead_child_had_taken_but_not_started_is_not_recorded_as_ended(
    worker: Worker, process: ChildProcess, run: ScheduledTaskInstance, redis_connection: Redis
):
    process.shared.take(process.shared.run)
    worker._note_end(process, KILLED)
    assert redis_connection.llen(SPOOL_KEY) == 0
    assert not redis_connection.exists(lease_key(run.run_job_id))


@pytest.fixture
def child(
    worker: Worker, shared: SharedState, schedule: ScheduledTask, redis_connection: Redis
) -> Child:
    """Return what a child does, in this process, with two jobs on its queue."""
    ScheduledTask.objects.update(settled_through=ago(60))
    for seconds in (2, 1):
        enqueue_run(schedule, RunId(schedule.job_id, ago(seconds)), redis_connection)
    child = Child(worker, shared)
    child._held = holds.read()
    return child


@pytest.fixture
def taken(child: Child) -> Taken:
    """Return the first of the two jobs, which the child has taken."""
    taken = child.next_job(1)
    assert taken is not None
    return taken


@pytest.fixture
def taken_run(shared: SharedState, taken: Taken) -> Run:
    """Return the run of that job, as it is in the shared state before it starts."""
    run = Run(taken.job_id, taken.execution_id, taken.queue, 60, time.monotonic())
    shared.take(run)
    return run


def test_a_job_that_a_child_took_without_getting_the_answer_is_returned_to_its_queue(
    worker: Worker, shared: SharedState, taken: Taken, redis_connection: Redis
):
    [other] = queued(redis_connection)
    worker._return_unstarted(process_with(shared))
    assert queued(redis_connection) == [taken.job_id, other]


def test_a_job_that_a_child_took_but_did_not_start_is_returned_to_its_queue(
    worker: Worker, shared: SharedState, taken_run: Run, redis_connection: Redis
):
    [other] = queued(redis_connection)
    worker._renew_lease(taken_run)
    worker._return_unstarted(process_with(shared))
    assert queued(redis_connection) == [taken_run.job_id, other]
    assert worker.get_current_executions(refresh=True) == []


@pytest.mark.parametrize("way", ["started", "stopped"])
def test_a_job_that_was_started_or_stopped_is_not_returned_to_its_queue(
    worker: Worker, shared: SharedState, taken_run: Run, redis_connection: Redis, way: str
):
    if way == "started":
        shared.start()
    else:
        worker._stopped_job_id = taken_run.job_id
    worker._return_unstarted(process_with(shared))
    assert taken_run.job_id not in queued(redis_connection)


def test_a_job_that_is_returned_to_its_queue_after_it_was_claimed_runs_no_second_time(
    worker: Worker,
    shared: SharedState,
    taken: Taken,
    taken_run: Run,
    schedule: ScheduledTask,
    redis_connection: Redis,
):
    claim(Job.from_fields(taken.job_id, taken.fields, redis_connection))
    worker._return_unstarted(process_with(shared))
    perform(redis_connection, taken.job_id)
    assert [run.status for run in schedule.runs.all()] == ["running"]


def test_a_child_that_exits_without_the_answer_to_its_last_step_loses_no_job(
    worker: Worker,
    child: Child,
    shared: SharedState,
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    before = queued(redis_connection)
    with lost_answers(redis_connection):
        assert child.work_off() == (0, False)
    monkeypatch.setattr("os.waitpid", lambda *args: None)
    worker._child = process_with(shared)
    worker._end_child()
    assert queued(redis_connection) == before


@pytest.fixture
def batch(child: Child, monkeypatch: pytest.MonkeyPatch) -> list[Taken]:
    """Return both jobs, which the child has taken at a time; it has begun the first one."""
    monkeypatch.setattr(child._pace, "next", lambda now: 2)
    first = child.next_job(2)
    assert first is not None
    return [first, *child._ahead]


def test_what_a_dead_child_had_taken_ahead_is_back_on_its_queue_and_can_be_put_back_again(
    worker: Worker,
    shared: SharedState,
    child: Child,
    batch: list[Taken],
    redis_connection: Redis,
):
    worker._return_unstarted(process_with(shared))
    job_ids = [taken.job_id for taken in batch]
    assert queued(redis_connection) == job_ids
    marked = [redis_connection.hexists(Job.key_for(job_id), "put_back") for job_id in job_ids]
    assert marked == [True, False]  # Only the first one can have killed the child.


def test_what_a_dead_child_had_finished_is_reported(
    worker: Worker,
    shared: SharedState,
    child: Child,
    batch: list[Taken],
    redis_connection: Redis,
):
    child.run(batch[0])
    dependent = build_job(
        ScheduledTask.objects.get(), f"{batch[0].job_id}-dependent", redis_connection
    )
    dependent._dependency_ids = [batch[0].job_id]
    dependent.save()
    dependent.register_dependency()
    worker._return_unstarted(process_with(shared))
    first, second = [Job.fetch(taken.job_id, connection=redis_connection) for taken in batch]
    assert (first.get_status(), second.get_status()) == (JobStatus.FINISHED, JobStatus.QUEUED)
    assert dependent.id in queued(redis_connection)


@pytest.fixture
def sleeper(shared: SharedState) -> Iterator[ChildProcess]:
    """Return a child process that sleeps."""
    pid = os.fork()
    if pid == 0:
        try:
            time.sleep(60)
        finally:
            os._exit(0)
    yield ChildProcess(pid, SimpleNamespace(close=lambda: None), shared, time.monotonic())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_what_waits_for_a_run_that_takes_long_is_given_back_and_reported_by_the_worker(
    worker: Worker,
    shared: SharedState,
    child: Child,
    sleeper: ChildProcess,
    batch: list[Taken],
    redis_connection: Redis,
):
    first, second = batch
    child.run(first)
    child._ahead.clear()
    shared.begin()
    shared.take(Run(second.job_id, second.execution_id, "default", 60, time.monotonic()))
    third = Taken("task-3", "default", "e3", {})
    shared._put(TAKEN, TAKEN_SIZE, json.dumps([as_list(one) for one in (*batch, third)]).encode())
    shared._memory[NUMBER_TAKEN] = 3
    relieve(worker, sleeper)
    assert shared.ahead == [third]  # It has just begun.
    relieve(worker, sleeper)
    assert (shared.ahead, shared.unreported, shared.begin()) == ([], [], False)
    assert Job.fetch(first.job_id, connection=redis_connection).get_status() == JobStatus.FINISHED
    assert goes_on(sleeper)
    assert worker.connection.hget(taken_key(worker.name), "job") == second.job_id.encode()


def relieve(worker: Worker, process: ChildProcess) -> None:
    """Have a worker look after what waits for its child's run, and wait until it has."""
    worker._relieve(process)
    if worker._settling is not None:
        worker._settling.result(10)


def goes_on(process: ChildProcess) -> bool:
    """Return whether a process that sleeps does so again, and isn't suspended any more."""
    status = psutil.Process(process.pid).status
    return bool(wait_for(lambda: status() == psutil.STATUS_SLEEPING, "a process that goes on", 5))


def as_list(taken: Taken) -> list[Any]:
    return [taken.job_id, taken.queue, taken.execution_id, taken.leased]


@pytest.mark.parametrize("why", ["suspended", "step"])
def test_a_child_that_is_suspended_or_about_to_take_jobs_is_left_alone(
    worker: Worker,
    shared: SharedState,
    child: Child,
    sleeper: ChildProcess,
    batch: list[Taken],
    monkeypatch: pytest.MonkeyPatch,
    why: str,
):
    if why == "suspended":
        monkeypatch.setattr(LeaseKeeper, "is_suspending", True)
    else:
        shared.announce_step("step-2")
    shared.take(Run(batch[0].job_id, batch[0].execution_id, "default", 60, time.monotonic()))
    for _ in range(2):
        relieve(worker, sleeper)
    assert [taken.job_id for taken in shared.ahead] == [batch[1].job_id]


def test_what_was_taken_over_is_given_back_once_redis_is_there_again(
    worker: Worker,
    shared: SharedState,
    child: Child,
    sleeper: ChildProcess,
    batch: list[Taken],
    redis_connection: Redis,
    redis_unavailable: Any,
):
    shared.take(Run(batch[0].job_id, batch[0].execution_id, "default", 60, time.monotonic()))
    redis_unavailable(True)
    for _ in range(2):
        relieve(worker, sleeper)
    assert shared.ahead == []
    redis_unavailable(False)
    assert queued(redis_connection) == []
    relieve(worker, sleeper)
    assert queued(redis_connection) == [batch[1].job_id]


def test_the_end_of_a_job_that_rq_knows_already_is_not_reported_again(
    worker: Worker, child: Child, shared: SharedState, taken: Taken, redis_connection: Redis
):
    child.run(taken)
    run = shared.run
    child.next_job(1)
    worker._ends.report_to_rq(run, 0, signal.SIGKILL, None, is_stopped=False)
    assert Job.fetch(taken.job_id, connection=redis_connection).get_status() == JobStatus.FINISHED


def test_a_worker_that_is_stopped_at_once_records_its_run_as_lost(
    worker: Worker,
    process: ChildProcess,
    run: ScheduledTaskInstance,
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(rq.Worker, "request_force_stop", lambda *args: sys.exit())
    worker._child = process
    with pytest.raises(SystemExit):
        worker.request_force_stop(signal.SIGTERM, None)
    assert ended(run, redis_connection) == ("failed", "Lost: its worker was stopped.")


def test_the_end_of_a_run_whose_child_dies_without_redis_is_recorded_once_redis_is_back(
    worker: Worker,
    process: ChildProcess,
    run: ScheduledTaskInstance,
    redis_connection: Redis,
    redis_unavailable: Any,
):
    redis_unavailable(True)
    worker._note_end(process, KILLED)
    redis_unavailable(False)
    worker._do_maintenance(burst=True)
    assert ended(run, redis_connection) == ("failed", "Lost: its process was killed by signal 9.")


@pytest.mark.parametrize(
    ("why", "end"),
    [
        (
            Hold.UNKNOWN,
            (
                "failed",
                "Lost: the worker “w1” reached neither Redis nor the database, and ended it.",
            ),
        ),
        (Hold.STOPPED, ("canceled", "Stopped on request.")),
        (Hold.CLOSED, ("running", "")),
    ],
)
def test_a_run_that_has_no_lease_any_more_is_ended_and_says_so(
    redis_connection: Redis,
    process: ChildProcess,
    run: ScheduledTaskInstance,
    monkeypatch: pytest.MonkeyPatch,
    why: Hold,
    end: tuple[str, str],
):
    worker = Worker(["default"], "w1", connection=redis_connection)
    killed: list[str] = []
    monkeypatch.setattr(worker, "kill_horse", lambda: killed.append("the child"))
    monkeypatch.setattr(worker._keeper, "keep", lambda *args, **options: why)
    worker._keep_lease(process, process.shared.run)
    worker._note_end(process, worker._reason(process.shared.run, signal.SIGKILL))
    assert killed == ["the child"]
    assert ended(run, redis_connection) == end


def test_a_request_to_stop_a_run_whose_child_has_died_stops_nothing(
    worker: Worker,
    process: ChildProcess,
    run: ScheduledTaskInstance,
    monkeypatch: pytest.MonkeyPatch,
):
    def no_such_process(*args: Any) -> None:
        raise ProcessLookupError

    for name in ("kill", "killpg"):
        monkeypatch.setattr(f"os.{name}", no_such_process)
    worker._child = process
    command = json.dumps({"command": "stop-job", "job_id": run.run_job_id}).encode()
    worker.handle_payload({"data": command})
    assert worker._stopped_job_id is None


def test_the_lease_of_a_long_run_is_renewed_and_rq_shows_its_execution(
    worker: Worker, process: ChildProcess, job: Job, redis_connection: Redis
):
    redis_connection.delete(lease_key(job.id))
    worker._renew_lease(process.shared.run)
    assert redis_connection.get(lease_key(job.id)) == worker.name.encode()
    [execution] = worker.get_current_executions(refresh=True)
    assert execution.job_id == job.id


def test_a_worker_closes_its_database_connections_before_it_forks(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
):
    calls: list[str] = []
    monkeypatch.setattr("django.db.connections.close_all", lambda: calls.append("close"))

    def fork() -> int:
        calls.append("fork")
        return 1

    monkeypatch.setattr("os.fork", fork)
    worker._fork()
    assert calls == ["close", "fork"]


def hang(*args: Any, **kwargs: Any) -> NoReturn:
    """Do, in place of a child, what one does that needs a lock which its fork left locked."""
    time.sleep(60)
    os._exit(1)


def test_a_child_that_hangs_before_it_takes_a_job_is_replaced(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("tasks.worker.process.start", hang)
    monkeypatch.setattr("tasks.worker.process.HUNG_SECONDS", 0.0)
    worker._run_jobs(0)
    assert worker.horse_pid == 0
    assert "The child hangs since its start" in caplog.text


def test_a_coroutine_child_that_hangs_before_it_takes_a_job_is_replaced(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("tasks.worker.coroutine_keeper.start", hang)
    for name in ("HUNG_SECONDS", "BLOCKED_SECONDS"):
        monkeypatch.setattr(f"tasks.worker.kept_child.{name}", 0.0)
    keeper = CoroutineKeeper(worker, 2)
    keeper.work_off()
    assert not keeper.children
    assert "The coroutine child hangs without a run" in caplog.text


def test_a_template_on_a_queue_is_never_executed(schedule: ScheduledTask, redis_connection: Redis):
    projection.put([schedule], redis_connection)
    before = redis_connection.hgetall(Job.key_for(schedule.job_id))
    redis_connection.rpush("rq:queue:default", schedule.job_id)
    worker = Worker(["default"], connection=redis_connection)
    assert Child(worker, SharedState()).work_off() == (0, True)
    assert redis_connection.hgetall(Job.key_for(schedule.job_id)) == before
    assert not schedule.runs.exists()


def test_queues_that_a_worker_is_given_have_our_jobs_whoever_made_them(redis_connection: Redis):
    made = rq.Queue("default", connection=redis_connection, is_async=False)
    [queue] = Worker([made], connection=redis_connection).queues
    assert (queue.job_class, queue.serializer, queue._is_async) == (Job, JSONSerializer, True)


def test_a_stopped_callback_that_is_not_registered_is_not_imported(
    redis_connection: Redis, caplog: Any
):
    sys.modules.pop("this", None)
    job = Job.create(ECHO, connection=redis_connection, origin="default")
    job.save()
    redis_connection.hset(job.key, "stopped_callback_name", "this.s")
    worker = Worker(["default"], connection=redis_connection)
    stopped = Job.fetch(job.id, connection=redis_connection)
    execution = rq.executions.Execution("x", job.id, redis_connection)
    worker._handle_stopped_job(stopped, worker.queues[0], execution)
    assert "“this.s” is not a registered task function" in caplog.text
    assert "this" not in sys.modules


@pytest.mark.parametrize("name", ["os.getpid", "tests.tasks.functions.echo.__call__"])
def test_a_run_whose_payload_names_an_unregistered_function_fails_with_that_reason(
    redis_connection: Redis, name: str
):
    schedule = make_row(settled_through=ago(60))
    run_id = RunId(schedule.job_id, ago(1))
    job = Job.create(ECHO, id=run_id.job_id, connection=redis_connection, origin="default")
    job.func_name = name
    job.save()
    perform(redis_connection, job.id)
    run = schedule.runs.get()
    assert run.status == "failed"
    assert run.reason.startswith("Failed for: UnknownTaskFunction")


def test_a_child_goes_on_after_it_was_asked_to_stop_another_job(
    worker: Worker, sleeper: ChildProcess
):
    worker._child = sleeper
    worker._stop_run("task-other")
    assert goes_on(sleeper)


def test_a_child_goes_on_if_what_it_runs_can_not_be_read(
    worker: Worker, sleeper: ChildProcess, monkeypatch: pytest.MonkeyPatch
):
    worker._child = sleeper
    monkeypatch.setattr(SharedState, "run", property(lambda shared: json.loads("torn")))
    with pytest.raises(json.JSONDecodeError):
        worker._stop_run("task-other")
    assert goes_on(sleeper)


def test_a_child_is_looked_at_only_once_it_stands_still(
    worker: Worker, sleeper: ChildProcess, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []

    def look(shared: SharedState) -> None:
        seen.append(psutil.Process(sleeper.pid).status())

    worker._child = sleeper
    monkeypatch.setattr(SharedState, "run", property(look))
    worker._stop_run("task-other")
    assert seen == [psutil.STATUS_STOPPED]


def test_a_worker_keeps_looking_after_its_run_while_redis_hangs(
    worker: Worker,
    shared: SharedState,
    child: Child,
    sleeper: ChildProcess,
    batch: list[Taken],
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    hangs, ends = threading.Event(), threading.Event()
    settle = worker._settle

    def hang() -> None:
        hangs.set()
        assert ends.wait(30)
        settle()

    monkeypatch.setattr(worker, "_settle", hang)
    shared.take(Run(batch[0].job_id, batch[0].execution_id, "default", 60, time.monotonic()))
    for _ in range(4):
        worker._relieve(sleeper)
    assert hangs.wait(10)
    assert queued(redis_connection) == []
    ends.set()
    worker._settle_taken_over()
    assert queued(redis_connection) == [batch[1].job_id]
