"""The child: runs job after job, and leaves nothing of one to the next."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone, translation
from redis import Redis
from rq.job import Dependency, JobStatus
from rq.queue import Queue

from tasks.broker.enqueue import enqueue_run
from tasks.job import Job
from tasks.job_ids import RunId
from tasks.models import ScheduledTask
from tasks.runs import spool
from tasks.runs.writer import writer
from tasks.worker import Worker
from tasks.worker.child import Workhorse, _has_grown
from tasks.worker.shared_state import Board
from tests.tasks.functions import CALL, ECHO, QUEUES
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db

Behave = Callable[[Callable[..., Any]], None]


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def horse(redis_connection: Redis, board: Board, monkeypatch: pytest.MonkeyPatch) -> Workhorse:
    monkeypatch.setattr(writer, "witness", board)
    return Workhorse(Worker(QUEUES, connection=redis_connection), board)


@pytest.fixture
def schedule() -> ScheduledTask:
    return make_row(function=CALL, settled_through=ago(3600), timeout=5, overlap="allow")


def dispatch(redis: Redis, schedule: ScheduledTask, number: int = 1) -> list[str]:
    runs = [RunId(schedule.job_id, ago(number - index)) for index in range(number)]
    for run_id in runs:
        enqueue_run(schedule, run_id, redis)
    return [run_id.job_id for run_id in runs]


def enqueue(redis: Redis, function: str = ECHO, **options: Any) -> Any:
    queue = Queue("default", connection=redis, job_class=Job, serializer="json")
    return queue.enqueue(function, **options)


def test_all_jobs_are_run_in_order(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: 1)
    dispatch(redis_connection, schedule, 3)
    assert horse.work_off() == (3, True)
    assert (
        list(schedule.runs.order_by("started").values_list("status", "result"))
        == [("finished", 1)] * 3
    )


def test_the_row_of_a_run_says_running_while_it_runs_and_the_one_before_has_ended(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[list[str]] = []
    behave(
        lambda: seen.append(list(schedule.runs.order_by("due").values_list("status", flat=True)))
    )
    dispatch(redis_connection, schedule, 2)
    horse.work_off()
    assert seen == [["running"], ["finished", "running"]]


def test_it_runs_no_more_jobs_than_it_was_told(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: None)
    dispatch(redis_connection, schedule, 3)
    assert horse.work_off(limit=2) == (2, True)
    assert redis_connection.llen("rq:queue:default") == 1
    assert schedule.runs.filter(status="finished").count() == 2


def test_asked_to_stop_it_takes_no_further_job(
    horse: Workhorse, board: Board, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(board.ask_to_stop)
    dispatch(redis_connection, schedule, 2)
    assert horse.work_off() == (1, True)
    assert schedule.runs.get().status == "finished"


def test_the_board_says_which_run_is_going_on(
    horse: Workhorse, board: Board, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []
    behave(lambda: seen.append((board.run.job_id, board.run.timeout, board.is_running)))
    [job_id] = dispatch(redis_connection, schedule)
    horse.work_off()
    assert seen == [(job_id, 5, True)]
    assert (board.run, board.end) == (None, None)


def test_the_board_keeps_an_end_that_its_row_does_not_say_yet(
    horse: Workhorse, board: Board, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    [job_id] = dispatch(redis_connection, schedule)
    behave(lambda: "result")
    horse._run(horse._step(more=True))
    assert schedule.runs.get().status == "running"
    end = board.end
    assert end is not None
    assert (end["job_id"], end["values"]["result"]) == (job_id, "result")
    spool.push(redis_connection, job_id, "finished", **end["values"])
    spool.drain(redis_connection)
    assert (schedule.runs.get().status, schedule.runs.get().result) == ("finished", "result")


def test_a_job_that_raises_is_failed_and_the_next_one_runs(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    outcomes = iter([ValueError("no"), None])

    def fail_once() -> None:
        if error := next(outcomes):
            raise error

    behave(fail_once)
    first, _ = dispatch(redis_connection, schedule, 2)
    assert horse.work_off() == (2, True)
    assert list(schedule.runs.order_by("due").values_list("status", flat=True)) == [
        "failed",
        "finished",
    ]
    job = Job.fetch(first, connection=redis_connection)
    assert job.get_status() == JobStatus.FAILED
    assert "ValueError: no" in job.latest_result().exc_string


def test_exception_handlers_are_called(
    board: Board, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    def fail() -> None:
        raise ValueError("no")

    behave(fail)
    seen: list[Any] = []
    handler = lambda job, kind, error, trace: seen.append((job.id, kind))  # noqa: E731
    worker = Worker(["default"], connection=redis_connection, exception_handlers=[handler])
    [job_id] = dispatch(redis_connection, schedule)
    Workhorse(worker, board).work_off()
    assert seen == [(job_id, ValueError)]


def fail() -> None:
    raise ValueError("no")


def test_a_run_that_fails_is_one_line_in_the_log_and_its_row_has_the_traceback(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave, caplog: Any
):
    behave(fail)
    dispatch(redis_connection, schedule)
    horse.work_off()
    run = schedule.runs.get()
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    line = record.getMessage()
    assert line.startswith(f"“{schedule.name}” failed after ")
    assert line.endswith(f"Failed for: ValueError: no (The traceback is on its row: run {run.pk}.)")
    assert record.exc_info is None
    assert 'raise ValueError("no")' in run.traceback


def test_a_run_that_cannot_be_called_is_one_line_in_the_log(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, caplog: Any
):
    [job_id] = dispatch(redis_connection, schedule)
    redis_connection.hset(Job.key_for(job_id), "data", "nonsense")
    horse.work_off()
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "\n" not in record.getMessage()
    assert schedule.runs.get().reason in record.getMessage()


def test_a_traceback_that_no_row_has_is_logged(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave, caplog: Any
):
    def fail_too_late() -> None:
        schedule.runs.update(status="canceled", ended=timezone.now())
        raise ValueError("too late")

    behave(fail_too_late)
    dispatch(redis_connection, schedule)
    horse.work_off()
    assert "ValueError: too late" in caplog.text
    enqueue(redis_connection, CALL)
    behave(fail)
    horse.work_off()
    assert "ValueError: no" in caplog.text


def test_a_failing_callback_of_a_failed_run_is_logged(
    horse: Workhorse, redis_connection: Redis, schedule: ScheduledTask, behave: Behave, caplog: Any
):
    behave(fail)
    [job_id] = dispatch(redis_connection, schedule)
    name = f"{broken_callback.__module__}.{broken_callback.__qualname__}"
    redis_connection.hset(Job.key_for(job_id), "failure_callback_name", name)
    horse.work_off()
    assert "KeyError: 'of the callback'" in caplog.text


def test_a_queue_whose_key_holds_something_else_is_named_and_the_others_go_on(
    horse: Workhorse, redis_connection: Redis, schedule: ScheduledTask, caplog: Any
):
    caplog.set_level(logging.INFO)
    redis_connection.set("rq:queue:high", "x")
    enqueue(redis_connection)
    enqueue(redis_connection)
    assert horse.work_off() == (2, True)
    assert horse.work_off() == (0, True)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == [
        "Queue “high” can't be used; the others go on. The key rq:queue:high in Redis is a "
        "string, not a list: delete or rename it."
    ]
    redis_connection.delete("rq:queue:high")
    Queue("high", connection=redis_connection, job_class=Job, serializer="json").enqueue(ECHO)
    assert horse.work_off() == (1, True)
    assert "Queue “high” can be used again." in caplog.text


def test_a_key_that_keeps_a_worker_waiting_is_named(
    horse: Workhorse, redis_connection: Redis, caplog: Any
):
    job = enqueue(redis_connection)
    redis_connection.set("rq:finished:default", "x")
    assert horse.work_off() == (1, False)
    assert "The key rq:finished:default in Redis is a string, not a zset" in caplog.text
    redis_connection.delete("rq:finished:default")
    assert horse.work_off() == (0, True)
    assert job.get_status(refresh=True) == JobStatus.FINISHED


def broken_callback(*args: Any) -> None:
    raise KeyError("of the callback")


def test_dependents_are_enqueued_when_a_job_has_finished(horse: Workhorse, redis_connection: Redis):
    first = enqueue(redis_connection)
    second = enqueue(redis_connection, depends_on=Dependency(first))
    assert horse.work_off() == (2, True)
    for job in (first, second):
        assert job.get_status(refresh=True) == JobStatus.FINISHED


def test_a_success_callback_is_called(
    horse: Workhorse, redis_connection: Redis, behave: Behave, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []
    monkeypatch.setattr(
        "rq.worker.base.execute_success_callback", lambda job, *args: seen.append(job.id)
    )
    job = enqueue(redis_connection, on_success="tests.tasks.functions.echo")
    horse.work_off()
    assert seen == [job.id]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", b"\xff not JSON"),
        ("status", b"\xff"),
        ("created_at", b"not a date"),
        ("timeout", b"soon"),
        ("retry_intervals", b"{"),
    ],
)
def test_a_hash_that_cannot_be_read_fails_only_its_run(
    horse: Workhorse,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    field: str,
    value: bytes,
):
    behave(lambda: None)
    bad, _ = dispatch(redis_connection, schedule, 2)
    redis_connection.hset(Job.key_for(bad), field, value)
    assert horse.work_off() == (2, True)
    first, second = schedule.runs.order_by("due")
    assert (first.status, second.status) == ("failed", "finished")
    assert first.reason.startswith("Failed for: ")


def test_meta_that_cannot_be_read_stops_nothing(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: None)
    [bad] = dispatch(redis_connection, schedule)
    redis_connection.hset(Job.key_for(bad), "meta", b"\xff")
    horse.work_off()
    assert schedule.runs.get().status == "finished"


def test_a_swallowed_timeout_wears_it_out(
    horse: Workhorse, redis_connection: Redis, behave: Behave
):
    schedule = make_row(function=CALL, settled_through=ago(3600), timeout=1)

    def swallow() -> None:
        try:
            threading.Event().wait(10)
        except Exception:
            return

    behave(swallow)
    dispatch(redis_connection, schedule, 1)
    horse.work_off()
    assert horse._is_worn_out
    assert schedule.runs.get().status == "failed"


def test_after_many_runs_it_is_worn_out(
    horse: Workhorse,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    settings: Any,
):
    settings.TASKS_CHILD_MAX_RUNS = 2
    behave(lambda: None)
    dispatch(redis_connection, schedule, 3)
    assert horse.work_off() == (2, True)
    assert horse._is_worn_out


on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="what PostgreSQL lets a function do"
)


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@on_postgresql
@pytest.mark.parametrize("sql", ["SET default_transaction_read_only = on", "SET search_path = x"])
@pytest.mark.django_db(transaction=True)
def test_what_a_function_sets_on_its_connection_does_not_keep_the_next_run_from_starting(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave, sql: str
):
    behave(lambda: execute(sql))
    dispatch(redis_connection, schedule, 3)
    horse.work_off()
    connection.close()
    spool.drain(redis_connection)
    assert list(schedule.runs.values_list("status", flat=True)) == ["finished"] * 3


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_change_of_the_tables_under_a_running_worker_costs_no_run(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    behave(lambda: None)
    dispatch(redis_connection, schedule, 2)
    horse.work_off()
    try:
        execute("ALTER TABLE tasks_scheduledtask ALTER name TYPE varchar(333)")
        execute("ALTER TABLE tasks_scheduledtaskinstance ALTER name TYPE varchar(333)")
        dispatch(redis_connection, schedule, 4)
        horse.work_off()
    finally:
        execute("ALTER TABLE tasks_scheduledtaskinstance ALTER name TYPE varchar(200)")
        execute("ALTER TABLE tasks_scheduledtask ALTER name TYPE varchar(200)")
    assert list(schedule.runs.values_list("status", flat=True)) == ["finished"] * 6


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "leave_open",
    [
        lambda: transaction.atomic().__enter__(),
        lambda: transaction.set_autocommit(False),
        pytest.param(lambda: execute("BEGIN"), marks=on_postgresql),
    ],
    ids=["a block", "autocommit off", "its own BEGIN"],
)
def test_a_transaction_left_open_is_rolled_back_and_reaches_no_other_row(
    horse: Workhorse,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    leave_open: Callable[[], None],
):
    def leave_work_open() -> None:
        leave_open()
        ScheduledTask.objects.filter(pk=schedule.pk).update(note="not committed")

    behave(leave_work_open)
    dispatch(redis_connection, schedule, 2)
    horse.work_off()
    connection.close()
    schedule.refresh_from_db()
    assert schedule.note == ""
    ends = [(run.status, run.reason_in_words()) for run in schedule.runs.all()]
    assert ends == [("finished", "It left a transaction open, which was rolled back.")] * 2


def test_grown_too_large_it_is_worn_out(settings: Any):
    assert not _has_grown()
    settings.TASKS_CHILD_MAX_MEMORY = 1
    assert _has_grown()


def test_a_run_leaves_no_signal_handler_language_or_zone_to_the_next(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []

    def leave_things() -> None:
        seen.append(
            (
                signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
                translation.get_language(),
                timezone.get_current_timezone_name(),
            )
        )
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        translation.activate("de")
        timezone.activate("Asia/Tokyo")

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    behave(leave_things)
    dispatch(redis_connection, schedule, 2)
    try:
        horse.work_off()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert seen[0] == seen[1] == (False, translation.get_language(), "UTC")


def test_redis_gone_in_the_middle_leaves_the_row_written_and_the_end_to_be_told(
    horse: Workhorse,
    schedule: ScheduledTask,
    redis_connection: Redis,
    behave: Behave,
    redis_unavailable: Any,
):
    behave(lambda: redis_unavailable(True))
    [job_id] = dispatch(redis_connection, schedule)
    assert horse.work_off() == (1, False)
    assert schedule.runs.get().status == "finished"
    redis_unavailable(False)
    assert horse.work_off() == (0, True)
    assert Job.fetch(job_id, connection=redis_connection).get_status() == JobStatus.FINISHED


def test_a_job_of_other_code_is_just_run(horse: Workhorse, redis_connection: Redis):
    job = enqueue(redis_connection, args=[7])
    horse.work_off()
    assert job.return_value(refresh=True) == [[7], {}]


@pytest.mark.django_db(transaction=True)
def test_a_job_of_other_code_gets_a_connection_as_a_request_does(
    horse: Workhorse, redis_connection: Redis, behave: Behave
):
    connection.ensure_connection()
    connection.close_at = 0.0  # obsolete
    kept = connection.connection
    seen: list[Any] = []
    behave(lambda: seen.append(connection.connection))
    enqueue(redis_connection, CALL)
    horse.work_off()
    assert seen != [kept]


def test_the_connection_to_the_database_is_kept(
    horse: Workhorse, schedule: ScheduledTask, redis_connection: Redis, behave: Behave
):
    seen: list[Any] = []
    behave(lambda: seen.append(connection.connection))
    dispatch(redis_connection, schedule, 2)
    horse.work_off()
    assert seen[0] is seen[1] is not None


def test_an_order_is_answered_and_the_child_ends_when_its_worker_hangs_up(
    redis_connection: Redis, board: Board
):
    worker = Worker(["default"], connection=redis_connection)
    child = worker._fork()
    child.orders.send(0)
    assert child.orders.recv() == (0, True, False)
    child.orders.close()
    assert os.waitpid(child.pid, 0)[1] == 0
