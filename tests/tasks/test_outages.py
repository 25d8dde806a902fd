"""An outage is said once when it begins, and once when it is over."""

import logging
import time

import pytest

from tasks.outages import CALM_SECONDS, Outage


class Clock:
    """A monotonic clock that a test sets."""

    seconds = 100.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(time, "monotonic", lambda: Clock.seconds)
    Clock.seconds = 100.0
    return Clock()


@pytest.fixture
def outage(caplog: pytest.LogCaptureFixture) -> Outage:
    caplog.set_level(logging.INFO)
    return Outage("Redis")


def test_many_failures_are_one_line(outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture):
    for _ in range(20):
        outage.report("refused\n\tIs it running?")
        Clock.seconds += 1
    assert caplog.messages == ["Redis is unavailable: refused Is it running?"]


def test_the_end_is_said_with_how_long_it_was(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
):
    outage.report("refused")
    Clock.seconds += 30
    outage.worked()
    outage.worked()
    assert caplog.messages[1:] == ["Redis is available again, after 30 s."]


def test_attempts_that_fail_and_succeed_in_turn_are_one_outage(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
):
    for _ in range(20):
        outage.report("the disk is full")
        outage.worked()
        Clock.seconds += 1
    assert len(caplog.messages) == 1


def test_a_failure_long_after_all_was_well_is_another_outage(
    outage: Outage, clock: Clock, caplog: pytest.LogCaptureFixture
):
    outage.report("refused")
    outage.worked()
    Clock.seconds += CALM_SECONDS + 1
    outage.report("refused again")
    assert len(caplog.messages) == 2


def test_success_without_an_outage_says_nothing(outage: Outage, caplog: pytest.LogCaptureFixture):
    outage.worked()
    assert caplog.messages == []
