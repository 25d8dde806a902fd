"""External jobs: dispatched as rq-scheduler does, in one step; set aside with the reason."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st
from redis import Redis

from tasks.broker.keys import SCHEDULES_KEY
from tasks.broker.reconcile import reconcile
from tasks.exceptions import NotPossible, SpecError
from tasks.job import Job
from tasks.scheduler import Scheduler, external_jobs
from tests.tasks import functions
from tests.tasks.functions import queued
from tests.tasks.schedules import MakeSchedule, ago

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
# Expressions of which day of month and day of week never match together.
NEVER_DUE = [
    "0 0 20 * MON#1",
    "0 0 15 * 5L",
    "0 0 L * MON#1",
    "0 0 LW * SUN",
    "* * 20 * MON#1",
    "0 0 1,15 * 1#5",
    "0 0 29 2 MON#1",
    "0 0 30 2 MON",
]


class NamedDay(NamedTuple):
    """A day with all that cron calls it."""

    day: date
    of_month: set[str]
    of_week: set[str]


def named(day: date) -> NamedDay:
    days_left = monthrange(day.year, day.month)[1] - day.day
    weekday = day.isoweekday() % 7
    of_month = {str(day.day)} | ({"L"} if not days_left else set())
    weekend_at_the_end = max((day + days_left * DAY).isoweekday() - 5, 0)
    if days_left == weekend_at_the_end:
        of_month.add("LW")
    of_week = {str(weekday), f"{weekday}#{(day.day - 1) // 7 + 1}"}
    return NamedDay(day, of_month, of_week | ({f"{weekday}L"} if days_left < 7 else set()))


# More than the 40 years after which weekdays and leap years repeat themselves, over 2100.
NOW = datetime(2090, 11, 25, tzinfo=UTC)
NAMED_DAYS = [named(NOW.date() + number * DAY) for number in range(1, 41 * 366)]

days_of_month = st.lists(
    st.integers(1, 31).map(str) | st.sampled_from(["L", "LW", "28", "29", "31"]),
    min_size=1,
    max_size=2,
)
days_of_week = st.lists(
    st.builds("{}{}".format, st.integers(0, 6), st.sampled_from(["", "L", "#1", "#3", "#4", "#5"])),
    min_size=1,
    max_size=2,
)
months = st.none() | st.integers(1, 12) | st.just(2)


@pytest.fixture
def job(scheduler: Scheduler, utc_now: datetime) -> Job:
    """Return an external job that is due now, and every minute."""
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
        ("meta", b'{"cron_string": "* * 20 * MON#1"}'),
        ("meta", b'{"interval": "often"}'),
        ("meta", b'{"repeat": "x"}'),
        ("status", b"odd"),
        ("created_at", b"yesterday"),
    ],
)
def test_an_external_job_that_cannot_be_dispatched_is_set_aside_with_the_reason(
    scheduler: Scheduler, redis_connection: Redis, job: Job, field: str, value: bytes
):
    spoil(redis_connection, job, field, value)
    good = scheduler.enqueue_in(timedelta(seconds=-1), functions.echo)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [good.id]
    [kept] = external_jobs.quarantined(redis_connection)
    assert (kept.name, bool(kept.reason)) == (job.id, True)
    assert job not in scheduler


def test_an_external_job_in_quarantine_can_be_put_back(
    scheduler: Scheduler, redis_connection: Redis, job: Job
):
    spoil(redis_connection, job, "meta", b"{")
    scheduler.enqueue_jobs()
    spoil(redis_connection, job, "meta", b"{}")
    external_jobs.put_back(job.id.encode(), redis_connection)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == [job.id]
    assert list(external_jobs.quarantined(redis_connection)) == []


def test_a_job_that_is_not_in_quarantine_cannot_be_put_back(
    scheduler: Scheduler, redis_connection: Redis
):
    with pytest.raises(NotPossible):
        external_jobs.put_back(b"x", redis_connection)
    assert redis_connection.zcard(SCHEDULES_KEY) == 0


def test_a_discarded_job_is_no_longer_in_quarantine(
    scheduler: Scheduler, redis_connection: Redis, job: Job
):
    spoil(redis_connection, job, "meta", b"{")
    scheduler.enqueue_jobs()
    external_jobs.discard(job.id.encode(), redis_connection)
    assert list(external_jobs.quarantined(redis_connection)) == []


def test_an_external_job_that_has_changed_meanwhile_is_left_alone(
    scheduler: Scheduler, redis_connection: Redis, job: Job
):
    score = redis_connection.zscore(SCHEDULES_KEY, job.id)
    assert not external_jobs.dispatch(job.id, score - 1, scheduler)
    assert queued(redis_connection) == []


def test_two_schedulers_dispatch_an_external_job_once(
    scheduler: Scheduler, redis_connection: Redis, job: Job
):
    score = redis_connection.zscore(SCHEDULES_KEY, job.id)
    assert external_jobs.dispatch(job.id, score, scheduler)
    assert not external_jobs.dispatch(job.id, score, scheduler)
    assert queued(redis_connection) == [job.id]


def test_the_repeats_of_an_external_job_are_counted_though_its_run_saves_an_older_meta(
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


def test_the_repeats_of_a_new_external_job_with_the_same_id_count_anew(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    for _ in range(2):
        scheduler.schedule(utc_now, functions.echo, interval=60, repeat=1, id="again")
        scheduler.enqueue_jobs()
        assert "again" not in scheduler
    assert queued(redis_connection) == ["again"] * 2


def test_an_external_job_with_an_unfinished_dependency_is_deferred(
    scheduler: Scheduler, redis_connection: Redis, utc_now: datetime
):
    first = scheduler.enqueue_in(timedelta(hours=1), functions.echo)
    second = scheduler.enqueue_at(utc_now, functions.echo, depends_on=first.id)
    scheduler.enqueue_jobs()
    assert queued(redis_connection) == []
    assert Job.fetch(second.id, connection=redis_connection).get_status() == "deferred"
    assert second not in scheduler


def test_the_interval_of_an_external_job_does_not_drift(
    scheduler: Scheduler, redis_connection: Redis, job: Job
):
    before = redis_connection.zscore(SCHEDULES_KEY, job.id)
    scheduler.enqueue_jobs()
    assert redis_connection.zscore(SCHEDULES_KEY, job.id) == before + 60


@pytest.mark.parametrize("local", [False, True])
def test_an_external_cron_job_is_first_due_in_the_zone_that_it_requests(
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
def test_an_external_cron_job_with_both_kinds_of_days_is_due_when_both_match(
    cron: str, after: str, due: str
):
    now = datetime.fromisoformat(after).replace(tzinfo=UTC)
    score = external_jobs.next_cron_due({"cron_string": cron}, now)
    assert datetime.fromtimestamp(score, UTC).date().isoformat() == due


@given(days_of_month, months, days_of_week)
@example(["29"], 2, ["1"])
@example(["L"], None, ["1#4"])
@example(["31"], 2, ["1"])
def test_an_external_cron_job_is_due_on_the_first_day_that_matches_both_ways_if_there_is_one(
    of_month: list[str], month: int | None, of_week: list[str]
):
    cron = f"0 0 {','.join(of_month)} {month or '*'} {','.join(of_week)}"
    expected = (
        datetime.combine(named.day, time(), UTC).timestamp()
        for named in NAMED_DAYS
        if month in (None, named.day.month)
        and not named.of_month.isdisjoint(of_month)
        and not named.of_week.isdisjoint(of_week)
    )
    try:
        due = external_jobs.next_cron_due({"cron_string": cron}, NOW)
    except SpecError:
        due = None
    assert due == next(expected, None)


@pytest.mark.parametrize("cron", NEVER_DUE)
def test_an_external_cron_job_whose_two_kinds_of_days_never_meet_is_refused(
    scheduler: Scheduler, redis_connection: Redis, cron: str
):
    with pytest.raises(SpecError, match=re.escape(f"“{cron}” is never due: no day matches")):
        scheduler.cron(cron, functions.echo)
    assert redis_connection.keys("rq:*") == []


@pytest.mark.parametrize(
    "cron",
    [
        "0 0 30 2 MON *",
        "0 0 0 30 2 MON *",
        "0 0 30 2 ? *",
        "61 0 * * * *",
        "0  0 32 * *",
        "0 0 * MON",
        "x * * * * * *",
    ],
)
def test_the_refusal_of_an_external_cron_job_quotes_what_the_caller_wrote(
    scheduler: Scheduler, cron: str
):
    with pytest.raises(SpecError, match=f"^“{re.escape(cron)}” "):
        scheduler.cron(cron, functions.echo)


def test_an_external_cron_job_at_a_time_that_the_clock_always_skips_is_refused(
    scheduler: Scheduler, settings: Any
):
    settings.TIME_ZONE = "Europe/Rome"
    with pytest.raises(SpecError, match="is never due: the clocks skip it"):
        scheduler.cron("* 2 * 3 0L", functions.echo, use_local_timezone=True)


def test_an_external_cron_job_with_a_year_is_refused(scheduler: Scheduler, redis_connection: Redis):
    with pytest.raises(SpecError, match="year"):
        scheduler.cron("30 6 * * * 2030", functions.echo)
    assert not redis_connection.exists(SCHEDULES_KEY)


def test_an_external_cron_job_that_is_never_due_is_refused(
    scheduler: Scheduler, redis_connection: Redis
):
    with pytest.raises(SpecError):
        scheduler.cron("0 0 30 2 *", functions.echo)
    assert redis_connection.keys("rq:*") == []


def test_the_template_of_a_schedule_is_not_enqueued_itself(
    scheduler: Scheduler, redis_connection: Redis, put: MakeSchedule
):
    template = Job.fetch(put(first=ago(5)).job_id, connection=redis_connection)
    with pytest.raises(NotPossible):
        scheduler.enqueue_job(template)
    assert queued(redis_connection) == []


def test_only_external_jobs_are_listed_as_such(
    scheduler: Scheduler, redis_connection: Redis, put: MakeSchedule, job: Job
):
    put()
    redis_connection.zadd(SCHEDULES_KEY, {b"\xff": 1})
    before = redis_connection.zrange(SCHEDULES_KEY, 0, -1, withscores=True)
    shown = {one.name: one.function for one in external_jobs.scheduled(redis_connection)}
    assert shown == {job.id: functions.ECHO, "\\xff": ""}
    assert redis_connection.zrange(SCHEDULES_KEY, 0, -1, withscores=True) == before


def test_the_quarantine_survives_reconciliation(scheduler: Scheduler, redis_connection: Redis):
    redis_connection.zadd(SCHEDULES_KEY, {b"\xff\xfe": 1})
    scheduler.enqueue_jobs()
    reconcile(redis_connection)
    [kept] = external_jobs.quarantined(redis_connection)
    assert (kept.member, kept.due) == (b"\xff\xfe", datetime.fromtimestamp(1, UTC))
