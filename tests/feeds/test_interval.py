from datetime import UTC, datetime, timedelta

import pytest

from feeds.interval import adapted_interval, suggested_interval

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def every(hours: float, number: int = 10, last: float = 0) -> list[datetime | None]:
    return [NOW - timedelta(hours=last + hours * place) for place in range(number)]


@pytest.mark.parametrize(
    ("published", "seconds"),
    [
        ([], 900),
        ([None, NOW], 900),
        (every(0.1), 900),
        (every(1), 1800),
        (every(2), 3600),
        (every(24), 43_200),
        (every(24 * 30), 86_400),
        (every(1, last=48), 43_200),
        ([*every(24), NOW + timedelta(days=90)], 43_200),
    ],
)
def test_an_interval_is_suggested_by_how_often_a_feed_publishes(published, seconds):
    assert suggested_interval(published, NOW) == seconds


@pytest.mark.parametrize(
    ("published", "hours"),
    [
        ([], None),
        ([NOW], None),
        (every(2), None),
        (every(3), 1.5),
        (every(24), 12),
        (every(24 * 30), 24),
        (every(1, last=40), 10),
    ],
)
def test_an_adaptive_feed_is_left_alone_by_how_often_it_publishes_for_a_day_at_most(
    published, hours
):
    span = None if hours is None else timedelta(hours=hours)
    assert adapted_interval(published, timedelta(hours=1), NOW) == span


def test_an_adaptive_feed_is_never_asked_more_often_than_its_schedule_says():
    assert adapted_interval(every(24 * 30), timedelta(days=2), NOW) is None
