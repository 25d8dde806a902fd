"""`manage.py backfill` requests the runs of a past range, both ends included."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tasks.models import ScheduledTask
from tests.tasks.schedules import ago, make_row, make_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hourly() -> ScheduledTask:
    return make_row(name="hourly", first=ago(10 * 3600))


def run(schedule: ScheduledTask, **options: Any) -> str:
    out = StringIO()
    first = schedule.first
    assert first is not None
    given = {"from": first.isoformat(), "to": (first + timedelta(hours=2)).isoformat()}
    call_command("backfill", schedule.name, stdout=out, **given | options)
    return out.getvalue()


def test_a_backfill_includes_both_ends_of_its_range(hourly: ScheduledTask):
    assert run(hourly) == "3 runs of “hourly” are requested, one after another.\n"
    first = hourly.first
    requested = hourly.requests.order_by("due").values_list("due", flat=True)
    assert list(requested) == [first + timedelta(hours=number) for number in range(3)]


def test_what_failed_is_run_again_only_if_that_is_asked_for(hourly: ScheduledTask):
    make_run(hourly, due=hourly.first, status="failed", ended=ago(7200))
    assert run(hourly).startswith("2 runs")
    assert run(hourly, failed=True) == "1 run of “hourly” is requested.\n"
    assert hourly.requests.get(due=hourly.first).attempt == 2


def test_a_backfill_requested_again_has_nothing_left_to_run(hourly: ScheduledTask):
    run(hourly)
    assert run(hourly) == "Nothing is left to run in that range of “hourly”.\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"from": "soon"}, "“soon” is not a valid time"),
        ({"to": "2999-01-01"}, "ends in the future"),
        ({"to": "2000-01-01"}, "The range is empty"),
        ({"limit": 2}, "More than 2 occurrences"),
        ({"limit": 0}, "Give a limit between 1 and"),
    ],
    ids=str,
)
def test_a_backfill_with_an_invalid_range_or_limit_is_refused(
    hourly: ScheduledTask, options: dict[str, Any], message: str
):
    with pytest.raises(CommandError, match=message):
        run(hourly, **options)
    assert not hourly.requests.exists()
