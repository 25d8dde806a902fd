"""The two writes of every run: they say what the policies say, and what `outcome` would write."""

import fcntl
import signal
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone

from tasks.database import patiently
from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.runs import completion, prepared, sql, turns
from tests.tasks.functions import in_threads
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db

VALUES = {
    "result": {"n": [1, None, "ä"]},
    "reason_code": None,
    "reason_values": None,
    "progress": 100,
    "log": "line 1\n100 % done\n",
    "progress_message": "ready",
}


def start(schedule: ScheduledTask, seconds_ago: float = 1) -> ScheduledTaskInstance | None:
    run_id = RunId(schedule.job_id, ago(seconds_ago))
    _, run = sql.write(None, sql.Start(run_id, "w1", timezone.now()))
    return run


@pytest.fixture
def schedule() -> ScheduledTask:
    return make_row(settled_through=ago(3600))


def stored(run: ScheduledTaskInstance) -> dict[str, Any]:
    row = ScheduledTaskInstance.objects.filter(pk=run.pk).values().get()
    return {name: value for name, value in row.items() if name != "created"}


def test_a_started_run_is_a_running_row(schedule: ScheduledTask):
    run = start(schedule)
    expected = ScheduledTaskInstance(
        parent=schedule, name=schedule.name, due=run.due, started=run.started, worker_name="w1"
    )
    expected.pk = run.pk
    other = make_row(settled_through=ago(3600))
    by_orm = other.runs.create(
        name=schedule.name, due=run.due, started=run.started, worker_name="w1"
    )
    differing = {"id": run.pk, "parent_id": schedule.pk}
    assert stored(run) == stored(by_orm) | differing


def test_an_end_written_in_sql_is_that_of_completion(schedule: ScheduledTask):
    moment = timezone.now()
    run, by_orm = start(schedule), start(make_row(settled_through=ago(3600)))
    ended, _ = sql.write(sql.End(run, VALUES | {"ended": moment}), None)
    assert ended
    completion.close(by_orm, "finished", redis=None, ended=moment, **VALUES)
    same = {"id", "parent_id", "name", "due", "started"}
    assert {k: v for k, v in stored(run).items() if k not in same} == {
        k: v for k, v in stored(by_orm).items() if k not in same
    }


def test_an_end_and_a_start_of_runs_are_written_together(
    schedule: ScheduledTask, django_assert_max_num_queries: Any
):
    first = start(schedule, 10)
    following = sql.Start(RunId(schedule.job_id, ago(5)), "w1", timezone.now())
    ended, second = sql.write(sql.End(first, VALUES | {"ended": timezone.now()}), following)
    assert ended
    assert schedule.runs.running().get() == second


def test_a_run_that_was_closed_meanwhile_is_left_alone(schedule: ScheduledTask):
    run = start(schedule)
    schedule.runs.update(status="failed", ended=timezone.now())
    assert sql.write(sql.End(run, VALUES | {"ended": timezone.now()}), None) == (False, None)
    assert schedule.runs.get().status == "failed"


def test_a_late_attempt_ends_nothing(schedule: ScheduledTask):
    run = start(schedule)
    schedule.runs.update(attempt=2)
    assert sql.write(sql.End(run, VALUES | {"ended": timezone.now()}), None) == (False, None)


def test_a_success_turns_a_failed_schedule_back(schedule: ScheduledTask):
    run = start(schedule)
    ScheduledTask.objects.update(status="failed")
    sql.write(sql.End(run, VALUES | {"ended": timezone.now()}), None)
    schedule.refresh_from_db()
    assert schedule.status == "running"


@pytest.mark.parametrize("status", ["paused", "death"])
def test_a_success_leaves_an_ended_schedule_alone(schedule: ScheduledTask, status: str):
    run = start(schedule)
    paused_at = timezone.now() if status == "paused" else None
    ScheduledTask.objects.update(status=status, paused_at=paused_at)
    sql.write(sql.End(run, VALUES | {"ended": timezone.now()}), None)
    schedule.refresh_from_db()
    assert schedule.status == status


def test_an_occurrence_starts_once_by_the_statement(schedule: ScheduledTask):
    due = RunId(schedule.job_id, ago(1))
    assert sql.write(None, sql.Start(due, "w1", timezone.now()))[1] is not None
    schedule.runs.update(status="finished", ended=timezone.now())
    assert sql.write(None, sql.Start(due, "w1", timezone.now()))[1] is None
    assert schedule.runs.get().status == "finished"


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "death"},
        {"status": "paused", "paused_at": timezone.now()},
        {"settled_through": timezone.now() + timedelta(days=1)},
        {"start_deadline": 5},
    ],
)
def test_the_statement_starts_no_run_that_its_schedule_does_not_allow(
    schedule: ScheduledTask, changes: dict[str, Any]
):
    ScheduledTask.objects.update(**changes)
    assert start(schedule, seconds_ago=6) is None
    assert not schedule.runs.exists()


def test_a_run_within_its_start_deadline_starts(schedule: ScheduledTask):
    ScheduledTask.objects.update(start_deadline=60)
    assert start(schedule, seconds_ago=6) is not None


@pytest.mark.parametrize(("overlap", "starts"), [("skip", False), ("allow", True)])
def test_the_overlap_policy_decides_while_another_run_is_going(
    schedule: ScheduledTask, overlap: str, starts: bool
):
    ScheduledTask.objects.update(overlap=overlap)
    assert start(schedule, 10) is not None
    assert (start(schedule, 5) is not None) is starts


