"""The one clock: Redis's, carried on by a monotonic one."""

import math
import time
from collections.abc import Iterator

import pytest

from tasks import clock


@pytest.fixture(autouse=True)
def elapsed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Return the monotonic clock, which a test sets, in a list of one."""
    elapsed = [100.0]
    monkeypatch.setattr(clock, "elapsed_clock", lambda: elapsed[0])
    clock.reset()
    yield elapsed
    clock.reset()


def test_goes_on_from_the_reading_by_the_monotonic_clock(elapsed: list[float]):
    clock.observe(5000.0, 100, 100)
    elapsed[0] = 107.5
    assert clock.timestamp() == 5007.5


def test_is_the_systems_as_long_as_redis_was_never_read():
    assert abs(clock.timestamp() - time.time()) < 5
    assert clock.offset() == 0.0


def test_a_step_of_the_systems_clock_changes_only_the_offset(
    monkeypatch: pytest.MonkeyPatch,
):
    clock.observe(5000.0, 100, 100)
    monkeypatch.setattr(time, "time", lambda: 12_200.0)
    assert clock.timestamp() == 5000.0
    assert clock.offset() == 7200.0


def test_a_step_of_redis_clock_is_noticed_and_remembered(elapsed: list[float]):
    assert clock.observe(5000.0, 100, 100) == 0.0
    assert clock.steady_for() == math.inf
    elapsed[0] = 103.0
    assert clock.observe(5063.0, 103, 103) == 60.0
    elapsed[0] = 105.0
    assert clock.steady_for() == 2.0
    assert clock.timestamp() == 5065.0


def test_a_slow_answer_is_not_taken_for_a_step(elapsed: list[float]):
    clock.observe(5000.0, 100, 100)
    elapsed[0] = 110.0
    assert clock.observe(5002.1, 102, 110) == 0.0
