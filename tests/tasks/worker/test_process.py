"""The worker: JSON only, leases, and a note of how a work-horse died."""

import signal
import sys
import time
from types import SimpleNamespace
from typing import Any

import django_rq
import pytest
import rq
from django.utils import timezone
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.job import JobStatus
from rq.serializers import DefaultSerializer, JSONSerializer

from tasks.broker import projection
from tasks.broker.enqueue import build_job, enqueue_run
from tasks.broker.keys import SPOOL_KEY, lease_key
from tasks.broker.leases import renew_lease
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.runs import spool
from tasks.runs.claim import claim
from tasks.worker.child import Workhorse
from tasks.worker.process import Child, Worker
from tasks.worker.shared_state import Board, Run
from tests.tasks.functions import perform, queued
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def worker(redis_connection: Redis) -> Worker:
    return Worker(["default"], connection=redis_connection)


@pytest.fixture
def run(schedule: ScheduledTask) -> ScheduledTaskInstance:
    return schedule.runs.create(name="x", due=ago(5), started=ago(4))


@pytest.fixture
def job(run: ScheduledTaskInstance, redis_connection: Redis) -> Job:
    """Return the job of a run that is going on, with its lease."""
    job = build_job(run.parent, run.run_job_id, redis_connection)
    job.save()
    renew_lease(redis_connection, job.id, "w1")
    return job


def ended(run: ScheduledTaskInstance, redis: Redis) -> tuple[str, str]:
    spool.drain(redis)
    run.refresh_from_db()
    return run.status, run.reason


def test_payloads_are_json_whatever_was_asked_for(redis_connection: Redis):
    worker = Worker(
        ["default"], connection=redis_connection, serializer=DefaultSerializer, job_class=rq.job.Job
    )
    assert (worker.serializer, worker.job_class) == (JSONSerializer, Job)
    assert worker.queues[0].job_class is Job


def test_django_rq_is_told_to_use_it():
    assert isinstance(django_rq.get_worker("default"), Worker)


@pytest.fixture
def child(worker: Worker, job: Job) -> Child:
    """Return a child that is there on paper only, and runs that job."""
    board = Board()
    board.take(Run(job.id, "e1", "default", 60, time.time()))
    board.start()
    return Child(0, SimpleNamespace(), board)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (signal.SIGKILL, "Lost: its process was killed by signal 9."),
        (3 << 8, "Lost: its process exited with status 3."),
    ],
)
def test_the_run_of_a_dead_child_is_noted(
    worker: Worker,
    child: Child,
    run: ScheduledTaskInstance,
    redis_connection: Redis,
    status: int,
    reason: str,
):
    worker._note_end(child, worker._reason(child.board.run, status))
    assert ended(run, redis_connection) == ("failed", reason)
    assert not redis_connection.exists(lease_key(run.run_job_id))


def test_a_stopped_run_is_noted(
    worker: Worker, child: Child, run: ScheduledTaskInstance, redis_connection: Redis
):
    worker._stopped_job_id = run.run_job_id
    worker._note_end(child, worker._reason(child.board.run, signal.SIGKILL))
    assert ended(run, redis_connection) == ("canceled", "Stopped on request.")


def test_a_run_killed_after_its_timeout_is_noted_as_timed_out(
    worker: Worker, child: Child, run: ScheduledTaskInstance
):
    board_run = Run(run.run_job_id, "e1", "default", 7, time.time() - 20)
    assert worker._reason(board_run, signal.SIGKILL) == (
        "Failed for: JobTimeoutException: Task exceeded maximum timeout value (7 seconds)"
    )


def test_an_end_on_the_board_goes_before_the_loss(
    worker: Worker, child: Child, run: ScheduledTaskInstance, redis_connection: Redis
):
    child.board.keep_end(run.run_job_id, "finished", {"result": 1, "ended": timezone.now()})
    worker._note_end(child, "Lost: its process was killed by signal 9.")
    assert ended(run, redis_connection) == ("finished", "")


def test_a_run_that_was_taken_but_not_started_has_no_end(
    worker: Worker, child: Child, run: ScheduledTaskInstance, redis_connection: Redis
):
    child.board.take(child.board.run)
    worker._note_end(child, "Lost: its process was killed by signal 9.")
    assert redis_connection.llen(SPOOL_KEY) == 0
    assert not redis_connection.exists(lease_key(run.run_job_id))


@pytest.fixture
def horse(worker: Worker, schedule: ScheduledTask, redis_connection: Redis) -> Workhorse:
    """Return what a child does, in this process, with two jobs to do."""
    ScheduledTask.objects.update(settled_through=ago(60))
    for seconds in (2, 1):
        enqueue_run(schedule, RunId(schedule.job_id, ago(seconds)), redis_connection)
    return Workhorse(worker, Board())


def on_paper(horse: Workhorse) -> Child:
    return Child(0, SimpleNamespace(), horse._board)


def test_a_job_that_was_taken_but_is_not_on_the_board_is_put_back(
    worker: Worker, horse: Workhorse, redis_connection: Redis
):
    before = queued(redis_connection)
    horse._step(more=True)
    assert queued(redis_connection) == before[1:]
    worker._put_back(on_paper(horse))
    assert queued(redis_connection) == before


