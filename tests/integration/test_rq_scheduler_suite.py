"""rq-scheduler's own tests on our class, where RQ_SCHEDULER_CHECKOUT names a checkout of it."""

import os
from pathlib import Path

import pytest

from tests.upstream.suite import compare


@pytest.mark.skipif(
    not os.environ.get("RQ_SCHEDULER_CHECKOUT"),
    reason="rq-scheduler's releases have no tests; RQ_SCHEDULER_CHECKOUT can name a checkout",
)
def test_our_scheduler_passes_rq_schedulers_own_tests_except_for_the_differences():
    verdict = compare(Path(os.environ["RQ_SCHEDULER_CHECKOUT"]))
    assert not verdict.problems, verdict.text
    assert verdict.passed
