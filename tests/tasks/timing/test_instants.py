"""Instants in whole milliseconds."""

from datetime import UTC, datetime

from tasks.timing.instants import from_score, to_score


def test_a_score_is_read_back_as_its_datetime_to_the_millisecond():
    due = datetime(2026, 5, 5, 12, microsecond=1_000, tzinfo=UTC)
    assert from_score(to_score(due)) == due
