"""The writes of runs that go on side by side: together, they write what each would alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from tasks.job_ids import RunId
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.runs import group_sql, sql
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

VALUES: dict[str, Any] = {
    "result": {"n": [1, None, "ä"]},
    "reason_code": "result_too_long",
    "reason_values": {"length": 3},
    "progress": 100,
    "log": "line 1\n100 % done\n“'\\\n",
    "progress_message": "ready",
}
NOTHING = VALUES | {"result": None, "reason_code": None, "reason_values": None}


@pytest.fixture
def schedule() -> ScheduledTask:
    return make_row(settled_through=ago(3600))


def new(schedule: ScheduledTask, seconds_ago: float) -> sql.Start:
    return sql.Start(RunId(schedule.job_id, ago(seconds_ago)), "w1", timezone.now())


def running(schedule: ScheduledTask, seconds_ago: float = 10) -> ScheduledTaskInstance:
    _, run = sql.write(None, new(schedule, seconds_ago))
    assert run is not None
    return run


def end(run: ScheduledTaskInstance, values: dict[str, Any] = VALUES) -> sql.End:
    return sql.End(run, values | {"ended": timezone.now()})


def stored(run: ScheduledTaskInstance, *different: str) -> dict[str, Any]:
    row = ScheduledTaskInstance.objects.filter(pk=run.pk).values().get()
    return {name: value for name, value in row.items() if name not in different}


def test_each_of_many_ends_and_starts_has_its_own_outcome(schedule: ScheduledTask):
    paused = make_row(settled_through=ago(3600), status="paused", paused_at=timezone.now())
    others = [make_row(settled_through=ago(3600)) for _ in range(2)]
    first, closed = running(others[0]), running(others[1])
    others[1].runs.update(status="failed", ended=timezone.now())
    starts = [new(row, 5 - index) for index, row in enumerate([schedule, schedule, paused])]
    ended, started = group_sql.write_many([end(closed), end(first)], [*starts, new(others[0], 5)])
    assert ended == [False, True]
    assert [run and run.parent_id for run in started] == [schedule.pk, None, None, others[0].pk]
    assert set(ScheduledTaskInstance.objects.running()) == {started[0], started[3]}


@pytest.mark.parametrize("values", [VALUES, NOTHING])
def test_an_end_is_written_as_it_is_alone(schedule: ScheduledTask, values: dict[str, Any]):
    alone, together = running(schedule), running(make_row(settled_through=ago(3600)))
    moment, other = {"ended": timezone.now()}, running(make_row(settled_through=ago(3600)))
    sql.write(sql.End(alone, values | moment), None)
    group_sql.write_many([sql.End(run, values | moment) for run in (other, together)], [])
    own = ("id", "parent_id", "name", "due", "started", "created")
    assert stored(together, *own) == stored(alone, *own)


def test_a_start_is_written_as_it_is_alone(schedule: ScheduledTask):
    alone, other = running(schedule), make_row(settled_through=ago(3600))
    start = sql.Start(RunId(other.job_id, alone.due), "w1", alone.started)
    another = new(make_row(settled_through=ago(3600)), 5)
    _, [together, _] = group_sql.write_many([], [start, another])
    assert together is not None
    assert stored(together, "id", "parent_id", "name") == stored(alone, "id", "parent_id", "name")
    assert (together.name, together.due) == (other.name, alone.due)


def test_a_late_attempt_ends_nothing(schedule: ScheduledTask):
    late, other = running(schedule), running(make_row(settled_through=ago(3600)))
    schedule.runs.update(attempt=2)
    assert group_sql.write_many([end(late), end(other)], []) == ([False, True], [])


def test_runs_of_a_schedule_that_may_overlap_start_together():
    schedule = make_row(settled_through=ago(3600), overlap="allow")
    _, started = group_sql.write_many([], [new(schedule, 5), new(schedule, 4)])
    assert set(schedule.runs.running()) == set(started)


def test_of_one_occurrence_twice_in_a_group_one_starts():
    schedule = make_row(settled_through=ago(3600), overlap="allow")
    start = new(schedule, 5)
    _, started = group_sql.write_many([], [start, start])
    assert [run is None for run in started] == [False, True]


def test_one_end_and_one_start_are_written_as_well(schedule: ScheduledTask):
    ended, started = group_sql.write_many([end(running(schedule))], [new(schedule, 5)])
    assert ended == [True]
    assert list(schedule.runs.running()) == started


def test_no_run_starts_past_its_start_deadline(schedule: ScheduledTask):
    ScheduledTask.objects.update(start_deadline=5)
    other = make_row(settled_through=ago(3600), start_deadline=60)
    ScheduledTask.objects.filter(pk=schedule.pk).update(start_deadline=5)
    _, started = group_sql.write_many([], [new(schedule, 6), new(other, 6)])
    assert [run and run.parent_id for run in started] == [None, other.pk]


def test_no_run_starts_that_is_settled_already(schedule: ScheduledTask):
    ScheduledTask.objects.update(settled_through=timezone.now() + timedelta(days=1))
    other = make_row(settled_through=ago(3600))
    _, started = group_sql.write_many([], [new(schedule, 6), new(other, 6)])
    assert [run and run.parent_id for run in started] == [None, other.pk]


def test_a_success_turns_a_failed_schedule_back_and_no_other(schedule: ScheduledTask):
    run, ended = running(schedule), running(make_row(settled_through=ago(3600)))
    ScheduledTask.objects.filter(pk=schedule.pk).update(status="failed")
    ScheduledTask.objects.filter(pk=ended.parent_id).update(status="death")
    group_sql.write_many([end(run), end(ended)], [])
    assert dict(ScheduledTask.objects.values_list("pk", "status")) == {
        schedule.pk: "running",
        ended.parent_id: "death",
    }


def test_of_many_writes_of_which_one_fails_none_is_written(schedule: ScheduledTask):
    run, other = running(schedule), running(make_row(settled_through=ago(3600)))
    with pytest.raises(IntegrityError):
        group_sql.write_many([end(run), end(other, VALUES | {"progress": 1000})], [])
    assert ScheduledTaskInstance.objects.running().count() == 2


def test_whether_runs_would_start_is_answered_as_they_then_do():
    values: list[dict[str, Any]] = [
        {},
        {"status": "paused", "paused_at": timezone.now()},
        {"status": "death"},
        {"status": "failed"},
        {"settled_through": timezone.now()},
        {"period_start": timezone.now() + timedelta(hours=1)},
        {"start_deadline": 5},
        {"start_deadline": 60},
        {"overlap": "skip"},
        {"overlap": "allow"},
    ]
    schedules = [make_row(**{"settled_through": ago(3600)} | value) for value in values]
    for schedule in schedules[-2:]:
        running(schedule)
    recorded = make_row(settled_through=ago(3600), overlap="allow")
    starts = [new(schedule, 6) for schedule in [*schedules, recorded]]
    recorded.runs.create(name="x", due=starts[-1].run_id.due, status="missed", ended=timezone.now())
    gone = sql.Start(RunId("nobody", ago(6)), "w1", timezone.now())
    before = ScheduledTaskInstance.objects.count()
    would_start = group_sql.would_start([*starts, gone])
    assert ScheduledTaskInstance.objects.count() == before
    assert would_start == [
        *(True, False, False, True, False, False, False, True, False, True),
        *(False, False),
    ]
    assert [sql.write(None, start)[1] is not None for start in [*starts, gone]] == would_start
