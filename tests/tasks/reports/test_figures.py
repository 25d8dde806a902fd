"""The figures of the last 24 hours, and the heatmap of 7 days."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tasks import clock
from tasks.ledger.summaries import hour_of, summarise
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.reports.figures import Figure, day_figures
from tasks.reports.heatmap import heatmap
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOW = datetime.fromisoformat("2026-10-24T20:30:00Z")


@pytest.fixture(autouse=True)
def half_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be half past eight in the evening."""
    monkeypatch.setattr(clock, "now", lambda: NOW)


def make(schedule: ScheduledTask, due: datetime, **values: Any) -> ScheduledTaskInstance:
    if values.get("status") != "missed":
        values = {"started": due} | values
    return make_run(schedule, due=due, **{"ended": due + MINUTE} | values)


def test_the_figures_count_this_hour_and_the_23_before():
    schedule = make_row()
    first = hour_of(NOW) - 23 * HOUR
    make(schedule, first)
    make(schedule, first - MINUTE)
    make(schedule, NOW - MINUTE, status="failed")
    make(schedule, NOW - 2 * MINUTE, status="missed")
    summarise()
    figures = day_figures(ScheduledTask.objects.all())
    assert figures.since == first
    assert (figures.runs.now, figures.finished.now, figures.failed.now) == (2, 1, 1)
    assert figures.missed == Figure(1, 0)


def test_of_the_hour_of_yesterday_as_much_counts_as_has_passed_of_this_one():
    schedule = make_row()
    yesterday = hour_of(NOW) - 24 * HOUR
    for number in range(10):
        make(schedule, yesterday + number * MINUTE)
    make(schedule, yesterday - 23 * HOUR)
    make(schedule, yesterday - 24 * HOUR)
    summarise()
    figures = day_figures(ScheduledTask.objects.all())
    assert figures.runs == Figure(0, 6)
    assert (figures.runs.change, figures.runs.percent) == (-6, -100)
    assert figures.failed.percent is None


def test_the_figures_have_the_lateness_of_the_last_day():
    schedule = make_row()
    for number in range(20):
        due = NOW - HOUR + number * MINUTE
        late = 50 * MINUTE if number == 19 else timedelta(seconds=1)
        make(schedule, due, started=due + late, ended=due + late)
    summarise()
    figures = day_figures(ScheduledTask.objects.all())
    assert figures.late.now == 1
    assert abs(figures.median_lateness - timedelta(seconds=1)) < timedelta(seconds=0.06)
    assert abs(figures.p95_lateness - timedelta(seconds=1)) < timedelta(seconds=0.06)
    assert figures.longest_lateness == 50 * MINUTE


@pytest.mark.parametrize("is_limited", [False, True])
def test_the_figures_are_of_the_schedules_that_their_reader_sees(
    is_limited: bool, django_assert_num_queries: Any
):
    mine, other = make_row(), make_row()
    for schedule in (mine, other):
        make(schedule, NOW - MINUTE, started=NOW)
    summarise()
    schedules = ScheduledTask.objects.filter(pk=mine.pk) if is_limited else ScheduledTask.objects
    with django_assert_num_queries(2):
        figures = day_figures(schedules.all())
    assert figures.runs.now == figures.late.now == (1 if is_limited else 2)


def test_without_any_runs_the_figures_are_nothing():
    figures = day_figures(ScheduledTask.objects.all())
    assert (figures.runs, figures.median_lateness) == (Figure(0, 0), None)


def test_the_heatmap_has_the_hours_of_the_worst_schedules_first(django_assert_num_queries: Any):
    fine, late, failing, _never = (make_row() for _ in range(4))
    for schedule in (fine, late, failing):
        make(schedule, NOW - 5 * HOUR)
    make(late, NOW - 4 * HOUR, started=NOW - 3 * HOUR)
    make(failing, NOW - 4 * HOUR, status="failed")
    make(failing, NOW - 4 * HOUR + MINUTE, status="missed")
    make(fine, NOW - timedelta(days=8))
    summarise()
    with django_assert_num_queries(3):
        shown = heatmap(ScheduledTask.objects.all())
    assert [row.schedule_pk for row in shown.rows] == [failing.pk, late.pk, fine.pk]
    assert shown.total == 3
    assert (len(shown.hours), shown.hours[-1]) == (168, hour_of(NOW))
    worst = shown.rows[0]
    assert (worst.failed, worst.missed, shown.rows[1].late) == (1, 1, 1)
    assert set(worst.cells) == {hour_of(NOW) - 5 * HOUR, hour_of(NOW) - 4 * HOUR}
    assert worst.cells[hour_of(NOW) - 4 * HOUR].failed == 1


def test_the_heatmap_has_pages():
    schedules = [make_row() for _ in range(3)]
    for schedule in schedules:
        make(schedule, NOW - HOUR)
    summarise()
    everything = ScheduledTask.objects.all()
    pages = [heatmap(everything, page, per_page=2) for page in (1, 2, 3)]
    assert [len(page.rows) for page in pages] == [2, 1, 0]
    assert {row.schedule_pk for page in pages for row in page.rows} == {one.pk for one in schedules}
