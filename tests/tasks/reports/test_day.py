"""The ledger of a day: each due time is accounted for, whatever became of it."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from tasks import clock
from tasks.models import ScheduledTask, SchedulePeriod
from tasks.reports.day import Entry, Window, account, window_of
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 10, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = date(2026, 10, 20)


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Let it be noon, half an hour after the last due."""
    fake = SimpleNamespace(now=NOON + HOUR / 2)
    monkeypatch.setattr(clock, "now", lambda: fake.now)
    return fake


def hourly(**values: object) -> ScheduledTask:
    """Store a schedule that is due every full hour, and is accounted for until noon."""
    before = NOON - 48 * HOUR
    return make_row(
        **{"first": before, "period_start": before - HOUR, "settled_through": NOON} | values
    )


def of_day(schedule: ScheduledTask, day: date = DAY) -> list[Entry]:
    schedule.refresh_from_db()
    return account(schedule, window_of(schedule, day, None, ZoneInfo("UTC")))


def states(entries: list[Entry]) -> Counter[str]:
    return Counter(str(entry.state) for entry in entries)


def test_each_due_of_a_day_has_what_became_of_it():
    schedule = hourly()
    for hours, status in ((12, "finished"), (3, "failed"), (2, "missed"), (1, "skipped")):
        make_run(schedule, due=NOON - hours * HOUR, status=status)
    make_run(schedule, due=NOON, status="running")
    schedule.requests.create(due=NOON - 4 * HOUR, requested=NOON)
    counts = states(of_day(schedule))
    assert counts.total() == 24
    assert counts == {
        "finished": 1,
        "failed": 1,
        "missed": 1,
        "skipped": 1,
        "running": 1,
        "waiting": 1,
        "missing": 7,
        "to_come": 11,
    }


def test_what_was_due_and_is_not_settled_yet_waits():
    schedule = hourly(settled_through=NOON - HOUR)
    [entry] = [entry for entry in of_day(schedule) if entry.at == NOON]
    assert entry.state == "waiting"


def test_what_retention_has_deleted_is_not_missing():
    schedule = hourly(pruned_until=NOON - HOUR)
    assert states(of_day(schedule)) == {"deleted": 12, "missing": 1, "to_come": 11}


def test_a_pause_is_one_entry_in_which_nothing_was_due():
    schedule = hourly(period_start=NOON - 5 * HOUR)
    begin, end = NOON - 8 * HOUR, NOON - 5 * HOUR
    kind = SchedulePeriod.Kind
    schedule.periods.create(kind=kind.PAUSED, start=begin, end=end, note="why")
    entries = of_day(schedule)
    assert [(one.at, one.until, one.note) for one in entries if one.until] == [(begin, end, "why")]
    assert min(one.at for one in entries if not one.until) == end + HOUR


def test_a_schedule_that_is_paused_now_expects_nothing_to_come():
    schedule = hourly(status="paused", paused_at=NOON, period_start=NOON, note="until Monday")
    entries = of_day(schedule)
    assert [(one.state, one.until, one.note) for one in entries] == [
        ("paused", NOON + 12 * HOUR, "until Monday")
    ]


def test_earlier_specs_count_in_their_periods():
    schedule = hourly(period_start=NOON)
    spec = make_row(first=NOON - 24 * HOUR, interval=7_200).spec_json()
    kind = SchedulePeriod.Kind.ACTIVE
    schedule.periods.create(kind=kind, start=NOON - 12 * HOUR, end=NOON, spec=spec)
    assert states(of_day(schedule)) == {"missing": 6, "to_come": 11}


def test_the_day_on_which_the_clocks_go_back_has_25_hours():
    schedule = hourly()
    window = window_of(schedule, date(2026, 10, 25), None, BERLIN)
    assert len(account(schedule, window)) == 25


def test_a_schedule_that_is_due_every_second_is_shown_by_the_hour():
    schedule = hourly(interval=1)
    window = window_of(schedule, DAY, 12, ZoneInfo("UTC"))
    assert window == Window(NOON, NOON + HOUR, DAY, 12)
    assert len(account(schedule, window)) == 3_600


def first_window(schedule: ScheduledTask) -> Window:
    schedule.refresh_from_db()
    return window_of(schedule, DAY, None, ZoneInfo("UTC"))


def test_a_day_shown_by_the_hour_begins_with_the_first_that_has_a_due():
    schedule = hourly(interval=1, period_start=NOON - 2 * HOUR)
    assert first_window(schedule).hour == 10
    make_run(schedule, due=NOON - 5 * HOUR / 2, status="finished")
    assert first_window(schedule).hour == 9
    kind = SchedulePeriod.Kind.ACTIVE
    start, spec = NOON - 8 * HOUR, schedule.spec_json()
    schedule.periods.create(kind=kind, start=start, end=NOON - 2 * HOUR, spec=spec)
    assert first_window(schedule).hour == 4


def test_a_day_on_which_nothing_was_due_is_shown_as_a_whole_however_often_it_is_due_since():
    schedule = hourly(interval=1, period_start=NOON + 24 * HOUR)
    assert first_window(schedule).hour is None


def test_the_last_hour_of_a_day_may_be_half_a_one():
    # Its clocks go back by half an hour.
    zone = ZoneInfo("Australia/Lord_Howe")
    schedule = hourly(interval=1)
    window = window_of(schedule, date(2027, 4, 4), 99, zone)
    assert (window.hour, window.end - window.begin) == (24, HOUR / 2)


def test_an_invalid_spec_expects_nothing_and_keeps_its_rows():
    schedule = hourly()
    make_run(schedule, due=NOON, status="finished")
    ScheduledTask.objects.update(timezone="Nowhere/At_all", exclude="2026-01-01")
    assert states(of_day(schedule)) == {"finished": 1}
