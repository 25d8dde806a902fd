"""The summaries of runs by hour and over 7 days."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import Sum
from redis import Redis

from tasks import clock
from tasks.database import connection, patiently
from tasks.ledger import summaries
from tasks.ledger.histograms import GROWTH, add, percentile
from tasks.ledger.retention import prune
from tasks.ledger.summaries import Summaries, hour_of, summarise
from tasks.models import (
    HourlySummary,
    HourlyTotal,
    ScheduledTask,
    ScheduledTaskInstance,
    SummaryMark,
    WeeklySummary,
)
from tasks.reasons import Code
from tasks.runs import spool
from tests.tasks.schedules import make_row, make_run

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def hours_ago(number: int) -> datetime:
    return hour_of(clock.now()) - number * HOUR


def make(schedule: ScheduledTask, due: datetime, **values: Any) -> ScheduledTaskInstance:
    """Store a run that started on time and took a minute, finished unless `values` differ."""
    values = {"ended": due + MINUTE} | values
    if values.get("status") not in ("missed", "skipped"):
        values = {"started": due} | values
    return make_run(schedule, due=due, **values)


def make_requested(schedule: ScheduledTask, at: datetime) -> ScheduledTaskInstance:
    """Store a manual run that finished."""
    return make_run(schedule, requested=at, started=at, ended=at + MINUTE)


def counts(summary: Any) -> dict[str, int]:
    return {name: number for name in summaries.COUNTS if (number := getattr(summary, name))}


def finished() -> int:
    """Return how many finished runs all hours have."""
    total: int = HourlySummary.objects.aggregate(Sum("finished"))["finished__sum"] or 0
    return total


def test_an_hour_has_what_came_of_its_runs():
    schedule, hour = make_row(), hours_ago(2)
    make(schedule, hour)
    make(schedule, hour + MINUTE, status="failed")
    make(schedule, hour + 2 * MINUTE, status="failed", reason_code=Code.LOST_EXIT)
    make(schedule, hour + 3 * MINUTE, status="missed")
    make(schedule, hour + 4 * MINUTE, status="skipped")
    make(schedule, hour + 5 * MINUTE, status="canceled")
    make(schedule, hour + 6 * MINUTE, status="running", ended=None)
    make(schedule, hour + HOUR)
    summarise()
    first, second = HourlySummary.objects.order_by("hour")
    expected = {"finished": 1, "failed": 2, "lost": 1, "missed": 1, "skipped": 1, "canceled": 1}
    assert (first.hour, counts(first)) == (hour, expected)
    assert (second.hour, counts(second)) == (hour + HOUR, {"finished": 1})


def test_a_manual_run_counts_in_the_hour_in_which_it_was_requested():
    schedule, hour = make_row(), hours_ago(2)
    make_requested(schedule, hour + 59 * MINUTE)
    summarise()
    summary = HourlySummary.objects.get()
    assert (summary.hour, counts(summary)) == (hour, {"finished": 1})


def test_only_the_first_attempts_of_occurrences_are_late():
    schedule, hour = make_row(), hours_ago(2)
    late = {"started": hour + 20 * MINUTE, "ended": hour + 21 * MINUTE}
    make(schedule, hour, **late)
    make(schedule, hour + MINUTE, attempt=2, **late)
    make(schedule, hour + 2 * MINUTE, requested=hour + 19 * MINUTE, **late)
    make(schedule, hour + 20 * MINUTE - summaries.LATE, **late)
    summarise()
    summary = HourlySummary.objects.get()
    assert counts(summary) == {"finished": 4, "late": 1}
    assert summary.longest_lateness == 20 * MINUTE
    assert sum(summary.latenesses.values()) == 2


@pytest.mark.parametrize("seconds", [0.0, 0.004, 0.9, 61.0, 100_000.0])
def test_durations_come_back_to_within_5_percent(seconds: float):
    schedule, hour = make_row(), hours_ago(2)
    length = timedelta(seconds=seconds)
    make(schedule, hour, ended=hour + length)
    summarise()
    found = percentile(HourlySummary.objects.get().durations, 0.5)
    assert abs(found - length) <= max(0.05 * length, timedelta(milliseconds=1.1))


def test_percentiles_of_added_histograms_are_those_of_all_lengths():
    fast, slow = {"10": 94}, {"10": 1, "50": 5}
    both = add(fast, slow)
    assert percentile(both, 0.5) == percentile(both, 0.95) < percentile(both, 0.96)
    assert percentile(both, 0.96) == timedelta(seconds=0.001 * GROWTH**50.5)
    assert percentile({}, 0.5) is None


def test_summarising_again_changes_nothing():
    schedule = make_row()
    for number in range(5):
        make(schedule, hours_ago(3) + number * 20 * MINUTE)
    summarise()
    before = list(HourlySummary.objects.order_by("pk").values())
    SummaryMark.objects.update(through=hours_ago(10))
    summarise()
    assert list(HourlySummary.objects.order_by("pk").values()) == before


def test_a_run_that_ends_late_counts_in_the_hour_of_its_due():
    schedule, hour = make_row(), hours_ago(5)
    make(schedule, hour)
    run = make(schedule, hour + MINUTE, status="running", ended=None)
    summarise()
    assert finished() == 1
    ScheduledTaskInstance.objects.filter(pk=run.pk).update(status="finished", ended=clock.now())
    summarise()
    assert [(one.hour, counts(one)) for one in HourlySummary.objects.all()] == [
        (hour, {"finished": 2})
    ]


def test_a_failed_run_that_finishes_when_it_is_tried_again_counts_once():
    run = make(make_row(), hours_ago(2), status="failed")
    summarise()
    now = clock.now()
    ScheduledTaskInstance.objects.filter(pk=run.pk).update(
        status="finished", attempt=2, started=now, ended=now
    )
    summarise()
    assert counts(HourlySummary.objects.get()) == {"finished": 1}


def test_an_end_that_was_spooled_for_hours_is_counted(redis_connection: Redis):
    schedule = make_row()
    run = make(schedule, hours_ago(5), status="running", ended=None)
    make(schedule, hours_ago(1))
    summarise()
    spool.push(redis_connection, run.run_job_id, "finished", ended=hours_ago(4))
    spool.drain(redis_connection)
    summarise()
    assert finished() == 2


def test_what_was_read_before_the_clock_was_set_back_does_not_hide_what_ends_now():
    schedule = make_row()
    make(schedule, hours_ago(5))
    SummaryMark.objects.create(through=clock.now() + 3 * HOUR)
    make(schedule, clock.now() - SECOND, ended=clock.now())
    summarise()
    assert finished() == 1


def test_a_housekeeper_that_is_killed_at_any_step_loses_nothing_and_counts_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(summaries, "RUNS_AT_ONCE", 4)
    monkeypatch.setattr(summaries, "HOURS_AT_ONCE", 1)
    schedule = make_row()
    for number in range(10):
        make(schedule, hours_ago(10 - number))
    for steps in range(20):
        for _step, _ in zip(Summaries().steps(), range(steps), strict=False):
            pass
    summarise()
    assert finished() == HourlySummary.objects.count() == 10
    assert HourlyTotal.objects.aggregate(Sum("finished"))["finished__sum"] == 10
    assert WeeklySummary.objects.get().finished == 10


def test_a_mark_that_was_moved_back_during_a_round_is_kept(monkeypatch: pytest.MonkeyPatch):
    schedule, late = make_row(), hours_ago(6)
    make(schedule, hours_ago(2))
    steps = Summaries().steps()
    next(steps)
    make(schedule, late)
    SummaryMark.objects.update(through=hours_ago(3))
    SummaryMark.move_back(late)
    for _step in steps:
        pass
    assert SummaryMark.objects.get().through == late
    summarise()
    assert finished() == 2


def test_retention_lowers_nothing():
    schedule = make_row(keep_runs=2, settled_through=clock.now())
    for number in range(6):
        make(schedule, hours_ago(8 - number // 3) + number * MINUTE, status="finished")
    summarise()
    before = list(HourlySummary.objects.order_by("hour").values_list("finished", "durations"))
    prune()
    SummaryMark.objects.update(through=hours_ago(24))
    summarise()
    after = list(HourlySummary.objects.order_by("hour").values_list("finished", "durations"))
    assert schedule.runs.count() == 2
    assert after == before
    assert [number for number, _ in after] == [3, 3]


def test_what_retention_deletes_before_it_was_summarised_is_counted():
    schedule = make_row(keep_runs=1, settled_through=clock.now())
    for number in range(5):
        make(schedule, hours_ago(3) + number * MINUTE)
    prune()
    summarise()
    assert (schedule.runs.count(), finished()) == (1, 5)


def test_a_run_that_ends_after_its_neighbours_were_pruned_is_added_to_them():
    schedule = make_row(keep_runs=1, settled_through=clock.now())
    run = make(schedule, hours_ago(3), status="running", ended=None)
    for number in range(1, 5):
        make(schedule, hours_ago(3) + number * MINUTE)
    prune()
    ScheduledTaskInstance.objects.filter(pk=run.pk).update(status="finished", ended=clock.now())
    summarise()
    prune()
    summarise()
    assert (schedule.runs.count(), finished()) == (1, 5)


def test_manual_runs_that_are_pruned_stay_counted():
    schedule = make_row(keep_runs=1, settled_through=clock.now())
    for number in range(4):
        make_requested(schedule, hours_ago(3) + number * MINUTE)
    summarise()
    prune()
    SummaryMark.objects.update(through=hours_ago(24))
    summarise()
    assert (schedule.runs.count(), finished()) == (1, 4)


def test_what_was_pruned_is_plain_json():
    schedule = make_row(keep_runs=1, settled_through=clock.now())
    for number in range(3):
        make(schedule, hours_ago(3) + number * MINUTE)
    prune()
    pruned = HourlySummary.objects.get().pruned
    assert json.loads(json.dumps(pruned))["counts"]["finished"] == 2


def test_the_week_of_a_schedule_is_the_sum_of_its_hours():
    schedule = make_row()
    for number in range(18):
        make(schedule, hours_ago(number + 1))
    make(schedule, hours_ago(30), status="failed")
    make(schedule, hours_ago(31), status="missed")
    make(schedule, hours_ago(8 * 24), status="failed")
    summarise()
    week = WeeklySummary.objects.get()
    assert counts(week) == {"finished": 18, "failed": 1, "missed": 1}
    assert week.success == pytest.approx(0.9)
    assert abs(week.p50 - MINUTE) < 0.05 * MINUTE


def test_a_week_ends_with_the_hours_although_nothing_has_run(monkeypatch: pytest.MonkeyPatch):
    schedule = make_row()
    make(schedule, hours_ago(7 * 24 - 1))
    keeper = Summaries()
    for _step in keeper.steps():
        pass
    assert WeeklySummary.objects.filter(schedule=schedule).exists()
    later = clock.now() + 2 * HOUR
    monkeypatch.setattr(clock, "now", lambda: later)
    keeper._next_round = 0.0
    for _step in keeper.steps():
        pass
    assert not WeeklySummary.objects.exists()


def test_a_total_is_the_sum_of_all_schedules():
    hour = hours_ago(2)
    for _ in range(3):
        make(make_row(), hour, started=hour + MINUTE, ended=hour + 2 * MINUTE)
    summarise()
    total = HourlyTotal.objects.get()
    assert (total.hour, counts(total)) == (hour, {"finished": 3, "late": 3})
    assert sum(total.latenesses.values()) == 3


def test_hours_are_kept_for_two_weeks(monkeypatch: pytest.MonkeyPatch):
    schedule = make_row()
    make(schedule, hours_ago(13 * 24))
    make(schedule, hours_ago(15 * 24), ended=clock.now())
    summarise()
    assert HourlySummary.objects.count() == HourlyTotal.objects.count() == 1
    later = clock.now() + timedelta(days=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    summarise()
    assert not HourlySummary.objects.exists()
    assert not HourlyTotal.objects.exists()


def test_rounds_follow_each_other_after_a_while(monkeypatch: pytest.MonkeyPatch):
    keeper, schedule = Summaries(), make_row()
    for _step in keeper.steps():
        pass
    make(schedule, hours_ago(1))
    for _step in keeper.steps():
        pass
    assert finished() == 0
    keeper._next_round = 0.0
    for _step in keeper.steps():
        pass
    assert finished() == 1


def test_a_schedule_is_deleted_with_its_summaries():
    schedule = make_row()
    make(schedule, hours_ago(1))
    summarise()
    schedule.delete()
    assert not HourlySummary.objects.exists()
    assert not WeeklySummary.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_housekeepers_and_retention_at_once_count_every_run_once(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(summaries, "RUNS_AT_ONCE", 7)
    monkeypatch.setattr(summaries, "HOURS_AT_ONCE", 3)
    schedule = make_row(keep_runs=10, settled_through=clock.now())
    for number in range(120):
        make(schedule, hours_ago(10) + number * 5 * MINUTE)

    def keep_house() -> None:
        try:
            for _ in range(3):
                SummaryMark.move_back(hours_ago(12))
                summarise()
                patiently(prune)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(keep_house) for _ in range(2)]:
            future.result()
    SummaryMark.move_back(hours_ago(12))
    summarise()
    assert schedule.runs.count() == 10
    assert finished() == 120
