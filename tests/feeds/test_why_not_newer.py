from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feeds.why_not_newer import Answer, Facts, Outcome, Poll, why_not_newer

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
AGO = NOW - timedelta(hours=3)
FINISHED = Poll("finished", NOW, new=0)
FAILED = Poll("failed", NOW, "no such host")


def facts(status: str | None = "running", **values: Any) -> Facts:
    return Facts(status, **values)


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        (facts(None), Answer(Outcome.NOT_SCHEDULED)),
        (facts("death", problem="cancelled"), Answer(Outcome.ENDED, reason="cancelled")),
        (facts("paused", paused_since=AGO), Answer(Outcome.PAUSED, AGO)),
        (facts("paused", paused_since=AGO, is_held=True), Answer(Outcome.HELD, AGO)),
        (facts(problem="no queue"), Answer(Outcome.UNSCHEDULABLE, reason="no queue")),
        (facts(latest=Poll("running", NOW), polled=FAILED), Answer(Outcome.RUNNING, NOW)),
        (
            facts(waiting_since=AGO, waits_because="no worker", latest=FINISHED, polled=FINISHED),
            Answer(Outcome.WAITING, AGO, "no worker"),
        ),
        (
            facts(latest=Poll("skipped", NOW, "not before 14:00"), polled=FAILED),
            Answer(Outcome.NOT_ASKED, NOW, "not before 14:00"),
        ),
        (
            facts(latest=Poll("missed", NOW, "no scheduler"), polled=FINISHED),
            Answer(Outcome.MISSED, NOW, "no scheduler"),
        ),
        (facts(), Answer(Outcome.NEVER_POLLED)),
        (
            facts("failed", latest=FAILED, polled=FAILED, failing_since=AGO),
            Answer(Outcome.FAILING, AGO, "no such host"),
        ),
        (
            facts(latest=FINISHED, polled=FINISHED, newest_entry=AGO),
            Answer(Outcome.UNCHANGED, AGO),
        ),
        (
            facts(latest=Poll("finished", NOW, new=2), polled=Poll("finished", NOW, new=2)),
            Answer(Outcome.NEW, NOW),
        ),
    ],
    ids=lambda value: value.outcome if isinstance(value, Answer) else "",
)
def test_a_feed_says_why_it_is_not_newer(known, answer):
    assert why_not_newer(known) == answer
