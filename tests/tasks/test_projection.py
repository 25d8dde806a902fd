"""The rows' image in Redis, and the scripts that change it in one step."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis
from rq.utils import utcformat

from tasks import projection
from tasks.exceptions import SpecError, UnknownTaskFunction
from tasks.job import Job, RunId, to_milliseconds
from tasks.models import Calendar, ScheduledTask, Task
from tasks.projection import DISPATCH, MOVE_SCHEDULED, SCHEDULES_KEY, TEXTS_KEY
from tests.tasks.conftest import MakeSchedule, ago, make_row
from tests.tasks.functions import ECHO, queued

pytestmark = pytest.mark.django_db

NOW = utcformat(timezone.now())


@pytest.fixture
def task(put: MakeSchedule) -> ScheduledTask:
    """Return a schedule whose first occurrence is due."""
    return put(first=ago(5), accounted_until=ago(6), queue="low")


def dispatch(redis: Redis, task: ScheduledTask, **values: Any) -> list[str]:
    """Run the script for the schedule's first occurrence, with changes by `values`."""
    return run_script(redis, step(task, **values))[0]


def step(task: ScheduledTask, **values: Any) -> list[Any]:
    text = projection.dispatch_text(task)
    made: dict[str, Any] = {
        "job_id": task.job_id,
        "score": projection.to_score(task.first),
        "version": text.partition(" ")[0],
        "queue": task.queue,
        "next": to_milliseconds(task.first + timedelta(seconds=task.interval)),
        "ids": [RunId(task.job_id, task.first).job_id],
    } | values
    return [*list(made.values())[:5], *made["ids"]]


def run_script(redis: Redis, *steps: list[Any]) -> list[list[str]]:
    answer = redis.eval(DISPATCH, 2, SCHEDULES_KEY, TEXTS_KEY, NOW, json.dumps(steps))
    return [text.decode().split() for text in answer]


def score(redis: Redis, task: ScheduledTask) -> float | None:
    return redis.zscore(SCHEDULES_KEY, task.job_id)


def test_dispatch_enqueues_a_copy_and_moves_forward(task: ScheduledTask, redis_connection: Redis):
    [job_id] = dispatch(redis_connection, task)
    assert queued(redis_connection) == [job_id]
    assert Job.fetch(job_id, connection=redis_connection).func_name == ECHO
    assert score(redis_connection, task) == projection.to_score(task.first) + 3600


def test_a_repeated_dispatch_does_nothing(task: ScheduledTask, redis_connection: Redis):
    dispatch(redis_connection, task)
    assert dispatch(redis_connection, task) == []
    assert len(queued(redis_connection)) == 1


def test_a_copy_is_refused_while_its_id_exists(task: ScheduledTask, redis_connection: Redis):
    dispatch(redis_connection, task)
    redis_connection.zadd(SCHEDULES_KEY, {task.job_id: projection.to_score(task.first)})
    assert dispatch(redis_connection, task) == []
    assert len(queued(redis_connection)) == 1
    assert score(redis_connection, task) == projection.to_score(task.first) + 3600


@pytest.mark.parametrize("seen", [{"score": 1.0}, {"version": "x" * 32}], ids=str)
def test_a_schedule_that_changed_meanwhile_is_left_alone(
    task: ScheduledTask, redis_connection: Redis, seen: dict[str, Any]
):
    before = score(redis_connection, task)
    assert dispatch(redis_connection, task, **seen) == []
    assert queued(redis_connection) == []
    assert score(redis_connection, task) == before


def test_a_removed_schedule_does_not_come_back(task: ScheduledTask, redis_connection: Redis):
    projection.remove([task.job_id], redis_connection)
    dispatch(redis_connection, task)
    assert redis_connection.keys("rq:*") == []


def test_dispatch_without_an_end_of_the_step_takes_the_schedule_out(
    task: ScheduledTask, redis_connection: Redis
):
    dispatch(redis_connection, task, next=-1, ids=[])
    assert score(redis_connection, task) is None


def test_what_redis_has_lost_the_template_of_is_said_and_stops_no_other(
    task: ScheduledTask, put: MakeSchedule, redis_connection: Redis
):
    other = put(first=ago(5), accounted_until=ago(6))
    redis_connection.delete(Job.key_for(task.job_id))
    pushed, lost, stuck = run_script(redis_connection, step(task), step(other))
    assert (len(pushed), lost, stuck) == (1, [task.job_id], [])
    assert score(redis_connection, task) == projection.to_score(task.first)