def test_the_statement_starts_no_run_of_a_deleted_schedule():
    run_id = RunId("schedule-" + "0" * 32, ago(1))
    assert sql.write(None, sql.Start(run_id, "w1", timezone.now())) == (False, None)


@pytest.mark.django_db(transaction=True)
def test_an_end_and_a_start_are_committed_at_once_outside_of_a_transaction():
    schedule = make_row(settled_through=ago(3600))
    first = start(schedule, 10)
    following = sql.Start(RunId(schedule.job_id, ago(5)), "w1", timezone.now())
    sql.write(sql.End(first, VALUES | {"ended": timezone.now()}), following)
    connection.close()
    assert list(schedule.runs.order_by("due").values_list("status", flat=True)) == [
        "finished",
        "running",
    ]


@pytest.mark.django_db(transaction=True)
def test_an_end_and_a_start_that_cannot_both_be_written_are_both_rolled_back():
    schedule = make_row(settled_through=ago(3600))
    first = start(schedule, 10)
    impossible = VALUES | {"ended": timezone.now(), "progress": 101}
    following = sql.Start(RunId(schedule.job_id, ago(5)), "w1", timezone.now())
    with pytest.raises(IntegrityError):
        sql.write(sql.End(first, impossible), following)
    assert schedule.runs.get().status == "running"
    sql.write(sql.End(first, VALUES | {"ended": timezone.now()}), following)
    assert schedule.runs.count() == 2


@pytest.mark.django_db(transaction=True)
def test_threads_that_start_runs_at_once_all_get_their_turn():
    schedules = [make_row(settled_through=ago(3600)) for _ in range(8)]
    started = in_threads(*[partial(start, schedule) for schedule in schedules])
    assert all(isinstance(run, ScheduledTaskInstance) for run in started)


on_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no turns")


@on_sqlite
@pytest.mark.django_db(transaction=True)
def test_a_frozen_holder_of_the_turn_keeps_no_run_from_being_written(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.1)
    schedule = make_row(settled_through=ago(3600), overlap="allow")
    turns.turn.cache_clear()
    with open(f"{connection.settings_dict['NAME']}-turn", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert start(schedule, 10) is not None
    assert "-turn has not written for" in caplog.text


@on_sqlite
@pytest.mark.django_db(transaction=True)
def test_a_full_disk_is_named(schedule: ScheduledTask):
    run = start(schedule)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0]}")
    try:
        with pytest.raises(OperationalError, match="disk is full"):
            sql.write(sql.End(run, VALUES | {"ended": timezone.now(), "log": "x" * 10**7}), None)
        assert schedule.runs.get().status == "running"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count = 1073741823")


on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite prepares by itself"
)


def prepared_statements() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name FROM pg_prepared_statements WHERE generic_plans + custom_plans > 0"
        )
        return [name for (name,) in cursor.fetchall()]


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_the_statements_of_runs_are_prepared():
    connection.close()
    schedule = make_row(settled_through=ago(3600))
    following = sql.Start(RunId(schedule.job_id, ago(5)), "w1", timezone.now())
    first = start(schedule, 10)
    _, second = sql.write(sql.End(first, VALUES | {"ended": timezone.now()}), following)
    sql.write(sql.End(second, VALUES | {"ended": timezone.now()}), None)
    assert len(prepared_statements()) == 4


def deallocate() -> None:
    """Lose what is prepared, as behind a pooler whose next connection hasn't got it."""
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")


# As a pooler does that changes the connection, or the process that has prepared the statements.
@on_postgresql
@pytest.mark.parametrize("lose", [deallocate, prepared._prepared.clear])
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_forgets_prepared_statements_serves_too(lose: Callable[[], None]):
    connection.close()
    schedule = make_row(settled_through=ago(3600))
    first = start(schedule, 10)
    lose()
    following = sql.Start(RunId(schedule.job_id, ago(5)), "w1", timezone.now())
    ended, second = sql.write(sql.End(first, VALUES | {"ended": timezone.now()}), following)
    assert ended
    assert sql.write(sql.End(second, VALUES | {"ended": timezone.now()}), None) == (True, None)
    assert [run.status for run in schedule.runs.all()] == ["finished", "finished"]


class Interrupted(Exception):
    pass


def interrupt(*args: Any) -> None:
    raise Interrupted


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_write_that_is_interrupted_leaves_no_answer_for_the_next_one():
    first, other = (make_row(settled_through=ago(3600)) for _ in range(2))
    before = signal.signal(signal.SIGALRM, interrupt)
    blocker = connection.copy()
    try:
        blocker.set_autocommit(False)
        with blocker.cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {sql.schedules()} WHERE id = {first.pk} FOR UPDATE")
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Interrupted):
            start(first)
    finally:
        signal.signal(signal.SIGALRM, before)
        blocker.rollback()
        blocker.close()
    run = patiently(lambda: start(other))
    assert run is not None
    assert run.parent_id == other.pk


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_a_write_on_a_connection_that_the_server_has_ended_is_an_outage(schedule: ScheduledTask):
    assert start(schedule, 10) is not None
    ended = connection.connection.info.backend_pid
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [ended])
    other.close()
    with pytest.raises(OperationalError):
        start(schedule, 5)
    connection.close()
