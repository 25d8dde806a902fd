"""The step of a due schedule."""

import pytest

from tasks.broker.projection import VERSION_LENGTH, dispatch_record, read_dispatch_record
from tasks.models import ScheduledTask
from tasks.scheduler.planning import decide_step
from tasks.timing.instants import to_milliseconds, to_score
from tests.tasks.schedules import ago

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("late", [0, 30, 250], ids=str)
@pytest.mark.parametrize("limit", [None, 4])
def test_the_step_of_a_plain_interval_is_decided_as_any_other(
    schedule: ScheduledTask, late: int, limit: int | None
):
    """The end is in the far future: it only keeps the interval from being plain."""
    schedule.first, schedule.interval, schedule.start_deadline = ago(1000 + late), 100, limit
    plain = dispatch_record(schedule).encode()
    schedule.end = ago(-1e9)
    other = dispatch_record(schedule).encode()
    now, version = to_milliseconds(ago(0)), b"v" * VERSION_LENGTH
    score = to_score(schedule.first)
    decided = [
        decide_step(schedule.job_id, score, record.replace(record[:VERSION_LENGTH], version), now)
        for record in (plain, other)
    ]
    assert read_dispatch_record(plain).grid is not None
    assert read_dispatch_record(other).grid is None
    assert decided[0] == decided[1]
