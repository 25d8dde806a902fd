"""What the benchmarks make of the arrivals of occurrences on a queue."""

import pytest

from benchmarks.arrivals import Arrival, every_second

FIRST = 1_000_000.0


def arrivals_at(*seconds: float) -> list[Arrival]:
    return [Arrival(FIRST + second, b"") for second in seconds]


def test_the_lateness_of_an_arrival_counts_from_the_last_whole_second():
    values = every_second(arrivals_at(0.01, 1.01, 2.03), FIRST, 3, 1, anchored=True)

    assert values["p50"] == pytest.approx(10)
    assert values["p99"] == pytest.approx(30)


def test_the_first_arrival_of_a_scheduler_that_is_not_anchored_is_on_time():
    values = every_second(arrivals_at(0.4, 1.4, 2.41), FIRST, 3, 1, anchored=False)

    assert values["p50"] == pytest.approx(0)
    assert values["p99"] == pytest.approx(10)


def test_an_arrival_a_little_early_is_not_a_second_late():
    values = every_second(arrivals_at(0.0, 0.999, 2.0), FIRST, 3, 1, anchored=True)

    assert values["p99"] == pytest.approx(0, abs=0.001)


def test_drift_is_how_much_later_arrivals_are_at_the_end_than_at_the_beginning():
    values = every_second(arrivals_at(0.01, 1.02, 2.03), FIRST, 3, 1, anchored=True)

    assert values["drift"] == pytest.approx(20)


def test_an_occurrence_that_never_arrived_lowers_the_share_of_arrivals():
    values = every_second(arrivals_at(0.01, 2.01), FIRST, 3, 1, anchored=True)

    assert values["arrived"] == pytest.approx(100 * 2 / 3)
