"""rq-scheduler's own tests on our class, where RQ_SCHEDULER_CHECKOUT names a checkout of it."""

import os
from pathlib import Path

import pytest

from tests.upstream.suite import compare


@pytest.mark.skipif(
    not os.environ.get("RQ_SCHEDULER_CHECKOUT"),
    reason="RQ_SCHEDULER_CHECKOUT names no checkout of rq-scheduler, whose releases have no tests",
)
def test_ours_passes_what_stock_passes_but_for_the_differences_that_are_meant():
    verdict = compare(Path(os.environ["RQ_SCHEDULER_CHECKOUT"]))
    assert not verdict.problems, verdict.text
    assert verdict.passed
