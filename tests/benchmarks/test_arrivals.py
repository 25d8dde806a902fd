import pytest

from benchmarks.arrivals import Arrival, every_second

FIRST = 1_000_000.0


def _arrivals(*moments: float) -> list[Arrival]:
    return [Arrival(FIRST + moment, b"") for moment in moments]


def test_lateness_counts_from_the_last_whole_second():
    values = every_second(_arrivals(0.01, 1.01, 2.03), FIRST, 3, 1, anchored=True)

    assert values["p50"] == pytest.approx(10)
    assert values["p99"] == pytest.approx(30)


def test_who_is_not_anchored_is_on_time_at_first():
    values = every_second(_arrivals(0.4, 1.4, 2.41), FIRST, 3, 1, anchored=False)

    assert values["p50"] == pytest.approx(0)
    assert values["p99"] == pytest.approx(10)


def test_a_moment_early_is_not_a_second_late():
    values = every_second(_arrivals(0.0, 0.999, 2.0), FIRST, 3, 1, anchored=True)

    assert values["p99"] == pytest.approx(0, abs=0.001)


def test_drift_is_what_the_end_is_later_than_the_beginning():
    values = every_second(_arrivals(0.01, 1.02, 2.03), FIRST, 3, 1, anchored=True)

    assert values["drift"] == pytest.approx(20)


def test_what_never_came_is_missing_from_the_share():
    values = every_second(_arrivals(0.01, 2.01), FIRST, 3, 1, anchored=True)

    assert values["arrived"] == pytest.approx(100 * 2 / 3)
