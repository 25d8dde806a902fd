"""The strip: the latest runs of a schedule as bars."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.utils import timezone

from tasks.admin_pages.strips import BARS, Strips
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tests.tasks.pages import page_of
from tests.tasks.schedules import ago, make_run

pytestmark = pytest.mark.django_db


def strip(runs: list[ScheduledTaskInstance]) -> str:
    return Strips().draw(runs)


def runs_of(schedule: ScheduledTask, *statuses: str) -> list[ScheduledTaskInstance]:
    """Store a run of each status, and return them newest first."""
    for place, status in enumerate(statuses):
        make_run(
            schedule, status=status, due=ago(1000 - place), started=ago(1000 - place)
        ) if status not in ("missed", "skipped") else make_run(
            schedule, status=status, due=ago(1000 - place)
        )
    return list(schedule.runs.order_by("-id"))


def test_the_oldest_run_is_at_the_left_and_each_is_a_link(schedule: ScheduledTask):
    runs = runs_of(schedule, "failed", "finished")
    links = re.findall(r'<a href="([^"]+)"', strip(runs))
    assert links == [page_of(run) for run in reversed(runs)]


def test_all_bars_are_one_stop_of_the_tab_key(schedule: ScheduledTask):
    shown = strip(runs_of(schedule, "finished", "failed", "skipped"))
    assert re.findall(r'tabindex="(-?\d)"', shown) == ["-1", "-1", "0"]


def test_the_label_counts_the_runs_by_how_they_ended(schedule: ScheduledTask):
    runs = runs_of(schedule, "finished", "failed", "finished")
    assert 'aria-label="3 runs: 2 finished, 1 failed"' in strip(runs)
    assert 'aria-label="no run yet"' in strip([])


@pytest.mark.parametrize("status", ScheduledTaskInstance.Status.values)
def test_each_status_has_a_bar(schedule: ScheduledTask, status: str):
    assert strip(runs_of(schedule, status)).count("<a ") == 1


def test_what_the_pointer_hits_is_invisible_on_every_page():
    stylesheet = Path(str(finders.find("tasks/admin.css"))).read_text()
    assert ".sl-strip .hit { fill: transparent; }" in stylesheet


def test_no_more_than_twenty_runs_are_shown(schedule: ScheduledTask):
    assert strip(runs_of(schedule, *["finished"] * (BARS + 3))).count("<a ") == BARS


def test_a_schedule_without_runs_has_an_empty_strip():
    assert strip([]).count("f-none") == BARS


def test_a_run_that_started_late_has_a_cap_and_says_how_late(schedule: ScheduledTask):
    now = timezone.now()
    late = make_run(schedule, due=now - timedelta(seconds=38), started=now)
    assert "f-late" in strip([late])
    assert 'aria-label="finished, 38.0 s late"' in strip([late])
    on_time = make_run(schedule, due=now - timedelta(seconds=2), started=now)
    assert "f-late" not in strip([on_time])
