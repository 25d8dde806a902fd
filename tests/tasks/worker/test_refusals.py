"""Whether a job that a worker doesn't know is put back, and when it fails."""

from typing import Any

import pytest
from django.conf import LazySettings

from tasks.reasons import Reason
from tasks.worker.refusals import Refusals, unknown_after


def verdict(workers: str, live: str, age: float) -> Any:
    """Return the verdict on refusals of these workers, after so many seconds."""
    found = Refusals(frozenset(workers), 1000.0).verdict(set(live), 1000.0 + age, 600)
    return str(found.code) if isinstance(found, Reason) else found


@pytest.mark.parametrize(
    ("workers", "live", "age", "expected"),
    [
        ("a", "a", 0, "refused_by_all"),
        ("a", "", 0, "refused_by_all"),
        ("ab", "b", 0, "refused_by_all"),
        ("ab", "ba", 900, "refused_by_all"),
        ("a", "ab", 0, 1.0),
        ("a", "ab", 4, 1.0),
        ("a", "ab", 20, 5.0),
        ("a", "ab", 599, 10.0),
        ("a", "ab", 600, "refused_too_long"),
        ("abc", "abcd", -5, 1.0),
    ],
)
def test_a_job_is_put_back_until_all_live_workers_have_refused_it_or_for_ten_minutes(
    workers: str, live: str, age: float, expected: str | float
):
    assert verdict(workers, live, age) == expected


def encoded(refusals: Refusals) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in refusals.fields.items()}


def test_refusals_come_back_from_the_hash_of_their_job_as_they_were():
    refusals = Refusals(frozenset({"a", "é"}), 1000.25)
    assert Refusals.read(encoded(refusals), 2000.0) == refusals


@pytest.mark.parametrize(
    "fields",
    [{}, {b"refused_by": b"{", b"refused_at": b"1"}, {b"refused_by": b"[]", b"refused_at": b"x"}],
)
def test_refusals_that_cannot_be_read_count_from_now(fields: dict[bytes, bytes]):
    assert Refusals.read(fields, 2000.0) == Refusals(frozenset(), 2000.0)


@pytest.mark.parametrize(("value", "expected"), [(5, 5), (0, 600), ("5", 600)])
def test_a_time_that_cannot_work_is_replaced_by_the_default(
    settings: LazySettings, value: Any, expected: int
):
    settings.TASKS_UNKNOWN_AFTER = value
    assert unknown_after() == expected
