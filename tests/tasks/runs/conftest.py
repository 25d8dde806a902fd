"""What the tests of this room share."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from tasks.models import ScheduledTask, ScheduledTaskInstance
from tests.tasks.functions import CALL, perform
from tests.tasks.runs.attempts import Behave, enqueue, past
from tests.tasks.schedules import make_row


@pytest.fixture
def schedule() -> ScheduledTask:
    """Return a schedule of `call`, due every second, settled through an hour ago."""
    hour_ago = past(3600)
    return make_row(function=CALL, first=hour_ago, interval=1, settled_through=hour_ago, timeout=1)


@pytest.fixture
def run(
    redis_connection: Redis, schedule: ScheduledTask, behave: Behave
) -> Callable[..., ScheduledTaskInstance]:
    """Return a function that runs one occurrence with a behaviour and returns its row."""

    def run_once(behaviour: Callable[..., Any]) -> ScheduledTaskInstance:
        behave(behaviour)
        perform(redis_connection, enqueue(redis_connection, schedule))
        return schedule.runs.get()

    return run_once
