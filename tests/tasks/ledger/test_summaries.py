"""The summaries of runs by hour and over 7 days."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tasks import clock
from tasks.ledger import summaries
from tasks.ledger.summaries import hour_of, summarise
from tasks.models import (
    HourlySummary,
    ScheduledTask,
    ScheduledTaskInstance,
)
from tasks.reasons import Code
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


def counts(summary: Any) -> dict[str, int]:
    return {name: n for name in summaries.COUNTS if (n := getattr(summary, name))}


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
    assert counts(first) == {
        "finished": 1, "failed": 2, "lost": 1, "missed": 1, "skipped": 1, "canceled": 1
    }  # fmt: skip
    assert (first.hour, second.hour, counts(second)) == (hour, hour + HOUR, {"finished": 1})
