"""How long a run will still take, by its own pace and by earlier runs."""

from datetime import timedelta

import pytest

from tasks.reports.remaining import remaining


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


EIGHT = [minutes(8)] * 5


@pytest.mark.parametrize(
    ("percent", "elapsed", "earlier", "left"),
    [
        (0, 3, EIGHT, 5),  # by earlier runs only
        (50, 3, [], 3),  # by its own pace only
        (1, 3, [], None),  # its pace says nothing yet
        (1, 3, EIGHT, 5),
        (1, 10, EIGHT, None),
        (5, 3, [], 57),
        (50, 5, EIGHT, 4),  # 5 by its pace, 3 by earlier runs
        (99, 2, EIGHT, (2 / 99 * 99 + 6) / 100),  # nearly all by its pace
        (50, 10, EIGHT, 10),  # longer than earlier runs already: by its pace
        (0, 10, EIGHT, None),
        (0, 3, EIGHT[:2], None),  # too few
        (100, 3, [], None),
        (0, 0, [], None),
    ],
)
def test_the_estimate_weighs_pace_and_earlier_runs(
    percent: int, elapsed: float, earlier: list[timedelta], left: float | None
):
    found = remaining(percent, minutes(elapsed), earlier).left
    assert found == (None if left is None else pytest.approx(minutes(left), abs=minutes(0.001)))


def test_the_middle_one_of_earlier_runs_is_the_usual_one():
    found = remaining(0, minutes(1), [minutes(1), minutes(3), minutes(50)])
    assert (found.usual, found.number, found.left) == (minutes(3), 3, minutes(2))


def test_a_run_that_has_taken_longer_than_usual_is_said_to():
    assert remaining(0, minutes(9), EIGHT).is_longer
    assert not remaining(0, minutes(7), EIGHT).is_longer
    assert not remaining(0, minutes(9), []).is_longer