def test_a_job_that_is_on_the_board_but_not_started_is_put_back(
    worker: Worker, horse: Workhorse, redis_connection: Redis
):
    before = queued(redis_connection)
    taken = horse._step(more=True)
    run = Run(taken.job_id, taken.execution_id, taken.queue, 60, time.time())
    horse._board.take(run)
    worker._renew_lease(run)
    worker._put_back(on_paper(horse))
    assert queued(redis_connection) == before
    assert worker.get_current_executions(refresh=True) == []


@pytest.mark.parametrize("way", ["started", "stopped"])
def test_a_job_that_was_started_or_stopped_is_not_put_back(
    worker: Worker, horse: Workhorse, redis_connection: Redis, way: str
):
    taken = horse._step(more=True)
    horse._board.take(Run(taken.job_id, taken.execution_id, taken.queue, 60, time.time()))
    if way == "started":
        horse._board.start()
    else:
        worker._stopped_job_id = taken.job_id
    worker._put_back(on_paper(horse))
    assert len(queued(redis_connection)) == 1


def test_a_job_that_is_put_back_and_claimed_already_runs_no_second_time(
    worker: Worker, horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis
):
    taken = horse._step(more=True)
    horse._board.take(Run(taken.job_id, taken.execution_id, taken.queue, 60, time.time()))
    claim(Job.from_fields(taken.job_id, taken.fields, redis_connection))
    worker._put_back(on_paper(horse))
    perform(redis_connection, taken.job_id)
    assert [run.status for run in schedule.runs.all()] == ["running"]


def test_a_child_that_goes_with_a_job_it_never_heard_of_gives_it_back(
    worker: Worker, horse: Workhorse, redis_connection: Redis, monkeypatch: pytest.MonkeyPatch
):
    before = queued(redis_connection)
    call = horse._queues._call

    def lose_the_answer(args: list[Any]) -> None:
        call(args)
        raise RedisConnectionError("the answer is lost")

    monkeypatch.setattr(horse._queues, "_call", lose_the_answer)
    assert horse.work_off() == (0, False)
    monkeypatch.setattr("os.waitpid", lambda *args: None)
    worker._child = Child(0, SimpleNamespace(close=lambda: None), horse._board)
    worker._end_child()
    assert queued(redis_connection) == before


def test_rq_is_not_told_again_of_a_job_whose_end_it_knows(
    worker: Worker, horse: Workhorse, redis_connection: Redis
):
    taken = horse._step(more=True)
    horse._run(taken)
    run = horse._board.run
    horse._step(more=True)
    worker._tell_rq(run, 0, signal.SIGKILL, None)
    assert Job.fetch(taken.job_id, connection=redis_connection).get_status() == JobStatus.FINISHED


def test_a_worker_stopped_at_once_notes_its_run(
    worker: Worker,
    child: Child,
    run: ScheduledTaskInstance,
    redis_connection: Redis,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(rq.Worker, "request_force_stop", lambda *args: sys.exit())
    worker._child = child
    with pytest.raises(SystemExit):
        worker.request_force_stop(signal.SIGTERM, None)
    assert ended(run, redis_connection) == ("failed", "Lost: its worker was stopped.")


def test_without_redis_a_dead_child_ends_no_worker(
    worker: Worker, child: Child, redis_unavailable: Any
):
    redis_unavailable(True)
    worker._note_end(child, "killed")


def test_a_request_to_stop_that_comes_after_the_childs_death_stops_nothing(
    worker: Worker, child: Child, run: ScheduledTaskInstance, monkeypatch: pytest.MonkeyPatch
):
    def is_gone(*args: Any) -> None:
        raise ProcessLookupError

    for name in ("kill", "killpg"):
        monkeypatch.setattr(f"os.{name}", is_gone)
    worker._child = child
    worker._stop_run(run.run_job_id)
    assert worker._stopped_job_id is None


def test_a_run_that_goes_on_is_vouched_for_and_shown(
    worker: Worker, child: Child, job: Job, redis_connection: Redis
):
    redis_connection.delete(lease_key(job.id))
    worker._renew_lease(child.board.run)
    assert redis_connection.get(lease_key(job.id)) == worker.name.encode()
    [execution] = worker.get_current_executions(refresh=True)
    assert execution.job_id == job.id


def test_the_process_that_forks_has_no_open_database_connection(
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


def test_a_template_is_never_executed(schedule: ScheduledTask, redis_connection: Redis):
    projection.put([schedule], redis_connection)
    before = redis_connection.hgetall(Job.key_for(schedule.job_id))
    redis_connection.rpush("rq:queue:default", schedule.job_id)
    worker = Worker(["default"], connection=redis_connection)
    assert Workhorse(worker, Board()).work_off() == (0, True)
    assert redis_connection.hgetall(Job.key_for(schedule.job_id)) == before
    assert not schedule.runs.exists()


@pytest.mark.parametrize("name", ["os.getpid", "tests.tasks.functions.echo.__call__"])
def test_a_run_whose_payload_names_something_else_fails_and_says_so(
    redis_connection: Redis, name: str
):
    schedule = make_row(settled_through=ago(60))
    run_id = RunId(schedule.job_id, ago(1))
    job = Job.create(name, id=run_id.job_id, connection=redis_connection, origin="default")
    job.save()
    perform(redis_connection, job.id)
    run = schedule.runs.get()
    assert run.status == "failed"
    assert run.reason.startswith("Failed for: UnknownTaskFunction")
