"""The coroutine child: many runs side by side, each with its own row, log and end."""

import asyncio
import dataclasses
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from decimal import ROUND_UP, getcontext
from multiprocessing import Pipe
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.db import OperationalError, connection, connections, transaction
from django.utils import translation
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import get_current_job
from rq.job import JobStatus

import tasks
from tasks import clock, registry
from tasks.broker.enqueue import enqueue_run, enqueue_task
from tasks.broker.keys import lease_key
from tasks.decorators import NotNow
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance, Task
from tasks.runs import group_sql, group_writer, shared_threads, spool, sql
from tasks.runs.shared_threads import leaves_nothing
from tasks.timing.instants import from_milliseconds
from tasks.worker import Worker
from tasks.worker.batches import Batches
from tasks.worker.coroutine_child import DRAINS, CoroutineChild
from tasks.worker.intake import Intake
from tasks.worker.queues import Batch
from tasks.worker.run_table import Room, RunTable
from tasks.worker.shared_state import Run
from tests.tasks.functions import CALL, COROUTINE, QUEUES, queued
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

Behave = Callable[[Callable[..., Coroutine[Any, Any, Any]]], None]
WorkOff = Callable[..., RunTable]


@pytest.fixture
def work_off(redis_connection: Redis, settings: LazySettings) -> WorkOff:
    """Return a function that does what a coroutine child does, in this process.

    It returns when there are no jobs. `during` is called in the loop, with the connection to the
    child, once jobs have been taken.
    """
    # Other tests may have made this process large.
    settings.TASKS_CHILD_MAX_MEMORY = 100_000

    def run(
        concurrency: int = 10,
        during: Callable[[Any], Coroutine[Any, Any, None]] | None = None,
        older: Sequence[RunTable] = (),
    ) -> RunTable:
        ours, theirs = Pipe()
        table, room = RunTable(2 * concurrency), Room(concurrency, older)
        worker = Worker(QUEUES, connection=redis_connection)
        child = CoroutineChild(worker, table, room, theirs)

        async def serve() -> None:
            others = [] if during is None else [asyncio.create_task(during(ours))]
            await child.serve(burst=True)
            await asyncio.gather(*others)
            await sync_to_async(connections.close_all)()  # that of the async ORM

        asyncio.run(asyncio.wait_for(serve(), 60))
        return table

    return run


@pytest.fixture
def schedule() -> ScheduledTask:
    long_ago = ago(3600)
    values = {"first": long_ago, "interval": 1, "settled_through": long_ago, "overlap": "allow"}
    return make_row(function=COROUTINE, **values)


def dispatch(redis: Redis, schedule: ScheduledTask, number: int = 1) -> list[str]:
    """Put runs of a schedule on their queue; return their jobs' ids."""
    assert schedule.first is not None
    dues = [schedule.first + timedelta(seconds=10 + index) for index in range(number)]
    run_ids = [RunId(schedule.job_id, due) for due in dues]
    for run_id in run_ids:
        enqueue_run(schedule, run_id, redis)
    return [run_id.job_id for run_id in run_ids]


def call(redis: Redis, *args: Any, **values: Any) -> Task:
    """Enqueue a background call."""
    task = Task.objects.create(name="x", function=COROUTINE, args=list(args), **values)
    enqueue_task(task, redis)
    return task


def calls(redis: Redis, number: int) -> list[Task]:
    return [call(redis, index) for index in range(number)]


def end(record: Task | ScheduledTaskInstance) -> tuple[str, str]:
    record.refresh_from_db()
    return record.status, record.reason_in_words()


def lines(record: Task) -> list[str]:
    record.refresh_from_db()
    return [line.split(": ", 1)[1] for line in record.log.splitlines()]


async def together(number: int, seen: list[Any], entry: Any = None) -> None:
    """Wait until so many runs have come here."""
    seen.append(entry)
    while len(seen) < number:
        await asyncio.sleep(0.01)