def test_a_template_of_the_wrong_type_is_said_and_leaves_no_copy(
    task: ScheduledTask, redis_connection: Redis
):
    redis_connection.delete(Job.key_for(task.job_id))
    redis_connection.set(Job.key_for(task.job_id), "broken")
    assert run_script(redis_connection, step(task)) == [[], [task.job_id], []]
    assert redis_connection.keys("rq:job:*") == [Job.key_for(task.job_id).encode()]


def test_a_queue_that_is_no_list_is_said_and_stops_no_other(
    task: ScheduledTask, put: MakeSchedule, redis_connection: Redis
):
    other = put(first=ago(5), accounted_until=ago(6))
    redis_connection.set("rq:queue:low", "broken")
    pushed, lost, stuck = run_script(redis_connection, step(task), step(other))
    assert (len(pushed), lost, stuck) == (1, [], [task.job_id])
    assert score(redis_connection, task) == projection.to_score(task.first)
    redis_connection.delete("rq:queue:low")
    assert len(dispatch(redis_connection, task)) == 1


def test_put_shows_when_it_is_next_due(put: MakeSchedule, redis_connection: Redis):
    task = put(first=ago(5))
    assert score(redis_connection, task) == projection.to_score(task.first) + 3600


def test_put_keeps_the_moment_of_an_unchanged_schedule(
    task: ScheduledTask, redis_connection: Redis
):
    dispatch(redis_connection, task)
    before = score(redis_connection, task)
    projection.put([task], redis_connection)
    assert score(redis_connection, task) == before


def test_put_takes_the_moment_of_a_changed_spec(task: ScheduledTask, redis_connection: Redis):
    task.interval, task.accounted_until = 60, timezone.now()
    projection.put([task], redis_connection)
    assert score(redis_connection, task) == projection.to_score(task.first) + 60


def test_put_mends_a_template_of_the_wrong_type(task: ScheduledTask, redis_connection: Redis):
    redis_connection.delete(Job.key_for(task.job_id))
    redis_connection.set(Job.key_for(task.job_id), "broken")
    projection.put([task], redis_connection)
    assert Job.fetch(task.job_id, connection=redis_connection).func_name == ECHO


def test_put_takes_out_what_is_never_due_again(put: MakeSchedule, redis_connection: Redis):
    task = put(first=ago(5), interval=None)
    assert score(redis_connection, task) is None


def test_put_wakes_the_scheduler(task: ScheduledTask, redis_connection: Redis):
    assert redis_connection.llen(projection.WAKE_KEY) == 1


@pytest.mark.parametrize(
    ("values", "error"),
    [({"function": "gone"}, UnknownTaskFunction), ({"cron": "nonsense"}, SpecError)],
)
def test_put_refuses_a_row_that_cannot_be_scheduled(
    redis_connection: Redis, values: dict[str, Any], error: type[Exception]
):
    with pytest.raises(error):
        projection.put([make_row(**values)], redis_connection)
    assert redis_connection.zcard(SCHEDULES_KEY) == 0


def test_a_text_is_read_as_it_was_written():
    calendar = Calendar.objects.create(name="Holidays", dates="2030-01-01")
    limits: dict[str, Any] = {"start": ago(1), "repeat": 5, "exclude": "2030-05-05", "jitter": 99}
    task = make_row(
        cron="@daily", timezone="Asia/Seoul", start_deadline=9, calendar=calendar, **limits
    )
    assert task.spec().exclude == "2030-05-05\n2030-01-01"
    assert task.spec().offset > 0
    template = projection.read_text(projection.dispatch_text(task).encode())
    assert (template.spec(), template.start_deadline) == (task.spec(), 9)
    assert (template.queue, template.catch_up) == ("default", "latest")


def test_a_plain_interval_is_read_with_its_grid(schedule: ScheduledTask):
    template = projection.read_text(projection.dispatch_text(schedule).encode())
    first = to_milliseconds(schedule.first)
    assert template.grid is not None
    assert template.grid.next_due(first) == first + 3_600_000
    assert template.spec() == schedule.spec()


