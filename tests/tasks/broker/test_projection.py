"""The image of the rows in Redis."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from tasks.broker import projection
from tasks.broker.enqueue import build_job
from tasks.broker.keys import SCHEDULES_KEY, WAKE_KEY
from tasks.exceptions import SpecError, UnknownTaskFunction
from tasks.job import Job
from tasks.models import Calendar, ScheduledTask
from tasks.timing.instants import to_milliseconds, to_score
from tests.tasks.functions import ECHO
from tests.tasks.in_redis import schedules_in_redis
from tests.tasks.scheduler.dispatch_script import dispatch, score
from tests.tasks.schedules import MakeSchedule, ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_change_of_a_row_during_its_projection_is_not_overwritten(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    schedule = put()
    original = projection.put_images

    def pause_meanwhile(images: list[projection.Image], redis: Redis) -> None:
        if images:
            ScheduledTask.objects.update(status="paused", paused_at=ago(0), updated=timezone.now())
        original(images, redis)

    monkeypatch.setattr(projection, "put_images", pause_meanwhile)
    projection.project(schedule, redis_connection)
    assert schedules_in_redis(redis_connection) == set()


def test_a_schedule_deleted_during_its_projection_stays_out_of_redis(
    redis_connection: Redis, schedule: ScheduledTask
):
    copy = ScheduledTask.objects.get()
    schedule.delete()
    projection.project(copy, redis_connection)
    assert redis_connection.keys("rq:*") == []


def test_a_projected_schedule_shows_when_it_is_next_due(put: MakeSchedule, redis_connection: Redis):
    schedule = put(first=ago(5))
    assert score(redis_connection, schedule) == to_score(schedule.first) + 3600


def test_projecting_an_unchanged_schedule_keeps_its_next_due(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    dispatch(redis_connection, due_schedule)
    before = score(redis_connection, due_schedule)
    projection.put([due_schedule], redis_connection)
    assert score(redis_connection, due_schedule) == before


def test_projecting_a_changed_spec_changes_the_next_due(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    due_schedule.interval, due_schedule.settled_through = 60, timezone.now()
    projection.put([due_schedule], redis_connection)
    assert score(redis_connection, due_schedule) == to_score(due_schedule.first) + 60


def test_projecting_a_schedule_repairs_a_template_of_the_wrong_type(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    redis_connection.delete(Job.key_for(due_schedule.job_id))
    redis_connection.set(Job.key_for(due_schedule.job_id), "broken")
    projection.put([due_schedule], redis_connection)
    assert Job.fetch(due_schedule.job_id, connection=redis_connection).func_name == ECHO


def test_projecting_a_schedule_that_is_never_due_again_removes_it_from_the_sorted_set(
    put: MakeSchedule, redis_connection: Redis
):
    schedule = put(first=ago(5), interval=None)
    assert score(redis_connection, schedule) is None


def test_projecting_a_schedule_wakes_the_scheduler(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    assert redis_connection.llen(WAKE_KEY) == 1


@pytest.mark.parametrize(
    ("values", "error"),
    [({"function": "gone"}, UnknownTaskFunction), ({"cron": "nonsense"}, SpecError)],
)
def test_projecting_a_row_that_cannot_be_scheduled_is_refused(
    redis_connection: Redis, values: dict[str, Any], error: type[Exception]
):
    with pytest.raises(error):
        projection.put([make_row(**values)], redis_connection)
    assert redis_connection.zcard(SCHEDULES_KEY) == 0


def test_a_dispatch_record_is_read_as_it_was_written():
    calendar = Calendar.objects.create(name="Holidays", dates="2030-01-01")
    limits: dict[str, Any] = {"start": ago(1), "repeat": 5, "exclude": "2030-05-05", "jitter": 99}
    schedule = make_row(
        cron="@daily", timezone="Asia/Seoul", start_deadline=9, calendar=calendar, **limits
    )
    assert schedule.spec().exclude == "2030-05-05\n2030-01-01"
    assert schedule.spec().offset > 0
    record = projection.read_dispatch_record(projection.dispatch_record(schedule).encode())
    assert (record.spec(), record.start_deadline) == (schedule.spec(), 9)
    assert (record.queue, record.catch_up) == ("default", "latest")


def test_the_dispatch_record_of_a_plain_interval_has_its_grid(schedule: ScheduledTask):
    record = projection.read_dispatch_record(projection.dispatch_record(schedule).encode())
    first = to_milliseconds(schedule.first)
    assert record.grid is not None
    assert record.grid.next_due(first) == first + 3_600_000
    assert record.spec() == schedule.spec()


def test_the_dispatch_record_of_an_interval_with_jitter_has_its_grid():
    schedule = make_row(jitter=3_600)
    record = projection.read_dispatch_record(projection.dispatch_record(schedule).encode())
    first = schedule.first + timedelta(milliseconds=schedule.spec().offset)
    assert record.grid is not None
    assert record.grid.first == to_milliseconds(first)
    assert record.spec() == dataclasses.replace(schedule.spec(), first=first, offset=0)


@pytest.mark.parametrize(
    "values",
    [
        {"args": [1]},
        {"timeout": 9},
        {"queue": "low"},
        {"interval": 1},
        {"catch_up": "all"},
        {"on_disconnect": "continue"},
    ],
    ids=str,
)
def test_the_version_of_a_dispatch_record_changes_with_the_row(
    schedule: ScheduledTask, values: dict[str, Any]
):
    before = projection.dispatch_record(schedule)[: projection.VERSION_LENGTH]
    for field, value in values.items():
        setattr(schedule, field, value)
    assert projection.dispatch_record(schedule)[: projection.VERSION_LENGTH] != before


def test_the_template_of_a_schedule_is_the_job_that_rq_would_make(
    put: MakeSchedule, redis_connection: Redis
):
    schedule = put(args=[1, "é"], kwargs={"a": None}, timeout=9, repeat=3)
    stored = Job.fetch(schedule.job_id, connection=redis_connection)
    built = build_job(schedule, schedule.job_id, redis_connection)
    for field in ("data", "func_name", "args", "kwargs", "origin", "description", "timeout"):
        assert getattr(stored, field) == getattr(built, field), field
    for field in ("result_ttl", "failure_ttl", "_status"):
        assert getattr(stored, field) == getattr(built, field), field
    assert stored.meta == {"interval": 3600, "repeat": 3}