# Side by side


def test_runs_go_on_at_the_same_time(
    work_off: WorkOff, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []
    behave(lambda: together(5, seen))
    dispatch(redis_connection, schedule, 5)
    work_off()
    assert [run.status for run in schedule.runs.all()] == ["finished"] * 5


def test_never_more_run_at_a_time_than_they_may(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    running: set[int] = set()
    most: list[int] = []
    three = asyncio.Barrier(3)

    async def count(index: int) -> None:
        running.add(index)
        most.append(len(running))
        await three.wait()
        running.discard(index)

    behave(count)
    ran = calls(redis_connection, 9)
    work_off(concurrency=3)
    assert {end(one)[0] for one in ran} == {"finished"}
    assert max(most) == 3


def test_the_row_of_each_run_says_running_while_it_runs(
    work_off: WorkOff, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []

    async def look() -> str:
        await together(3, seen)
        job = get_current_job()
        assert job is not None
        due = int(job.id.rpartition("-")[2])
        return (await schedule.runs.aget(due=from_milliseconds(due))).status

    behave(look)
    dispatch(redis_connection, schedule, 3)
    work_off()
    assert [run.result for run in schedule.runs.all()] == ["running"] * 3


def test_a_plain_function_is_left_to_the_other_child(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    plain = make_row(function=CALL, settled_through=ago(3600))
    [job_id] = dispatch(redis_connection, plain)
    work_off()
    assert queued(redis_connection) == [job_id]


def test_a_job_whose_function_is_no_coroutine_any_more_is_left_to_the_other_child(
    work_off: WorkOff, redis_connection: Redis
):
    plain = make_row(function=CALL, settled_through=ago(3600))
    [job_id] = dispatch(redis_connection, plain)
    redis_connection.hset(Job.key_for(job_id), "kind", "coroutine")
    work_off()
    assert queued(redis_connection) == [job_id]
    assert not redis_connection.hexists(Job.key_for(job_id), "kind")


# What each run has of its own


def test_each_log_has_only_the_lines_of_its_own_run(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    logger, seen = logging.getLogger("tests.any"), list[Any]()

    async def log(index: int) -> None:
        await together(3, seen)
        logger.info("loop %d", index)
        await asyncio.to_thread(logger.info, "thread %d", index)
        await sync_to_async(logger.info)("orm %d", index)
        await asyncio.create_task(asyncio.to_thread(logger.info, "task %d", index))

    behave(log)
    ran = calls(redis_connection, 3)
    work_off()
    for index, one in enumerate(ran):
        assert lines(one) == [f"{where} {index}" for where in ("loop", "thread", "orm", "task")]


def test_each_run_has_its_own_progress_job_and_context(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []
    variable: ContextVar[int] = ContextVar("variable", default=-1)

    async def change(index: int) -> list[Any]:
        before = [variable.get(), translation.get_language(), getcontext().rounding]
        variable.set(index)
        translation.activate("ko")
        getcontext().rounding = ROUND_UP
        await together(3, seen)
        tasks.progress(index, 4)
        job = get_current_job()
        return [*before, variable.get(), job and job.id]

    behave(change)
    ran = calls(redis_connection, 3)
    work_off()
    for index, one in enumerate(ran):
        one.refresh_from_db()
        assert one.result == [-1, "en-us", "ROUND_HALF_EVEN", index, one.job_id]


def test_a_failing_run_ends_alone_with_its_own_reason_and_traceback(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []

    async def fail(index: int) -> None:
        await together(3, seen)
        if index == 1:
            raise ValueError("not so")
        if index == 2:
            raise SystemExit(3)

    behave(fail)
    ran = calls(redis_connection, 3)
    work_off()
    assert [end(one) for one in ran] == [
        ("finished", ""),
        ("failed", "Failed for: ValueError: not so"),
        ("failed", "Failed for: SystemExit: 3"),
    ]
    assert "in fail" in ran[1].traceback
    job = Job.fetch(ran[1].job_id, connection=redis_connection)
    assert job.get_status() == JobStatus.FAILED


def test_a_failed_run_is_tried_again(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, schedule: ScheduledTask
):
    async def fail() -> None:
        if not await schedule.runs.filter(attempt=2).aexists():
            raise ValueError

    behave(fail)
    ScheduledTask.objects.update(retries=1, retry_delay=0)
    dispatch(redis_connection, schedule)
    work_off()
    assert [(run.status, run.attempt) for run in schedule.runs.all()] == [("finished", 2)]


def test_a_secret_argument_is_masked_in_the_log_and_the_traceback(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    async def tell(*, api_token: str) -> None:
        logging.getLogger("tests.any").info("it is %s", api_token)
        raise ValueError(f"bad: {api_token}")

    behave(tell)
    one = call(redis_connection, kwargs={"api_token": "s3cr3t-value"})
    work_off()
    one.refresh_from_db()
    assert one.status == "failed"
    assert "s3cr3t-value" not in one.log + one.traceback + one.reason


# Timeout and stop


def test_a_run_that_exceeds_its_timeout_fails_and_the_others_go_on(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    async def sleep(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "slept"

    behave(sleep)
    late, fine = call(redis_connection, 30, timeout=1), call(redis_connection, 1.5, timeout=10)
    work_off()
    text = "Failed for: JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"
    assert [end(late), end(fine)] == [("failed", text), ("finished", "")]
    assert "asyncio.sleep" in late.traceback


def test_a_run_that_swallows_its_timeout_has_failed(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    async def swallow() -> str:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return "as if nothing had happened"
        return ""

    behave(swallow)
    one = call(redis_connection, timeout=1)
    work_off()
    assert end(one)[0] == "failed"
    assert "JobTimeoutException" in one.reason


def test_a_run_is_stopped_on_request_alone(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []
    stopped = asyncio.Event()

    async def wait(index: int) -> None:
        await together(2, seen, index)
        if index == 0:
            await asyncio.sleep(30)
        await stopped.wait()

    behave(wait)
    ran = calls(redis_connection, 2)

    async def stop(orders: Any) -> None:
        while len(seen) < 2:
            await asyncio.sleep(0.01)
        orders.send(ran[0].job_id)
        while not await Task.objects.filter(pk=ran[0].pk, status="canceled").aexists():
            await asyncio.sleep(0.01)
        stopped.set()

    work_off(during=stop)
    assert [end(one) for one in ran] == [("canceled", "Stopped on request."), ("finished", "")]
    job = Job.fetch(ran[0].job_id, connection=redis_connection)
    assert job.get_status() == JobStatus.STOPPED


def test_what_a_run_has_left_running_ends_with_it(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    left: list[asyncio.Task[Any]] = []

    async def leave() -> None:
        left.append(asyncio.create_task(asyncio.sleep(30)))
        await asyncio.sleep(0)

    behave(leave)
    call(redis_connection)
    work_off()
    assert left[0].cancelled()


# Whether it starts, and how its end is written


def test_an_occurrence_that_overlaps_is_skipped(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, schedule: ScheduledTask
):
    behave(lambda: asyncio.sleep(0.1))
    ScheduledTask.objects.update(overlap="skip")
    dispatch(redis_connection, schedule, 2)
    work_off()
    assert sorted(run.status for run in schedule.runs.all()) == ["finished", "skipped"]


def test_an_occurrence_that_has_to_wait_comes_again_later(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, schedule: ScheduledTask
):
    behave(lambda: asyncio.sleep(0.1))
    ScheduledTask.objects.update(overlap="wait")
    dispatch(redis_connection, schedule, 2)
    work_off()
    assert [run.status for run in schedule.runs.all()] == ["finished"]
    assert redis_connection.zcard("rq:scheduled:default") == 1


@pytest.mark.parametrize("is_coroutine", [False, True])
def test_the_check_of_a_function_is_asked_before_it_runs(
    work_off: WorkOff,
    redis_connection: Redis,
    behave: Behave,
    schedule: ScheduledTask,
    monkeypatch: pytest.MonkeyPatch,
    is_coroutine: bool,
):
    def check() -> NotNow:
        return NotNow("busy")

    async def check_in_coroutine() -> NotNow:
        return check()

    function = registry.get(COROUTINE)
    checked = check_in_coroutine if is_coroutine else check
    monkeypatch.setitem(
        registry._functions, COROUTINE, dataclasses.replace(function, check=checked)
    )
    dispatch(redis_connection, schedule)
    work_off()
    run = schedule.runs.get()
    assert end(run) == ("skipped", "Its check said not now: busy")


Checked = Callable[[Callable[..., Any]], None]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Return a function that sets the check of the coroutine function."""

    def set_check(check: Callable[..., Any]) -> None:
        function = dataclasses.replace(registry.get(COROUTINE), check=check)
        monkeypatch.setitem(registry._functions, COROUTINE, function)

    return set_check


def test_whether_runs_may_start_is_asked_together_before_their_checks(
    work_off: WorkOff,
    redis_connection: Redis,
    behave: Behave,
    schedule: ScheduledTask,
    checked: Checked,
    monkeypatch: pytest.MonkeyPatch,
):
    asked: list[int] = []
    monkeypatch.setattr("tasks.runs.group_writer.may_start", lambda *_args: asked.append(1))
    checked(lambda: None)
    behave(lambda: asyncio.sleep(0))
    dispatch(redis_connection, schedule, 5)
    work_off()
    assert [run.status for run in schedule.runs.all()] == ["finished"] * 5
    assert asked == [], "nobody was asked about alone"


def test_a_run_that_waits_for_another_one_does_not_ask_its_check(
    work_off: WorkOff, redis_connection: Redis, schedule: ScheduledTask, checked: Checked
):
    asked: list[int] = []
    checked(lambda: asked.append(1))
    ScheduledTask.objects.update(overlap="wait")
    schedule.runs.create(name="x", due=ago(60), started=ago(60))
    dispatch(redis_connection, schedule)
    work_off()
    assert (asked, redis_connection.zcard("rq:scheduled:default")) == ([], 1)


def test_checks_are_asked_although_whether_runs_may_start_cannot_be_asked_together(
    work_off: WorkOff,
    redis_connection: Redis,
    behave: Behave,
    schedule: ScheduledTask,
    checked: Checked,
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(*_args: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(group_sql, "would_start", fail)
    checked(lambda: None)
    behave(lambda: asyncio.sleep(0))
    dispatch(redis_connection, schedule, 2)
    work_off()
    assert [run.status for run in schedule.runs.all()] == ["finished"] * 2


def test_a_check_and_its_function_have_one_thread_that_no_other_run_has(
    work_off: WorkOff,
    redis_connection: Redis,
    behave: Behave,
    schedule: ScheduledTask,
    checked: Checked,
):
    checks: list[int] = []
    functions: list[int] = []

    async def use_a_thread() -> None:
        await together(2, functions, await sync_to_async(threading.get_ident)())

    checked(lambda: checks.append(threading.get_ident()))
    behave(use_a_thread)
    dispatch(redis_connection, schedule, 2)
    work_off()
    assert sorted(checks) == sorted(functions)
    assert len(set(checks)) == 2


def test_a_transaction_that_a_check_leaves_open_is_not_its_functions(
    work_off: WorkOff,
    redis_connection: Redis,
    behave: Behave,
    schedule: ScheduledTask,
    checked: Checked,
):
    seen: list[bool] = []

    async def look() -> None:
        seen.append(await sync_to_async(lambda: connection.in_atomic_block)())

    checked(lambda: transaction.atomic().__enter__())
    behave(look)
    dispatch(redis_connection, schedule)
    work_off()
    assert (schedule.runs.get().status, seen) == ("finished", [False])


def test_checks_that_leave_nothing_share_threads_and_hand_on_their_arguments(
    work_off: WorkOff,
    redis_connection: Redis,
    behave: Behave,
    schedule: ScheduledTask,
    checked: Checked,
    monkeypatch: pytest.MonkeyPatch,
):
    def load(*_args: object) -> tuple[list[object], dict[str, object]]:
        return [object()], {}

    monkeypatch.setattr(registry.TaskFunction, "load_arguments", load)
    asked: list[Any] = []
    called: list[Any] = []
    threads: set[str] = set()

    @leaves_nothing
    def check(argument: Any) -> None:
        threads.add(threading.current_thread().name)
        asked.append(argument)

    async def note(argument: Any) -> None:
        called.append(argument)

    checked(check)
    behave(note)
    dispatch(redis_connection, schedule, 3)
    work_off()
    assert threads == {shared_threads.NAME}
    assert (len(called), set(called)) == (3, set(asked))


def test_an_end_that_cannot_be_written_is_on_the_spool(
    work_off: WorkOff,
    redis_connection: Redis,
    behave: Behave,
    schedule: ScheduledTask,
    monkeypatch: pytest.MonkeyPatch,
):
    write = group_sql.write_many

    def fail(ends: Any, starts: Any) -> Any:
        if ends:
            raise OperationalError("gone")
        return write(ends, starts)

    monkeypatch.setattr(group_sql, "write_many", fail)
    monkeypatch.setattr("tasks.runs.group_writer.patiently", lambda write: write())
    behave(lambda: asyncio.sleep(0, "done"))
    dispatch(redis_connection, schedule)
    work_off()
    assert schedule.runs.get().status == "running"
    spool.drain(redis_connection)
    assert (schedule.runs.get().status, schedule.runs.get().result) == ("finished", "done")


def test_of_a_group_that_cannot_be_written_only_the_one_at_fault_fails(
    work_off: WorkOff,
    redis_connection: Redis,
    behave: Behave,
    schedule: ScheduledTask,
    monkeypatch: pytest.MonkeyPatch,
):
    def fail(ends: Any, starts: Any) -> Any:
        raise ValueError("one of them")

    monkeypatch.setattr(group_sql, "write_many", fail)
    seen: list[Any] = []
    behave(lambda: together(3, seen))
    dispatch(redis_connection, schedule, 3)
    work_off()
    assert [run.status for run in schedule.runs.all()] == ["finished"] * 3


# What Redis knows of it


def test_a_job_that_has_ended_has_no_lease_and_no_place_in_the_table(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, schedule: ScheduledTask
):
    behave(lambda: asyncio.sleep(0))
    [job_id] = dispatch(redis_connection, schedule)
    table = work_off()
    assert Job.fetch(job_id, connection=redis_connection).get_status() == JobStatus.FINISHED
    assert not redis_connection.exists(lease_key(job_id))
    assert (table.runs(), table.taken) == ({}, 1)


# What is left behind


def test_what_a_run_has_changed_in_its_process_is_restored_when_none_runs(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, caplog: Any
):
    seen: list[Any] = []

    async def change(index: int) -> str | None:
        os.environ["TENANT"] = "a"
        await together(2, seen)
        return os.environ.get("TENANT")

    behave(change)
    ran = calls(redis_connection, 2)
    caplog.set_level(logging.INFO)
    work_off()
    for one in ran:
        one.refresh_from_db()
    assert [one.result for one in ran] == ["a", "a"]
    assert "TENANT" not in os.environ
    assert f"“{COROUTINE}” changed the state of its process" in caplog.text


def test_a_transaction_that_a_run_has_left_open_is_rolled_back(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, schedule: ScheduledTask
):
    def begin() -> None:
        connection.set_autocommit(False)
        ScheduledTask.objects.update(description="never committed")

    async def leave(index: int) -> str:
        if index == 0:
            await sync_to_async(begin)()
        return (await ScheduledTask.objects.aget(pk=schedule.pk)).description

    behave(leave)
    ran = calls(redis_connection, 2)
    work_off(concurrency=1)
    for one in ran:
        one.refresh_from_db()
    assert [one.result for one in ran] == ["never committed", ""]


def test_each_run_has_a_thread_and_so_a_connection_of_its_own(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    seen: list[int] = []

    async def use_a_thread(index: int) -> None:
        await together(2, seen, await sync_to_async(threading.get_ident)())

    behave(use_a_thread)
    calls(redis_connection, 2)
    work_off()
    assert len(set(seen)) == 2


def test_a_run_whose_thread_is_blocked_holds_up_no_other(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    ended = threading.Event()

    async def wait_or_end(index: int) -> None:
        if index == 0:
            assert await sync_to_async(ended.wait)(20)
        else:
            raise ValueError("ended")

    behave(wait_or_end)
    waiting, other = calls(redis_connection, 2)

    async def free_it(ours: Any) -> None:
        while await Task.objects.filter(pk=other.pk).exclude(status="failed").aexists():
            await asyncio.sleep(0.01)
        ended.set()

    work_off(during=free_it)
    assert end(waiting)[0] == "finished"


def test_a_run_is_not_over_before_its_threads_are(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    seen: list[str] = []

    def look_later() -> None:
        threading.Event().wait(0.3)  # Meanwhile the run would end.
        seen.append(Task.objects.get().status)
        connections.close_all()

    async def leave_a_thread() -> None:
        asyncio.get_running_loop().run_in_executor(None, look_later)

    behave(leave_a_thread)
    call(redis_connection)
    work_off()
    assert seen == ["running"]


def test_a_run_has_ended_when_its_function_did_however_late_that_is_written(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    put_into_words = group_writer._End.put_into_words
    written: list[datetime] = []

    def note(item: group_writer._End) -> sql.End | None:
        written.append(clock.now())
        return put_into_words(item)

    monkeypatch.setattr(group_writer._End, "put_into_words", note)
    behave(lambda: asyncio.sleep(0))
    one = call(redis_connection)
    work_off()
    one.refresh_from_db()
    assert one.ended is not None
    assert one.ended <= written[0]


def test_a_task_that_exits_fails_its_own_run_alone(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    seen: list[int] = []

    async def leave() -> None:
        sys.exit(3)

    async def exit_or_wait(index: int) -> None:
        await together(2, seen)
        await (asyncio.gather(leave()) if index == 0 else asyncio.sleep(0.05))

    behave(exit_or_wait)
    exiting, other = calls(redis_connection, 2)
    work_off()
    assert end(exiting)[0] == "failed"
    assert "A task of this run has raised SystemExit(3)." in end(exiting)[1]
    assert end(other)[0] == "finished"


def test_a_child_in_which_a_run_has_left_a_thread_takes_nothing_more(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    over = threading.Event()

    async def leave(index: int) -> None:
        threading.Thread(target=over.wait, name="left behind").start()

    behave(leave)
    ran = calls(redis_connection, 2)
    work_off(concurrency=1)
    over.set()
    assert [end(one)[0] for one in ran] == ["finished", "queued"]


def test_a_child_that_drains_tells_so_once_while_its_runs_go_on(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, settings: LazySettings
):
    settings.TASKS_CHILD_MAX_RUNS = 1
    told = asyncio.Event()
    behave(told.wait)
    one = call(redis_connection, timeout=10)
    said: list[str] = []

    async def listen(ours: Any) -> None:
        while await Task.objects.filter(pk=one.pk, ended=None).aexists():
            if ours.poll():
                said.append(ours.recv())
                told.set()
            await asyncio.sleep(0.01)

    work_off(during=listen)
    assert (end(one), said) == (("finished", ""), [DRAINS])


def test_a_child_that_is_told_to_stop_does_not_ask_for_a_successor(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    monkeypatch.setattr(CoroutineChild, "_tell_that_it_drains", lambda child: asked.append("yes"))
    monkeypatch.setattr(RunTable, "is_stop_requested", True)
    work_off()
    assert not asked


def test_a_successor_has_as_much_room_as_older_children_leave(
    work_off: WorkOff, redis_connection: Redis, behave: Behave
):
    older = RunTable(3)
    taken = [Run(f"task-{number}", f"{number}", "default", 60, 0.0) for number in range(2)]
    older.take(taken)
    running: set[int] = set()
    most: list[int] = []
    met: list[Any] = []

    async def count(index: int) -> None:
        if index >= 4:
            await together(3, met)
            return
        running.add(index)
        most.append(len(running))
        await asyncio.sleep(0.02)
        running.discard(index)

    behave(count)
    ran = calls(redis_connection, 7)

    async def end_older(ours: Any) -> None:
        while not met:
            await asyncio.sleep(0.01)
        for run in taken:
            older.clear(run)

    work_off(concurrency=3, during=end_older, older=[older])
    assert max(most) == 1
    assert {end(one)[0] for one in ran} == {"finished"}


def test_a_successor_without_room_waits_for_it_even_in_burst_mode(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tasks.worker.intake.WAIT_SECONDS", 1_000.0)  # Nothing wakes it.
    older = RunTable(1)
    older.take([Run("task-1", "1", "default", 60, 0.0)])
    behave(lambda: asyncio.sleep(0))
    one = call(redis_connection)

    async def end_older(ours: Any) -> None:
        await asyncio.sleep(0.3)  # Meanwhile it could look, and end.
        older.vacate()

    work_off(concurrency=1, during=end_older, older=[older])
    assert end(one)[0] == "finished"


def test_what_the_last_step_took_runs_before_a_child_drains_if_its_answer_was_lost(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    begin, step = Intake.start, Batches._step
    intakes: list[Intake] = []
    has_run = asyncio.Event()
    ran: list[Task] = []

    def note(intake: Intake) -> None:
        intakes.append(intake)
        begin(intake)

    def lose_the_second(batches: Batches, *args: Any) -> Batch:
        batch = step(batches, *args)
        if batch.taken and ran and not intakes[0]._is_draining:
            intakes[0].drain()
            raise RedisConnectionError("The answer is lost.")
        return batch

    async def wait_or_run(index: int) -> None:
        if index == 0:
            await has_run.wait()
        has_run.set()

    async def enqueue_another(ours: Any) -> None:
        while not await Task.objects.filter(pk=first.pk, status="running").aexists():
            await asyncio.sleep(0.01)
        ran.append(first)
        ran.append(await sync_to_async(call)(redis_connection, 1))

    monkeypatch.setattr(Intake, "start", note)
    monkeypatch.setattr(Batches, "_step", lose_the_second)
    monkeypatch.setattr("tasks.worker.intake.WAIT_SECONDS", 0.1)
    behave(wait_or_run)
    first = call(redis_connection, 0, timeout=5)
    work_off(during=enqueue_another)
    assert [end(one)[0] for one in ran] == ["finished"] * 2


def test_a_child_is_replaced_after_so_many_runs(
    work_off: WorkOff, redis_connection: Redis, behave: Behave, settings: LazySettings
):
    settings.TASKS_CHILD_MAX_RUNS = 2
    behave(lambda index: asyncio.sleep(0))
    ran = calls(redis_connection, 6)
    work_off(concurrency=2)
    assert [end(one)[0] for one in ran] == ["finished"] * 2 + ["queued"] * 4
