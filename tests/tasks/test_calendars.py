"""Calendars, excluded dates and jitter, from the row to the queue."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from redis import Redis

from tasks import history
from tasks.admin_pages.history import line_of
from tasks.broker import projection
from tasks.broker.connection import connect
from tasks.broker.keys import DISPATCH_RECORDS_KEY
from tasks.broker.reconcile import reconcile
from tasks.exceptions import InvalidCalendar, InvalidSchedule
from tasks.ledger.audit import tallies
from tasks.ledger.settling import settle
from tasks.models import Calendar, ScheduledTask
from tasks.runs.lost import Watch
from tasks.scheduler import Scheduler
from tasks.services import CalendarService, SchedulerService
from tasks.timing import spec
from tasks.timing.instants import to_milliseconds
from tests.tasks.functions import ECHO, in_threads, perform
from tests.tasks.in_redis import due_in_redis
from tests.tasks.schedules import ago, make_row

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
TODAY = timezone.now().date()
MIDNIGHT = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
TOMORROW, AFTER = TODAY + DAY, TODAY + 2 * DAY


def daily(**values: Any) -> ScheduledTask:
    """Schedule something for each midnight from tomorrow on."""
    return SchedulerService.schedule(MIDNIGHT + DAY, ECHO, interval=86_400, **values)


# Excluded dates


@pytest.mark.parametrize(
    "exclude",
    [[TOMORROW, AFTER], [f"{TOMORROW}..{AFTER}"], f"{AFTER}, {TOMORROW}", iter([AFTER, TOMORROW])],
    ids=["dates", "range", "text", "iterator"],
)
def test_nothing_is_due_on_an_excluded_date(redis_connection: Redis, exclude: Any):
    schedule = daily(exclude=exclude)
    assert schedule.next_due(timezone.now()) == MIDNIGHT + 3 * DAY
    assert due_in_redis(redis_connection, schedule) == MIDNIGHT + 3 * DAY


def test_an_occurrence_on_an_excluded_date_has_no_row_and_is_not_dispatched(
    redis_connection: Redis, scheduler: Scheduler
):
    schedule = make_row(first=ago(5), settled_through=ago(6), exclude=f"{ago(5):%Y-%m-%d}")
    reconcile(redis_connection)
    settle(redis_connection, Watch())
    assert scheduler.enqueue_jobs() == []
    assert not schedule.runs.exists()


def test_excluded_dates_are_in_the_projects_time_zone_unless_another_is_given(
    settings: LazySettings,
):
    settings.TIME_ZONE = "Asia/Seoul"
    assert daily(exclude=[AFTER]).timezone == "Asia/Seoul"
    assert daily(exclude=[AFTER], timezone="Europe/Rome").timezone == "Europe/Rome"


@pytest.mark.parametrize(
    "exclude",
    [
        "christmas",
        ["christmas"],
        [5],
        5,
        [MIDNIGHT],
        [None],
        "2026-12-26..2026-12-24",
        "x" * 10_000,
    ],
    ids=lambda value: str(value)[:30],
)
def test_invalid_excluded_dates_are_refused(exclude: Any):
    with pytest.raises(InvalidSchedule) as caught:
        daily(exclude=exclude)
    assert list(caught.value.errors) == ["exclude"]
    assert len(str(caught.value)) < 500
    assert not ScheduledTask.objects.exists()


def test_a_schedule_of_excluded_dates_only_is_refused():
    with pytest.raises(InvalidSchedule, match="Nothing would ever be due") as caught:
        SchedulerService.schedule(MIDNIGHT + DAY, ECHO, exclude=[TOMORROW])
    assert list(caught.value.errors) == ["exclude"]


def test_the_time_zone_of_an_interval_matters_only_with_excluded_dates():
    plain = daily(timezone="Asia/Seoul")
    assert plain.spec() == spec.Spec(first=plain.first, interval=86_400)
    assert daily(timezone="Asia/Seoul", exclude=[AFTER]).spec().timezone == "Asia/Seoul"
    with pytest.raises(InvalidSchedule, match="Mars/Base"):
        daily(timezone="Mars/Base")


# Jitter


def test_a_schedule_keeps_the_offset_that_its_jitter_gives_it(redis_connection: Redis):
    schedule = daily(jitter=3600)
    offset = schedule.next_due(timezone.now()) - (MIDNIGHT + DAY)
    assert timedelta(0) <= offset < timedelta(hours=1)
    assert offset == timedelta(milliseconds=spec.jitter_offset(schedule.job_id, 3600))
    assert due_in_redis(redis_connection, schedule) == MIDNIGHT + DAY + offset
    assert daily(jitter=3600).next_due(timezone.now()) == MIDNIGHT + DAY + offset


def test_jitter_spreads_schedules_of_the_same_time():
    schedules = [daily(name=str(number), jitter=86_400) for number in range(5)]
    assert len({schedule.next_due(timezone.now()) for schedule in schedules}) == 5


@pytest.mark.parametrize("jitter", [0, -1, 86_401, 1e30, float("nan"), "60", True])
def test_an_invalid_jitter_is_refused(jitter: Any):
    with pytest.raises(InvalidSchedule) as caught:
        SchedulerService.cron("@daily", ECHO, jitter=jitter)
    assert list(caught.value.errors) == ["jitter"]


def test_a_jitter_longer_than_the_interval_is_refused():
    with pytest.raises(InvalidSchedule, match="longer than the interval"):
        SchedulerService.schedule(MIDNIGHT, ECHO, interval=60, jitter=61)


def test_a_first_time_that_has_passed_is_expected_at_its_jitter_offset(scheduler: Scheduler):
    schedule = SchedulerService.schedule(ago(2 * 86_400), ECHO, jitter=86_400)
    [job_id] = scheduler.enqueue_jobs()
    due = schedule.first + timedelta(milliseconds=spec.jitter_offset(schedule.job_id, 86_400))
    assert job_id.endswith(f"-{to_milliseconds(due)}")


# Calendars


def test_a_schedule_leaves_out_the_dates_of_its_calendar(redis_connection: Redis):
    calendar = CalendarService.define("Holidays", [TOMORROW])
    schedule = daily(calendar="Holidays", exclude=[AFTER])
    assert schedule.calendar == calendar
    assert due_in_redis(redis_connection, schedule) == MIDNIGHT + 3 * DAY
    assert daily(calendar=calendar).next_due(timezone.now()) == MIDNIGHT + 2 * DAY


@pytest.mark.parametrize("calendar", ["Nowhere", Calendar(name="unsaved"), "x" * 10_000])
def test_a_schedule_with_an_unknown_calendar_is_refused_with_the_known_ones(calendar: Any):
    CalendarService.define("Holidays", [])
    with pytest.raises(InvalidSchedule, match="The calendars are: Holidays") as caught:
        daily(calendar=calendar)
    assert list(caught.value.errors) == ["calendar"]
    assert len(str(caught.value)) < 500


def test_a_calendar_keeps_its_dates_in_order():
    CalendarService.define("Holidays", "2026-12-26\r\n2026-12-24, 2026-01-01..2026-01-06")
    stored = Calendar.objects.get()
    assert stored.dates == "2026-01-01..2026-01-06\n2026-12-24\n2026-12-26"


def test_defining_a_calendar_again_changes_it(redis_connection: Redis):
    CalendarService.define("Holidays", [AFTER], "of one country")
    schedule = daily(calendar="Holidays")
    CalendarService.define("Holidays", [date(2030, 1, 1), TOMORROW])
    calendar = Calendar.objects.get()
    assert (calendar.dates, calendar.description) == (f"{TOMORROW}\n2030-01-01", "")
    assert due_in_redis(redis_connection, schedule) == MIDNIGHT + 2 * DAY


def test_concurrent_definitions_of_a_calendar_make_one():
    results = in_threads(*[lambda: CalendarService.define("Holidays", [TOMORROW])] * 4)
    assert {calendar.pk for calendar in results} == {Calendar.objects.get().pk}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 201}),
        ("dates", {"dates": "christmas"}),
        ("dates", {"dates": [5]}),
        ("dates", {"dates": "2026-12-24\n" * 10_000}),
        ("dates", {"dates": [date(2026, 1, 1) + number * DAY for number in range(1_001)]}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_invalid_calendar_is_refused(field: str, values: dict[str, Any]):
    with pytest.raises(InvalidCalendar) as caught:
        CalendarService.define(**{"name": "Holidays", "dates": []} | values)
    assert list(caught.value.errors) == [field]
    assert not Calendar.objects.exists()


def test_an_edited_calendar_takes_effect_after_the_commit(redis_connection: Redis):
    calendar = CalendarService.define("Holidays", [])
    schedule, other = daily(calendar=calendar), daily(name="other")
    with transaction.atomic():
        calendar.dates = f"{TOMORROW}"
        CalendarService.save(calendar)
        assert due_in_redis(redis_connection, schedule) == MIDNIGHT + DAY
    assert due_in_redis(redis_connection, schedule) == MIDNIGHT + 2 * DAY
    assert due_in_redis(redis_connection, other) == MIDNIGHT + DAY


def test_a_calendar_edit_of_later_dates_leaves_what_waits_on_its_queue(
    redis_connection: Redis, scheduler: Scheduler
):
    calendar = CalendarService.define("Holidays", [])
    schedule = make_row(first=ago(62), interval=60, settled_through=ago(5), calendar=calendar)
    reconcile(redis_connection)
    [job_id] = scheduler.enqueue_jobs()
    CalendarService.define("Holidays", [TODAY + 9 * DAY])
    assert scheduler.enqueue_jobs() == []
    perform(redis_connection, job_id)
    assert schedule.runs.get().status == "finished"


def test_what_an_edited_calendar_excludes_from_the_past_is_missed():
    calendar = CalendarService.define("Holidays", [])
    schedule = make_row(first=ago(100), interval=60, settled_through=ago(101), calendar=calendar)
    CalendarService.define("Holidays", f"{TODAY - DAY}..{TODAY}")
    dues = schedule.runs.filter(status="missed").values_list("due", flat=True)
    assert set(dues) == {schedule.first, schedule.first + timedelta(seconds=60)}
    schedule.refresh_from_db()
    assert schedule.settled_through > ago(10)


@pytest.mark.parametrize("dates", [[], [TODAY], [TODAY - DAY, TODAY], [TODAY + 9 * DAY]], ids=len)
def test_the_ledger_closes_over_a_calendar_edit_of_what_has_run_and_what_has_not(
    redis_connection: Redis, scheduler: Scheduler, dates: list[date]
):
    calendar = CalendarService.define("Holidays", "2020-01-01")
    schedule = make_row(first=ago(185), interval=60, period_start=ago(186), calendar=calendar)
    ScheduledTask.objects.update(
        settled_through=ago(186), next_check_at=ago(-9_999), catch_up="all"
    )
    reconcile(redis_connection)
    job_ids = scheduler.enqueue_jobs()
    assert len(job_ids) == 4
    for job_id in job_ids[:2]:
        perform(redis_connection, job_id)
    settle(redis_connection, Watch())
    CalendarService.define("Holidays", dates)
    settle(redis_connection, Watch())
    for job_id in job_ids[2:]:
        perform(redis_connection, job_id)
    [tally] = tallies([schedule.pk])
    assert (tally.due, tally.outcomes["finished"] >= 2, tally.closes) == (4, True, True)
    schedule.refresh_from_db()
    assert schedule.next_check_at < ago(-9_000)


@pytest.mark.usefixtures("known_owner")
def test_a_calendar_edit_takes_the_same_queries_for_any_number_of_schedules():
    costs: list[int] = []
    for number in (2, 20):
        calendar = CalendarService.define(f"For {number}", [])
        for _ in range(number):
            make_row(first=ago(100), interval=60, settled_through=ago(101), calendar=calendar)
        with CaptureQueriesContext(connection) as queries:
            CalendarService.define(calendar.name, [TODAY - DAY, TODAY])
        assert calendar.schedules.filter(runs__status="missed").distinct().count() == number
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_a_calendar_edit_is_in_the_history_of_each_schedule_that_uses_it():
    calendar = CalendarService.define("Holidays", ["2026-12-24"])
    users = [
        make_row(calendar=calendar),
        make_row(calendar=calendar, status="paused", paused_at=ago(1)),
    ]
    other = make_row()
    with history.made_by("ann"):
        CalendarService.define("Holidays", ["2026-12-25"])
        CalendarService.define("Holidays", ["2026-12-25"], "the same dates")
    for schedule in users:
        [change] = schedule.changes.all()
        line = line_of(change)
        assert (change.by, line.words) == ("ann", "Calendar “Holidays” changed")
        [shown] = line.differences
        assert (shown.label, shown.old, shown.new) == ("Excluded dates", "2026-12-24", "2026-12-25")
        assert not line.can_be_put_back
    assert not other.changes.exists()


def test_of_very_many_dates_the_history_keeps_the_first():
    dates = "\n".join(f"2026-12-{day:02}" for day in range(1, 30))
    assert len(history.only_in(dates, "")) == history.DATES_LENGTH
    assert history.only_in(dates, dates) == ""


def test_a_calendar_edit_settles_what_each_schedule_expected_and_keeps_its_rows():
    calendar = CalendarService.define("Holidays", [])
    unsettled = make_row(first=ago(100), interval=60, settled_through=ago(101), calendar=calendar)
    half = make_row(first=ago(100), interval=60, settled_through=ago(101), calendar=calendar)
    other = make_row(first=half.first, interval=40, settled_through=ago(50), calendar=calendar)
    bad = make_row(cron="nonsense", calendar=calendar)
    half.runs.create(
        name=half.name, due=half.first, status="finished", started=ago(9), ended=ago(9)
    )
    ScheduledTask.objects.update(period_start=ago(200), next_check_at=ago(-9_999))
    before = timezone.now()
    CalendarService.define("Holidays", [TODAY - DAY, TODAY])
    for schedule, statuses, kinds in (
        (unsettled, ["missed", "missed"], ["active"]),
        (half, ["finished", "missed"], ["active"]),
        (other, ["missed"], ["active"]),
        (bad, [], []),
    ):
        settled_through = schedule.settled_through
        schedule.refresh_from_db()
        runs = schedule.runs.order_by("due")
        assert [run.status for run in runs] == statuses
        assert [period.kind for period in schedule.periods.all()] == kinds
        assert (schedule.settled_through >= before) is bool(kinds)
        assert (schedule.period_start >= before) is bool(kinds)
        assert schedule.next_check_at >= before
        assert schedule.updated >= before
        assert schedule.settled_through >= settled_through


def test_tallies_take_the_same_queries_for_any_number_of_schedules_with_a_calendar():
    calendar = CalendarService.define("Holidays", [TOMORROW])
    pks = [daily(name=str(number), calendar=calendar).pk for number in range(9)]
    costs = []
    for some in (pks[:2], pks):
        with CaptureQueriesContext(connection) as queries:
            assert all(tally.closes for tally in tallies(some))
        costs.append(len(queries))
    assert costs[0] == costs[1]


def test_an_edited_calendar_brings_back_a_schedule_that_was_never_due_again(
    redis_connection: Redis,
):
    calendar = CalendarService.define("Holidays", f"{TOMORROW}..{AFTER}")
    end = MIDNIGHT + 2 * DAY
    schedule = make_row(first=MIDNIGHT + DAY, interval=86_400, end=end, calendar=calendar)
    reconcile(redis_connection)
    assert due_in_redis(redis_connection, schedule) is None
    CalendarService.define("Holidays", [TOMORROW])
    assert due_in_redis(redis_connection, schedule) == end


def test_after_concurrent_calendar_edits_redis_agrees_with_the_rows(redis_connection: Redis):
    CalendarService.define("Holidays", [])
    schedules = [daily(name=name, calendar="Holidays") for name in "abc"]
    results = in_threads(
        lambda: CalendarService.define("Holidays", [TOMORROW]),
        lambda: CalendarService.define("Holidays", [AFTER]),
        lambda: daily(name="a", calendar="Holidays", jitter=60),
        lambda: SchedulerService.pause(schedules[1]),
        lambda: daily(name="new", calendar="Holidays"),
        lambda: reconcile(connect()),
    )
    assert not [result for result in results if isinstance(result, Exception)]
    for schedule in ScheduledTask.objects.live():
        record = redis_connection.hget(DISPATCH_RECORDS_KEY, schedule.job_id)
        assert record == projection.dispatch_record(schedule).encode()
        assert due_in_redis(redis_connection, schedule) == schedule.next_due(timezone.now())


def test_an_invalid_schedule_does_not_keep_its_calendar_from_changing(
    redis_connection: Redis,
):
    calendar = CalendarService.define("Holidays", [])
    bad = make_row(cron="nonsense", calendar=calendar)
    good = daily(calendar=calendar)
    CalendarService.define("Holidays", [TOMORROW])
    bad.refresh_from_db()
    assert "nonsense" in bad.problem
    assert due_in_redis(redis_connection, good) == MIDNIGHT + 2 * DAY


def test_a_calendar_changed_without_redis_takes_effect_later(
    redis_connection: Redis, redis_unavailable: Any
):
    calendar = CalendarService.define("Holidays", [])
    schedule = daily(calendar=calendar)
    redis_unavailable(True)
    CalendarService.define("Holidays", [TOMORROW])
    redis_unavailable(False)
    assert due_in_redis(redis_connection, schedule) == MIDNIGHT + DAY
    reconcile(redis_connection)
    assert due_in_redis(redis_connection, schedule) == MIDNIGHT + 2 * DAY


def test_a_calendar_in_use_is_not_deleted():
    calendar = CalendarService.define("Holidays", [])
    daily(calendar=calendar)
    with pytest.raises(ProtectedError):
        calendar.delete()


def test_reconciling_takes_the_same_queries_for_any_number_of_schedules_with_a_calendar(
    redis_connection: Redis, django_assert_max_num_queries: Any
):
    calendar = CalendarService.define("Holidays", [TOMORROW])
    for number in range(9):
        daily(name=str(number), calendar=calendar)
    with django_assert_max_num_queries(4):
        reconcile(redis_connection)
