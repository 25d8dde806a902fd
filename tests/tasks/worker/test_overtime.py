"""A run is killed if it ignores its timeout, and only then."""

import pytest

from tasks.worker.overtime import GRACE_SECONDS, Overtime
from tasks.worker.shared_state import Run

RUN = Run("job", "execution", "default", timeout=60, since=1000.0)
OVER = RUN.since + RUN.timeout + GRACE_SECONDS


def looked_at_each_second(run: Run, begin: float, end: float) -> float | None:
    """Return when a run is found to ignore its timeout, if it is."""
    overtime, now = Overtime(), begin
    while now <= end:
        if overtime.is_over(run, now):
            return now
        now += 1
    return None


def test_a_run_is_over_when_its_timeout_and_the_grace_period_have_passed():
    assert looked_at_each_second(RUN, RUN.since + 1, OVER + 10) == OVER


def test_a_run_without_a_timeout_is_never_over():
    unlimited = Run("job", "execution", "default", timeout=-1, since=1000.0)
    assert looked_at_each_second(unlimited, 1001.0, 10_000.0) is None


@pytest.mark.parametrize("looked_before", [True, False])
def test_a_run_that_was_stopped_with_its_worker_has_its_grace_period_again(looked_before: bool):
    overtime = Overtime()
    if looked_before:
        assert not overtime.is_over(RUN, RUN.since + 1)
    resumed = OVER + 600
    assert not overtime.is_over(RUN, resumed)
    for second in range(1, int(GRACE_SECONDS)):
        assert not overtime.is_over(RUN, resumed + second)
    assert overtime.is_over(RUN, resumed + GRACE_SECONDS)


def test_what_the_worker_does_meanwhile_is_no_stop():
    overtime = Overtime()
    overtime.is_over(RUN, OVER - 30)
    overtime.look_away(OVER - 1)  # It has waited for Redis.
    assert overtime.is_over(RUN, OVER)


def test_the_overtime_of_one_run_is_not_that_of_the_next():
    overtime = Overtime()
    overtime.is_over(RUN, OVER - 1)
    following = Run("another", "execution", "default", timeout=60, since=OVER - 0.5)
    assert not overtime.is_over(following, OVER + 1)
