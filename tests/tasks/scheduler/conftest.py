"""What the tests of this room share."""

import pytest

from tasks.models import ScheduledTask
from tests.tasks.schedules import MakeSchedule, ago


@pytest.fixture
def due_schedule(put: MakeSchedule) -> ScheduledTask:
    """Return a schedule whose first occurrence is due."""
    return put(first=ago(5), settled_through=ago(6), queue="low")
