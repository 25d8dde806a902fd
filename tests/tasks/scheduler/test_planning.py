"""The step of a due schedule."""

import pytest

from tasks.broker import projection
from tasks.models import ScheduledTask
from tasks.scheduler import planning
from tasks.timing.instants import to_milliseconds, to_score
from tests.tasks.schedules import ago

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("late", [0, 30, 250], ids=str)
@pytest.mark.parametrize("limit", [None, 4])
def test_a_plain_interval_is_planned_as_any_other(
    schedule: ScheduledTask, late: int, limit: int | None
):
    """The end is far away: it only keeps the interval from being plain."""
    schedule.first, schedule.interval, schedule.start_deadline = ago(1000 + late), 100, limit
    plain = projection.dispatch_record(schedule).encode()
    schedule.end = ago(-1e9)
    other = projection.dispatch_record(schedule).encode()
    now = to_milliseconds(ago(0))
    score = to_score(schedule.first)
    plans = [planning.plan(schedule.job_id, score, text, now) for text in (plain, other)]
    for one in plans:
        (one.step if isinstance(one, planning.LateStep) else one)[2] = "version"
    assert projection.read_dispatch_record(plain).grid is not None
    assert projection.read_dispatch_record(other).grid is None
    assert plans[0] == plans[1]
