"""A schedule moved in time: what its spec becomes, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.timing import spec
from tasks.timing.moving import CannotMove, Refusal, moved
from tasks.timing.spec import Spec

NOW = datetime(2026, 10, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def cron(expression: str, by: timedelta) -> str | None:
    return moved(Spec(cron=expression), by, NOW).cron


def refusal(one: Spec, by: timedelta) -> Refusal:
    with pytest.raises(CannotMove) as caught:
        moved(one, by, NOW)
    return caught.value.refusal


@pytest.mark.parametrize(
    ("expression", "minutes", "expected"),
    [
        ("30 6 * * MON-FRI", 15, "45 6 * * MON-FRI"),
        ("30 6 * * MON-FRI", -31, "59 5 * * MON-FRI"),
        ("0 4 * * *", 60, "0 5 * * *"),
        ("50 23 * * *", 20, "10 0 * * *"),
        ("@daily", 5, "5 0 * * *"),
        ("@hourly", -1, "59 * * * *"),
        ("*/10 * * * *", 3, "3-59/10 * * * *"),
        ("*/10 9-17 * * *", 120, "*/10 11-19 * * *"),
        ("0 */6 * * *", 60, "0 1-23/6 * * *"),
        ("0,30 8 * * *", 5, "5,35 8 * * *"),
    ],
)
def test_the_minutes_and_hours_of_a_cron_expression_move(expression, minutes, expected):
    assert cron(expression, minutes * MINUTE) == expected


def test_the_seconds_of_a_cron_expression_stay():
    assert cron("15 30 4 * * *", HOUR) == "15 30 5 * * *"


@pytest.mark.parametrize(
    ("expression", "by", "why"),
    [
        ("* * * * *", HOUR, Refusal.STAYS),
        ("*/10 * * * *", 10 * MINUTE, Refusal.STAYS),
        ("30 9 * * MON", timedelta(), Refusal.STAYS),
        ("30 23 * * MON-FRI", HOUR, Refusal.OTHER_DAYS),
        ("0 0 1 * *", -MINUTE, Refusal.OTHER_DAYS),
        ("0 4 1 * *", 24 * HOUR, Refusal.OTHER_DAYS),
        ("0,30 8 * * *", 30 * MINUTE, Refusal.NO_EXPRESSION),
        ("0 4 * * *", timedelta(seconds=30), Refusal.NOT_WHOLE_MINUTES),
    ],
)
def test_a_cron_expression_that_cannot_say_the_new_times_is_refused(expression, by, why):
    assert refusal(Spec(cron=expression), by) == why


@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=6),
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=6),
    by=st.integers(-1439, 1439),
)
def test_a_moved_cron_expression_is_due_exactly_so_much_later(minutes, hours, by):
    one = Spec(cron=f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *")
    shift = by * MINUTE
    try:
        other = moved(one, shift, NOW)
    except CannotMove:
        return
    dues = list(spec.dues(one, NOW, NOW + 48 * HOUR))
    assert list(spec.dues(other, NOW + shift, NOW + 48 * HOUR + shift)) == [
        due + shift for due in dues
    ]


def test_an_interval_keeps_its_rhythm_at_its_new_anchor():
    one = Spec(first=NOW - 5 * HOUR, interval=900)
    other = moved(one, 4 * MINUTE, NOW)
    assert spec.next_due(other, NOW) == NOW + 4 * MINUTE
    assert (other.interval, other.first) == (900, NOW - 5 * HOUR + 4 * MINUTE)


def test_an_interval_that_was_to_come_does_not_start_in_the_past():
    one = Spec(first=NOW + 10 * MINUTE, interval=3_600)
    assert moved(one, -20 * MINUTE, NOW).first == NOW + 50 * MINUTE


def test_an_interval_that_goes_on_is_not_moved_by_whole_intervals():
    one = Spec(first=NOW, interval=900)
    assert refusal(one, HOUR) == Refusal.WHOLE_INTERVALS


def test_an_interval_that_has_begun_goes_on_without_a_gap_however_far_it_is_moved():
    one = Spec(first=NOW - 10 * MINUTE, interval=90 * 60)
    assert list(spec.dues(moved(one, 2 * HOUR, NOW), NOW, NOW + 3 * HOUR)) == [
        NOW + 20 * MINUTE,
        NOW + 110 * MINUTE,
    ]
    assert moved(one, -HOUR, NOW) == moved(one, 30 * MINUTE, NOW)


def test_an_interval_that_has_begun_can_be_moved_again_as_one_that_has_begun():
    one = moved(Spec(first=NOW - 10 * MINUTE, interval=90 * 60), 30 * MINUTE, NOW)
    assert refusal(one, 3 * HOUR) == Refusal.WHOLE_INTERVALS


def test_nothing_that_has_passed_is_due_because_an_interval_was_moved():
    one = Spec(first=NOW - 100 * MINUTE, interval=90 * 60)
    other = moved(one, 30 * MINUTE, NOW)
    assert other.first != spec.latest_due(other, NOW)


def test_a_moved_interval_with_a_repeat_limit_is_due_as_often_as_before():
    one = Spec(first=NOW - 10 * MINUTE, interval=90 * 60, repeat=4)
    dues = list(spec.dues(moved(one, 30 * MINUTE, NOW), NOW - HOUR, NOW + 24 * HOUR))
    assert (len(dues), dues[0]) == (4, NOW + 20 * MINUTE)


@given(passed=st.integers(0, 10_000), step=st.integers(1, 5_000), by=st.integers(-9_999, 9_999))
def test_a_moved_interval_that_has_begun_is_due_within_one_interval(passed, step, by):
    one = Spec(first=NOW - passed * MINUTE, interval=step * 60)
    if by % step:
        due = spec.next_due(moved(one, by * MINUTE, NOW), NOW)
        assert due is not None
        assert due - NOW <= step * MINUTE
        assert (due - one.first - by * MINUTE) % (step * MINUTE) == timedelta()


def test_an_interval_that_is_to_begin_begins_so_much_later_also_by_whole_intervals():
    one = Spec(first=NOW + HOUR, interval=3_600)
    assert moved(one, 24 * HOUR, NOW).first == NOW + 25 * HOUR


def test_a_single_time_moves_within_the_future_only():
    one = Spec(first=NOW + HOUR)
    assert moved(one, HOUR, NOW).first == NOW + 2 * HOUR
    assert refusal(one, -HOUR) == Refusal.TO_THE_PAST
    assert refusal(one, timedelta()) == Refusal.STAYS
    assert refusal(Spec(first=NOW - HOUR), 2 * HOUR) == Refusal.PASSED


def test_a_time_beyond_all_bounds_is_refused():
    one = Spec(first=NOW + HOUR)
    assert refusal(one, timedelta(days=3_000_000)) == Refusal.OUT_OF_RANGE
