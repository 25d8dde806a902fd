"""Foreign jobs: dispatched as rq-scheduler does, in one step; set aside with the reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from redis import Redis

from tasks import foreign, ledger
from tasks.exceptions import NotPossible, SpecError
from tasks.job import Job
from tasks.projection import SCHEDULES_KEY
from tasks.scheduler import Scheduler
from tests.tasks import functions
from tests.tasks.conftest import MakeSchedule, ago
from tests.tasks.functions import queued

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def utc_now() -> datetime:
    """Return now as rq-scheduler wants it."""
    return datetime.now(UTC).replace(tzinfo=None)


@pytest.fixture
def job(scheduler: Scheduler, utc_now: datetime) -> Job:
    """Return a foreign job that is due now, and every minute."""
    return scheduler.schedule(utc_now, functions.echo, interval=60)


def spoil(redis: Redis, job: Job, field: str, value: bytes) -> None:
    redis.hset(job.key, field, value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", b"\x80\x04."),
        ("meta", b"{"),
        ("meta", b'{"cron_string": "61 * * * *"}'),
        ("meta", b'{"cron_string": "0 0 30 2 *"}'),
        ("meta", b'{"cron_string": "0 0 1 1 * 2030"}'),
        ("meta", b'{"interval": "often"}'),
        ("meta", b'{"repeat": "x"}'),
        ("status", b"odd"),
        ("created_at", b"yesterday"),
    ],
)
def test_what_cannot_be_dispatched_is_set_aside_with_the_reason(
    scheduler: Scheduler, redis_connection: Redis, job: Job, field: str, value: bytes
):
    spoil(redis_connection, job, field, value)
    good = scheduler.enqueue_in(timedelta(seconds=-1), functions.echo)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [good.id]
    [kept] = foreign.quarantined(redis_connection)
    assert (kept.name, bool(kept.reason)) == (job.id, True)
    assert job not in scheduler


def test_what_is_mended_can_be_put_back(scheduler: Scheduler, redis_connection: Redis, job: Job):
    spoil(redis_connection, job, "meta", b"{")
    scheduler.enqueue_jobs()
    spoil(redis_connection, job, "meta", b"{}")
    foreign.put_back(job.id.encode(), redis_connection)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [job.id]
    assert list(foreign.quarantined(redis_connection)) == []


def test_what_is_not_in_quarantine_cannot_be_put_back(
    scheduler: Scheduler, redis_connection: Redis
):
    with pytest.raises(NotPossible):
        foreign.put_back(b"x", redis_connection)
    assert redis_connection.zcard(SCHEDULES_KEY) == 0


def test_what_is_discarded_is_gone(scheduler: Scheduler, redis_connection: Redis, job: Job):
    spoil(redis_connection, job, "meta", b"{")
    scheduler.enqueue_jobs()
    foreign.discard(job.id.encode(), redis_connection)
    assert list(foreign.quarantined(redis_connection)) == []


def test_a_job_that_changed_meanwhile_is_left_alone(
    scheduler: Scheduler, redis_connection: Redis, job: Job
):
    score = redis_connection.zscore(SCHEDULES_KEY, job.id)
    assert not foreign.dispatch(job.id, score - 1, scheduler)
    assert queued(redis_connection) == []


def test_two_schedulers_dispatch_it_once(scheduler: Scheduler, redis_connection: Redis, job: Job):
    score = redis_connection.zscore(SCHEDULES_KEY, job.id)
    assert foreign.dispatch(job.id, score, scheduler)
    assert not foreign.dispatch(job.id, score, scheduler)
    assert queued(redis_connection) == [job.id]


def test_repeats_are_counted_though_its_run_saves_an_older_meta(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    job = scheduler.schedule(utc_now, functions.echo, interval=60, repeat=3)
    for _ in range(2):
        running = Job.fetch(job.id, connection=redis_connection)
        scheduler.enqueue_jobs()
        running.save_meta()
        scheduler.change_execution_time(job, utc_now)
    scheduler.enqueue_jobs()
    assert job not in scheduler
    assert len(queued(redis_connection)) == 3


def test_repeats_of_a_new_job_with_the_same_id_count_anew(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    for _ in range(2):
        scheduler.schedule(utc_now, functions.echo, interval=60, repeat=1, id="again")
        scheduler.enqueue_jobs()
        assert "again" not in scheduler
    assert queued(redis_connection) == ["again"] * 2


def test_a_job_whose_dependency_is_unfinished_is_deferred(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    first = scheduler.enqueue_in(timedelta(hours=1), functions.echo)
    second = scheduler.enqueue_at(utc_now, functions.echo, depends_on=first.id)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == []
    assert Job.fetch(second.id, connection=redis_connection).get_status() == "deferred"
    assert second not in scheduler


def test_an_interval_keeps_its_rhythm(scheduler: Scheduler, redis_connection: Redis, job: Job):
    before = redis_connection.zscore(SCHEDULES_KEY, job.id)
    scheduler.enqueue_jobs()
    assert redis_connection.zscore(SCHEDULES_KEY, job.id) == before + 60


@pytest.mark.parametrize("local", [False, True])
def test_a_cron_job_is_first_due_in_the_zone_that_it_asks_for(
    scheduler: Scheduler, redis_connection: Redis, settings: Any, local: bool
):
    settings.TIME_ZONE = "Asia/Kathmandu"
    job = scheduler.cron("30 6 * * *", functions.echo, use_local_timezone=local)
    due = datetime.fromtimestamp(redis_connection.zscore(SCHEDULES_KEY, job.id), UTC)
    assert (due.hour, due.minute) == ((0, 45) if local else (6, 30))
    assert timezone.now() < due <= timezone.now() + timedelta(days=1)


@pytest.mark.parametrize(
    ("cron", "after", "due"),
    [
        ("0 0 1-7 * 1", "2026-11-02", "2026-12-07"),
        ("0 0 1-7 * 1", "2026-11-01", "2026-11-02"),
        ("0 0 29 2 1", "2026-11-01", "2044-02-29"),
        ("0 0 */2 * 1", "2026-11-01", "2026-11-09"),
        ("0 0 * * 1", "2026-11-01", "2026-11-02"),
    ],
)
def test_a_cron_expression_of_both_kinds_of_days_is_due_when_both_match(
    cron: str, after: str, due: str
):
    now = datetime.fromisoformat(after).replace(tzinfo=UTC)
    moment = foreign.next_cron_due({"cron_string": cron}, now)
    assert datetime.fromtimestamp(moment, UTC).date().isoformat() == due


def test_a_cron_expression_with_a_year_is_refused(scheduler: Scheduler, redis_connection: Redis):
    with pytest.raises(SpecError, match="year"):
        scheduler.cron("30 6 * * * 2030", functions.echo)
    assert not redis_connection.exists(SCHEDULES_KEY)


def test_an_impossible_cron_expression_is_refused(scheduler: Scheduler, redis_connection: Redis):
    with pytest.raises(SpecError):
        scheduler.cron("0 0 30 2 *", functions.echo)
    assert redis_connection.keys("*") == []


def test_the_job_of_a_schedule_is_not_enqueued_itself(
    scheduler: Scheduler, redis_connection: Redis, put: MakeSchedule
):
    template = Job.fetch(put(first=ago(5)).job_id, connection=redis_connection)
    with pytest.raises(NotPossible):
        scheduler.enqueue_job(template)
    assert queued(redis_connection) == []


def test_only_foreign_jobs_are_shown(
    scheduler: Scheduler, redis_connection: Redis, put: MakeSchedule, job: Job
):
    put()
    redis_connection.zadd(SCHEDULES_KEY, {b"\xff": 1})
    before = redis_connection.zrange(SCHEDULES_KEY, 0, -1, withscores=True)
    shown = {one.name: one.function for one in foreign.scheduled(redis_connection)}
    assert shown == {job.id: functions.ECHO, "\\xff": ""}
    assert redis_connection.zrange(SCHEDULES_KEY, 0, -1, withscores=True) == before


def test_what_waits_in_quarantine_survives_the_reconciliation(
    scheduler: Scheduler, redis_connection: Redis
):
    redis_connection.zadd(SCHEDULES_KEY, {b"\xff\xfe": 1})
    scheduler.enqueue_jobs()
    ledger.reconcile(redis_connection)
    [kept] = foreign.quarantined(redis_connection)
    assert (kept.member, kept.due) == (b"\xff\xfe", datetime.fromtimestamp(1, UTC))