def test_an_interval_with_jitter_is_read_with_its_grid():
    task = make_row(jitter=3_600)
    template = projection.read_text(projection.dispatch_text(task).encode())
    first = task.first + timedelta(milliseconds=task.spec().offset)
    assert template.grid is not None
    assert template.grid.first == to_milliseconds(first)
    assert template.spec() == dataclasses.replace(task.spec(), first=first, offset=0)


@pytest.mark.parametrize(
    "values",
    [{"args": [1]}, {"timeout": 9}, {"queue": "low"}, {"interval": 1}, {"catch_up": "all"}],
    ids=str,
)
def test_the_version_changes_with_what_the_row_says(
    schedule: ScheduledTask, values: dict[str, Any]
):
    before = projection.dispatch_text(schedule)[: projection.VERSION_LENGTH]
    for field, value in values.items():
        setattr(schedule, field, value)
    assert projection.dispatch_text(schedule)[: projection.VERSION_LENGTH] != before


def test_a_template_is_the_job_that_rq_would_make(put: MakeSchedule, redis_connection: Redis):
    task = put(args=[1, "é"], kwargs={"a": None}, timeout=9, repeat=3)
    stored = Job.fetch(task.job_id, connection=redis_connection)
    built = projection.build_job(task, task.job_id, redis_connection)
    for field in ("data", "func_name", "args", "kwargs", "origin", "description", "timeout"):
        assert getattr(stored, field) == getattr(built, field), field
    for field in ("result_ttl", "failure_ttl", "_status"):
        assert getattr(stored, field) == getattr(built, field), field
    assert stored.meta == {"interval": 3600, "repeat": 3}


@pytest.mark.parametrize("at", [None, timezone.now() + timedelta(hours=1)])
def test_a_run_is_enqueued_once(schedule: ScheduledTask, redis_connection: Redis, at: Any):
    run_id = RunId(schedule.job_id, ago(1))
    for _ in range(2):
        projection.enqueue_run(schedule, run_id, redis_connection, at=at)
    kept = [*queued(redis_connection), *redis_connection.zrange("rq:scheduled:default", 0, -1)]
    assert len(kept) == 1


def test_a_later_run_keeps_its_milliseconds(schedule: ScheduledTask, redis_connection: Redis):
    at = timezone.now().replace(microsecond=250_000) + timedelta(hours=1)
    projection.enqueue_run(schedule, RunId(schedule.job_id, at), redis_connection, at=at)
    entries: list[Any] = redis_connection.zrange("rq:scheduled:default", 0, -1, withscores=True)
    [(_, moment)] = entries
    assert moment == at.timestamp()


def test_a_job_has_the_timeout_of_its_row_else_of_its_function(redis_connection: Redis):
    row = make_row(function="tests.only_scheduled", args=[1])
    assert projection.build_job(row, row.job_id, redis_connection).timeout == 77
    row.timeout = 5
    assert projection.build_job(row, row.job_id, redis_connection).timeout == 5


def test_move_scheduled_moves_each_job_once(schedule: ScheduledTask, redis_connection: Redis):
    later = timezone.now() + timedelta(hours=1)
    run_id = RunId(schedule.job_id, later)
    projection.enqueue_run(schedule, run_id, redis_connection, at=later)
    args = ("rq:scheduled:default", NOW, "default", run_id.job_id, "task-gone")
    assert redis_connection.eval(MOVE_SCHEDULED, 1, *args) == 1
    assert redis_connection.eval(MOVE_SCHEDULED, 1, *args) == 0
    assert queued(redis_connection) == [run_id.job_id]


def test_a_withdrawn_call_is_nowhere(redis_connection: Redis):
    waiting = Task.objects.create(name="x", function=ECHO)
    reserved = Task.objects.create(
        name="x", function=ECHO, status="reserved", reserved_for=timezone.now() + timedelta(hours=1)
    )
    for call in (waiting, reserved):
        projection.enqueue_task(call, redis_connection)
        projection.withdraw(call.job_id, call.queue, redis_connection)
    assert queued(redis_connection) == []
    assert redis_connection.keys("rq:job:*") == redis_connection.keys("rq:scheduled:*") == []


def test_scores_and_moments_agree_to_the_millisecond():
    moment = ago(0).replace(microsecond=1_000)
    assert projection.from_score(projection.to_score(moment)) == moment


def test_a_process_has_one_connection():
    assert projection.connect() is projection.connect()
