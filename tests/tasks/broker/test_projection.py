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
from tests.tasks.broker.images import dispatch, score
from tests.tasks.functions import ECHO
from tests.tasks.ledger.rows_and_redis import in_redis
from tests.tasks.schedules import MakeSchedule, ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_change_while_it_is_projected_is_not_overwritten(
    redis_connection: Redis, put: MakeSchedule, monkeypatch: pytest.MonkeyPatch
):
    due_schedule = put()
    original = projection.put_images

    def pause_meanwhile(images: list[projection.Image], redis: Redis) -> None:
        if images:
            ScheduledTask.objects.update(status="paused", paused_at=ago(0), updated=timezone.now())
        original(images, redis)

    monkeypatch.setattr(projection, "put_images", pause_meanwhile)
    projection.project(due_schedule, redis_connection)
    assert in_redis(redis_connection) == set()


def test_a_schedule_deleted_while_it_is_projected_stays_out(
    redis_connection: Redis, schedule: ScheduledTask
):
    copy = ScheduledTask.objects.get()
    schedule.delete()
    projection.project(copy, redis_connection)
    assert redis_connection.keys("rq:*") == []


def test_put_shows_when_it_is_next_due(put: MakeSchedule, redis_connection: Redis):
    due_schedule = put(first=ago(5))
    assert score(redis_connection, due_schedule) == to_score(due_schedule.first) + 3600


def test_put_keeps_the_moment_of_an_unchanged_schedule(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    dispatch(redis_connection, due_schedule)
    before = score(redis_connection, due_schedule)
    projection.put([due_schedule], redis_connection)
    assert score(redis_connection, due_schedule) == before


def test_put_takes_the_moment_of_a_changed_spec(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    due_schedule.interval, due_schedule.settled_through = 60, timezone.now()
    projection.put([due_schedule], redis_connection)
    assert score(redis_connection, due_schedule) == to_score(due_schedule.first) + 60


def test_put_mends_a_template_of_the_wrong_type(
    due_schedule: ScheduledTask, redis_connection: Redis
):
    redis_connection.delete(Job.key_for(due_schedule.job_id))
    redis_connection.set(Job.key_for(due_schedule.job_id), "broken")
    projection.put([due_schedule], redis_connection)
    assert Job.fetch(due_schedule.job_id, connection=redis_connection).func_name == ECHO


def test_put_takes_out_what_is_never_due_again(put: MakeSchedule, redis_connection: Redis):
    due_schedule = put(first=ago(5), interval=None)
    assert score(redis_connection, due_schedule) is None


def test_put_wakes_the_scheduler(due_schedule: ScheduledTask, redis_connection: Redis):
    assert redis_connection.llen(WAKE_KEY) == 1


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
    due_schedule = make_row(
        cron="@daily", timezone="Asia/Seoul", start_deadline=9, calendar=calendar, **limits
    )
    assert due_schedule.spec().exclude == "2030-05-05\n2030-01-01"
    assert due_schedule.spec().offset > 0
    template = projection.read_dispatch_record(projection.dispatch_record(due_schedule).encode())
    assert (template.spec(), template.start_deadline) == (due_schedule.spec(), 9)
    assert (template.queue, template.catch_up) == ("default", "latest")


def test_a_plain_interval_is_read_with_its_grid(schedule: ScheduledTask):
    template = projection.read_dispatch_record(projection.dispatch_record(schedule).encode())
    first = to_milliseconds(schedule.first)
    assert template.grid is not None
    assert template.grid.next_due(first) == first + 3_600_000
    assert template.spec() == schedule.spec()


def test_an_interval_with_jitter_is_read_with_its_grid():
    due_schedule = make_row(jitter=3_600)
    template = projection.read_dispatch_record(projection.dispatch_record(due_schedule).encode())
    first = due_schedule.first + timedelta(milliseconds=due_schedule.spec().offset)
    assert template.grid is not None
    assert template.grid.first == to_milliseconds(first)
    assert template.spec() == dataclasses.replace(due_schedule.spec(), first=first, offset=0)


@pytest.mark.parametrize(
    "values",
    [{"args": [1]}, {"timeout": 9}, {"queue": "low"}, {"interval": 1}, {"catch_up": "all"}],
    ids=str,
)
def test_the_version_changes_with_what_the_row_says(
    schedule: ScheduledTask, values: dict[str, Any]
):
    before = projection.dispatch_record(schedule)[: projection.VERSION_LENGTH]
    for field, value in values.items():
        setattr(schedule, field, value)
    assert projection.dispatch_record(schedule)[: projection.VERSION_LENGTH] != before


def test_a_template_is_the_job_that_rq_would_make(put: MakeSchedule, redis_connection: Redis):
    due_schedule = put(args=[1, "é"], kwargs={"a": None}, timeout=9, repeat=3)
    stored = Job.fetch(due_schedule.job_id, connection=redis_connection)
    built = build_job(due_schedule, due_schedule.job_id, redis_connection)
    for field in ("data", "func_name", "args", "kwargs", "origin", "description", "timeout"):
        assert getattr(stored, field) == getattr(built, field), field
    for field in ("result_ttl", "failure_ttl", "_status"):
        assert getattr(stored, field) == getattr(built, field), field
    assert stored.meta == {"interval": 3600, "repeat": 3}
