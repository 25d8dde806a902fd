"""The pace: how many jobs a plain child takes at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.worker.pace import AHEAD_SECONDS, MOST_AT_A_TIME, Pace


def after(*rounds: tuple[int, float], quick: int = 0) -> list[int]:
    """Return how many jobs are taken at first, and after each round of runs.

    A round has so many runs, of so many seconds each. Before them are so many `quick` rounds, of as
    many runs as possible.
    """
    pace, now = Pace(), 1000.0
    number = pace.next(now)
    for _ in range(quick):
        pace.took(number, now)
        number = pace.next(now)
    numbers = [number]
    for taken, seconds in rounds:
        pace.took(taken, now)
        now += taken * seconds
        numbers.append(pace.next(now))
    return numbers


def test_a_child_takes_one_job_at_first():
    assert after() == [1]


def test_with_each_round_of_short_runs_twice_as_many_jobs_are_taken_up_to_a_limit():
    assert [after(quick=rounds)[0] for rounds in range(6)] == [1, 2, 4, 8, 8, MOST_AT_A_TIME]


@pytest.mark.parametrize(
    ("seconds", "expected"), [(AHEAD_SECONDS / 4.1, 4), (AHEAD_SECONDS, 1), (60, 1)]
)
def test_no_more_jobs_are_taken_than_fit_into_the_time_that_one_may_wait(
    seconds: float, expected: int
):
    assert after((MOST_AT_A_TIME, seconds), quick=4) == [MOST_AT_A_TIME, expected]


def test_one_job_is_taken_at_a_time_again_after_there_were_fewer_than_could_be_taken():
    assert after((MOST_AT_A_TIME - 1, 0.0001), quick=4) == [MOST_AT_A_TIME, 1]
    assert after((0, 0), quick=4) == [MOST_AT_A_TIME, 1]


@given(st.lists(st.tuples(st.integers(0, MOST_AT_A_TIME), st.floats(0, 1e6))))
def test_at_least_one_job_is_taken_and_never_more_than_the_limit(rounds: list[tuple[int, float]]):
    assert all(1 <= number <= MOST_AT_A_TIME for number in after(*rounds))
