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


def test_an_old_reading_is_refreshed_by_who_asks_for_the_time(elapsed: list[float]):
    clock.keep_fresh(lambda: clock.observe(5000.0 + elapsed[0], elapsed[0], elapsed[0]))
    assert clock.timestamp() == 5100.0
    elapsed[0] += clock.MAX_AGE_SECONDS / 2
    clock.keep_fresh(lambda: pytest.fail("It was read too soon."))
    clock.timestamp()


def test_a_reading_that_fails_is_not_tried_again_at_once(elapsed: list[float]):
    tried: list[float] = []

    def hang() -> None:
        elapsed[0] += 20
        tried.append(elapsed[0])

    clock.keep_fresh(hang)
    for _ in range(3):
        clock.timestamp()
        elapsed[0] += clock.RETRY_SECONDS / 2
    assert tried == [120.0, 120.0 + clock.RETRY_SECONDS + 20]


def test_a_reading_within_its_round_trip_leaves_the_clock_as_it_was(elapsed: list[float]):
    clock.observe(5000.0, 100, 100)
    elapsed[0] = 104.0
    clock.observe(5003.1, 100, 104)  # Its middle would be 1.1 s ahead.
    assert clock.timestamp() == 5004.0


def test_a_slow_first_reading_is_corrected_and_is_no_step(elapsed: list[float]):
    clock.observe(5000.0, 100, 104)
    elapsed[0] = 105.0
    assert clock.observe(5001.2, 105, 105) == 0.0
    assert clock.timestamp() == 5001.2
    assert clock.steady_for() == math.inf


def test_time_that_only_one_clock_counts_is_a_suspension(
    elapsed: list[float], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    clock.observe(5000.0, 100, 100)
    assert clock.undisturbed_for() == math.inf
    elapsed[0] = 700.0
    assert clock.observe(5600.0, 700, 700) == 0.0
    elapsed[0] = 703.0
    assert clock.undisturbed_for() == 3.0
    assert clock.steady_for() == math.inf


@pytest.mark.parametrize(
    ("said", "offset", "is_news"),
    [
        (0.0, 1.9, False),
        (0.0, -2.1, True),
        (-2.1, -3.0, False),
        (-2.1, 2.1, True),
        (7200.0, 7203.0, True),
        (7200.0, 0.3, True),
    ],
)
def test_an_offset_is_news_when_it_begins_changes_or_ends(
    said: float, offset: float, is_news: bool
):
    assert clock.is_news(said, offset) is is_news
