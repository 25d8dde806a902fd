"""The latest runs of many schedules at once, and how the last week of each went."""

from typing import Any

import pytest
from django.db.models import F

from tasks.ledger.summaries import summarise
from tasks.models import ScheduledTask
from tasks.reports.strips import strips
from tasks.reports.weeks import with_week
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db


def test_a_strip_has_the_newest_runs_of_its_schedule_newest_first():
    busy, quiet, never = make_row(), make_row(), make_row()
    runs = [make_run(schedule) for _ in range(4) for schedule in (busy, quiet)]
    found = strips([busy.pk, quiet.pk, never.pk], length=3)
    assert [run.pk for run in found[busy.pk]] == [runs[6].pk, runs[4].pk, runs[2].pk]
    assert [run.pk for run in found[quiet.pk]] == [runs[7].pk, runs[5].pk, runs[3].pk]
    assert found[never.pk] == []


def test_a_strip_says_whether_and_how_late_a_run_started_as_its_record_does():
    schedule = make_row()
    make_run(schedule, due=ago(200), started=ago(158))
    make_run(schedule, due=ago(100), status="missed")
    make_run(schedule, requested=ago(50), started=ago(20))
    runs = schedule.runs.order_by("-pk")
    found = [(run.has_started, run.lateness) for run in strips([schedule.pk])[schedule.pk]]
    assert found == [(run.started is not None, run.lateness) for run in runs]
    assert found[-1][1] is not None


def test_the_strips_of_a_page_take_one_query(django_assert_num_queries: Any):
    schedules = [make_row() for _ in range(20)]
    for schedule in schedules:
        for _ in range(3):
            make_run(schedule, status="failed", reason_code="lost_exit")
    with django_assert_num_queries(1):
        found = strips([schedule.pk for schedule in schedules])
    assert {(len(runs), runs[0].status) for runs in found.values()} == {(3, "failed")}
    assert found[schedules[0].pk][0].lateness == schedules[0].runs.first().lateness
    assert strips([]) == {}


def test_schedules_are_sorted_by_how_their_week_went_in_one_query(django_assert_num_queries: Any):
    fast, slow, never = make_row(), make_row(), make_row()
    make_run(fast, due=ago(100), started=ago(100), ended=ago(99))
    make_run(slow, due=ago(100), started=ago(100), ended=ago(10))
    make_run(slow, due=ago(200), started=ago(200), status="failed")
    summarise()
    with django_assert_num_queries(1):
        slowest_first = F("week_p95").desc(nulls_last=True)
        rows: list[Any] = list(with_week(ScheduledTask.objects.all()).order_by(slowest_first))
    assert rows == [slow, fast, never]
    assert [row.week_success for row in rows] == [0.5, 1.0, None]
    assert [row.week_failed for row in rows] == [1, 0, None]
