"""The rows' image in Redis, and the scripts that change it in one step."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis
from rq.utils import utcformat

from tasks import projection
from tasks.exceptions import SpecError, UnknownTaskFunction
from tasks.job import Job, RunId
from tasks.models import Calendar, ScheduledTask, Task
from tasks.projection import DISPATCH, MOVE_SCHEDULED, SCHEDULES_KEY
from tests.tasks.conftest import MakeSchedule, ago, make_row
from tests.tasks.functions import ECHO, queued

pytestmark = pytest.mark.django_db

NOW = utcformat(timezone.now())


@pytest.fixture
def task(put: MakeSchedule) -> ScheduledTask:
    """Return a schedule whose first occurrence is due."""
    return put(first=ago(5), accounted_until=ago(6), queue="low")


def dispatch(redis: Redis, task: ScheduledTask, **values: Any) -> list[bytes]:
    """Run the script for the schedule's first occurrence, with changes by `values`."""
    step: dict[str, Any] = {
        "score": projection.to_score(task.first),
        "seen": projection.dispatch_field(task),
        "next": projection.to_score(task.first + timedelta(seconds=task.interval)),
        "ids": [RunId(task.job_id, task.first).job_id],
    } | values
    args = [NOW, task.job_id, repr(step["score"]), step["seen"], repr(step["next"])]
    return redis.eval(DISPATCH, 1, SCHEDULES_KEY, *args, len(step["ids"]), *step["ids"])


def score(redis: Redis, task: ScheduledTask) -> float | None:
    return redis.zscore(SCHEDULES_KEY, task.job_id)


def test_dispatch_enqueues_a_copy_and_moves_forward(task: ScheduledTask, redis_connection: Redis):
    [job_id] = dispatch(redis_connection, task)
    assert queued(redis_connection) == [job_id.decode()]
    assert Job.fetch(job_id.decode(), connection=redis_connection).func_name == ECHO
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


@pytest.mark.parametrize("seen", [{"score": 1.0}, {"seen": "{}"}], ids=str)
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
    seen = projection.dispatch_field(task)
    first = repr(projection.to_score(task.first))
    redis_connection.eval(DISPATCH, 1, SCHEDULES_KEY, NOW, task.job_id, first, seen, "", 0)
    assert score(redis_connection, task) is None


def test_a_template_without_a_queue_stops_no_other(put: MakeSchedule, redis_connection: Redis):
    task = put(first=ago(5), accounted_until=ago(6))
    redis_connection.hdel(Job.key_for(task.job_id), "origin")
    assert len(dispatch(redis_connection, task)) == 1


def test_put_shows_when_it_is_next_due(put: MakeSchedule, redis_connection: Redis):
    task = put(first=ago(5))
    assert score(redis_connection, task) == projection.to_score(task.first) + 3600


def test_put_keeps_the_moment_of_an_unchanged_schedule(
    task: ScheduledTask, redis_connection: Redis
):
    dispatch(redis_connection, task)
    before = score(redis_connection, task)
    projection.put(task, redis_connection)
    assert score(redis_connection, task) == before


def test_put_takes_the_moment_of_a_changed_spec(task: ScheduledTask, redis_connection: Redis):
    task.interval, task.accounted_until = 60, timezone.now()
    projection.put(task, redis_connection)
    assert score(redis_connection, task) == projection.to_score(task.first) + 60


def test_put_mends_a_template_of_the_wrong_type(task: ScheduledTask, redis_connection: Redis):
    redis_connection.delete(Job.key_for(task.job_id))
    redis_connection.set(Job.key_for(task.job_id), "broken")
    projection.put(task, redis_connection)
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
        projection.put(make_row(**values), redis_connection)
    assert redis_connection.zcard(SCHEDULES_KEY) == 0


def test_a_template_is_read_as_it_was_written():
    calendar = Calendar.objects.create(name="Holidays", dates="2030-01-01")
    limits: dict[str, Any] = {"start": ago(1), "repeat": 5, "exclude": "2030-05-05", "jitter": 99}
    task = make_row(
        cron="@daily", timezone="Asia/Seoul", start_deadline=9, calendar=calendar, **limits
    )
    assert task.spec().exclude == "2030-05-05\n2030-01-01"
    assert task.spec().offset > 0
    field = projection.dispatch_field(task).encode()
    template = projection.read_template(task.job_id, field)
    assert (template.spec, template.start_deadline) == (task.spec(), 9)


@pytest.mark.parametrize("values", [{"args": [1]}, {"timeout": 9}, {"queue": "low"}], ids=str)
def test_the_digest_shows_what_the_dispatch_field_does_not(
    schedule: ScheduledTask, values: dict[str, Any]
):
    before = projection.content_digest(schedule)
    for field, value in values.items():
        setattr(schedule, field, value)
    assert projection.content_digest(schedule) != before


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
