"""A spec in words."""

from datetime import UTC, datetime

import pytest

from tasks.timing.describe import describe, describe_seconds
from tasks.timing.spec import Spec

FIRST = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "every second"),
        (90, "every 90 seconds"),
        (60, "every minute"),
        (900, "every 15 minutes"),
        (7200, "every 2 hours"),
        (86_400, "every day"),
    ],
)
def test_an_interval_is_described_in_its_largest_unit(seconds: int, words: str):
    assert describe(Spec(first=FIRST, interval=seconds)) == words


def test_a_single_time_is_described_with_its_time():
    assert describe(Spec(first=FIRST)) == "once at 2026-03-01 06:30"


def test_a_cron_expression_is_described_with_its_zone():
    words = describe(Spec(cron="30 6 * * MON-FRI", timezone="Europe/Berlin"))
    assert words == "At 06:30, Monday through Friday (Europe/Berlin)"


@pytest.mark.parametrize("cron", ["@daily", "*/10 * * * * *", "0 0 L * *", "0 0 * * MON#2"])
def test_every_valid_cron_expression_has_a_description(cron: str):
    assert describe(Spec(cron=cron)).endswith("(UTC)")


def test_the_limits_of_a_spec_are_described():
    spec = Spec(first=FIRST, interval=60, repeat=3, start=FIRST, end=FIRST)
    assert describe(spec) == (
        "every minute, 3 times, from 2026-03-01 06:30, until 2026-03-01 06:30"
    )


@pytest.mark.parametrize(
    ("exclude", "words"),
    [
        ("2026-12-25", "every day, except on 2026-12-25 (Europe/Rome)"),
        (
            "2026-12-24..2026-12-26\n2026-01-01",
            "every day, except on 2026-01-01 and 2026-12-24..2026-12-26 (Europe/Rome)",
        ),
        (
            "2026-01-01\n2026-01-06\n2026-12-24..2026-12-26",
            "every day, except on 5 days (Europe/Rome)",
        ),
    ],
)
def test_a_description_names_few_excluded_dates_and_counts_many(exclude: str, words: str):
    spec = Spec(first=FIRST, interval=86_400, exclude=exclude, timezone="Europe/Rome")
    assert describe(spec) == words


def test_a_description_names_the_zone_of_excluded_dates_once():
    spec = Spec(cron="@daily", exclude="2026-12-25", timezone="Europe/Rome")
    assert describe(spec) == "At 00:00, every day (Europe/Rome), except on 2026-12-25"


@pytest.mark.parametrize(
    ("offset", "span"), [(340, "0.34 s"), (59_000, "59 s"), (760_500, "12 min 40 s")]
)
def test_a_description_names_the_offset(offset: int, span: str):
    assert describe(Spec(first=FIRST, interval=3600, offset=offset)) == (
        f"every hour, shifted by {span}"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (30, "30 s"), (2_700, "45 min"), (5_430, "1 h 30 min 30 s"), (86_400, "1 d")],
)
def test_whole_seconds_are_said_exactly_and_without_what_is_zero(seconds: int, text: str):
    assert describe_seconds(seconds) == text
