"""The timeline: lanes, and bars of runs that lie close."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tasks import clock
from tasks.ledger.retention import prune
from tasks.ledger.summaries import summarise
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reports.timeline import Bar, Lane, fold, timeline
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db

NOW = datetime.fromisoformat("2026-10-24T20:30:00Z")
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
BEGIN = NOW - HOUR


@pytest.fixture(autouse=True)
def half_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be half past eight in the evening."""
    monkeypatch.setattr(clock, "now", lambda: NOW)


def make(schedule: ScheduledTask, due: datetime, **values: Any) -> ScheduledTaskInstance:
    if values.get("status") not in ("missed", "skipped"):
        values = {"started": due} | values
    return make_run(schedule, due=due, **{"ended": due + 10 * SECOND} | values)


def lane_of(schedule: ScheduledTask, begin: datetime = BEGIN, end: datetime = NOW) -> Lane:
    [lane] = timeline(ScheduledTask.objects.filter(pk=schedule.pk), begin, end).lanes
    return lane


def bar(minute: float, seconds: float = 10, **values: Any) -> Bar:
    start = BEGIN + minute * MINUTE
    defaults: dict[str, Any] = {"state": "finished", "number": 1, "late_since": None, "run_pk": 1}
    return Bar(start=start, end=start + seconds * SECOND, **{**defaults, **values})


def test_neighbours_that_finished_in_time_become_one_bar():
    [one] = fold([bar(3), bar(1), bar(2, run_pk=2)], near=MINUTE)
    assert (one.start, one.end, one.number) == (bar(1).start, bar(3).end, 3)


def test_bars_that_are_not_near_stay_apart():
    assert len(fold([bar(1), bar(5)], near=MINUTE)) == 2


def test_exceptions_never_become_one_with_others_and_are_drawn_last():
    late = bar(2, late_since=BEGIN)
    bars = fold([bar(1), bar(1.5, state="failed"), late, bar(1.8), bar(1.9)], near=MINUTE)
    assert [(one.state, one.number) for one in bars] == [
        ("finished", 3),
        ("failed", 1),
        ("finished", 1),
    ]
    assert bars[-1] == late


def test_a_long_run_is_not_shortened_by_a_short_one_inside_it():
    [one] = fold([bar(1, 600), bar(2, 1)], near=MINUTE)
    assert one.end == bar(1, 600).end


def test_each_end_has_its_bar():
    schedule = make_row()
    failed = make(schedule, NOW - 50 * MINUTE, status="failed")
    make(schedule, NOW - 40 * MINUTE, status="missed")
    make(schedule, NOW - 30 * MINUTE, status="skipped")
    late = make(schedule, NOW - 20 * MINUTE, started=NOW - 15 * MINUTE, ended=NOW - 14 * MINUTE)
    running = make(schedule, NOW - 5 * MINUTE, status="running", ended=None)
    make(schedule, NOW - 3 * HOUR)
    bars = {one.state: one for one in lane_of(schedule).bars}
    assert set(bars) == {"failed", "missed", "skipped", "finished", "running"}
    assert (bars["failed"].run_pk, bars["failed"].start) == (failed.pk, failed.started)
    assert bars["missed"].start == bars["missed"].end == NOW - 40 * MINUTE
    assert (bars["finished"].late_since, bars["finished"].run_pk) == (late.due, late.pk)
    assert (bars["running"].start, bars["running"].end) == (running.started, NOW)
    assert lane_of(schedule).counts["late"] == 1


def test_a_run_that_began_before_the_window_is_drawn_in_it():
    schedule = make_row()
    make(schedule, NOW - 3 * HOUR, ended=NOW - 30 * MINUTE)
    make(schedule, NOW - 9 * HOUR, status="running", ended=None)
    assert {one.state for one in lane_of(schedule).bars} == {"finished", "running"}


def test_manual_runs_have_bars_too():
    schedule = make_row()
    at = NOW - 30 * MINUTE
    make_run(schedule, requested=at, started=at, ended=at + MINUTE)
    [one] = lane_of(schedule).bars
    assert (one.start, one.late_since) == (at, None)


def test_however_much_runs_the_number_of_bars_is_bounded(django_assert_num_queries: Any):
    schedule = make_row()
    for number in range(400):
        status = "failed" if number % 2 else "finished"
        make(schedule, NOW - HOUR + number * 9 * SECOND, status=status)
    with django_assert_num_queries(4):
        shown = timeline(ScheduledTask.objects.all(), BEGIN, NOW, width=90)
    [lane] = shown.lanes
    assert lane.counts == {"finished": 200, "failed": 200}
    assert len(lane.bars) <= 2 * 31


def test_what_retention_has_deleted_is_drawn_by_the_hour():
    schedule = make_row(keep_runs=1, settled_through=NOW)
    for number in range(5):
        status = "failed" if number == 2 else "finished"
        make(schedule, NOW - 3 * HOUR + number * MINUTE, status=status)
    make(schedule, NOW - MINUTE)
    summarise()
    prune()
    lane = lane_of(schedule, NOW - 6 * HOUR)
    assert lane.counts == {"finished": 5, "failed": 1}
    deleted = next(one for one in lane.bars if one.state == "failed")
    assert (deleted.run_pk, deleted.end - deleted.start) == (None, HOUR)


def test_failing_schedules_come_first_and_then_the_busiest():
    quiet, busy = make_row(), make_row()
    failing, ended = make_row(status="failed"), make_row(status="death")
    make(quiet, NOW - 10 * MINUTE)
    for number in range(3):
        make(busy, NOW - number * 5 * MINUTE)
    make(failing, NOW - 10 * MINUTE, status="failed")
    summarise()
    first = timeline(ScheduledTask.objects.all(), BEGIN, NOW, per_page=2)
    second = timeline(ScheduledTask.objects.all(), BEGIN, NOW, page=2, per_page=2)
    order = [lane.schedule_pk for lane in (*first.lanes, *second.lanes)]
    assert order == [failing.pk, busy.pk, quiet.pk]
    assert ended.pk not in order
    assert first.total == 3
