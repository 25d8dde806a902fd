"""PURE: decides why a feed shows nothing newer than it does. The caller reads the facts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """Why a feed shows nothing newer, the first that applies."""

    NOT_SCHEDULED = "not_scheduled"
    UNSCHEDULABLE = "unschedulable"  # Its schedule has a problem.
    ENDED = "ended"
    HELD = "held"  # Everything is paused.
    PAUSED = "paused"
    RUNNING = "running"
    WAITING = "waiting"  # It is due, and no run has started.
    NOT_ASKED = "not_asked"  # The latest time, it was not asked, for a reason.
    MISSED = "missed"
    NEVER_POLLED = "never_polled"
    FAILING = "failing"
    UNCHANGED = "unchanged"
    NEW = "new"  # The last poll brought something.


@dataclass(frozen=True, slots=True)
class Poll:
    """A row of the ledger: a poll, or a time when there was none, with the reason in words."""

    status: str
    at: datetime
    reason: str = ""
    new: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a feed.

    `latest` is the newest row of its ledger, whatever it says, and `polled` the newest poll that
    has ended; `failing_since` is when the first of the latest polls failed that all failed.
    `waits_because` is for what is due and has not started.
    """

    schedule_status: str | None
    problem: str = ""
    is_held: bool = False
    paused_since: datetime | None = None
    latest: Poll | None = None
    polled: Poll | None = None
    failing_since: datetime | None = None
    waiting_since: datetime | None = None
    waits_because: str = ""
    newest_entry: datetime | None = None
    next_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Why there is nothing newer, since when, and for what reason, as far as there is one."""

    outcome: Outcome
    since: datetime | None = None
    reason: str = ""


def why_not_newer(facts: Facts) -> Answer:
    """Return why a feed shows nothing newer than it does."""
    return _not_scheduled(facts) or _not_polled(facts) or _last_poll(facts)


def _not_scheduled(facts: Facts) -> Answer | None:
    """Return why no poll is to be expected, None if one is."""
    if facts.schedule_status is None:
        return Answer(Outcome.NOT_SCHEDULED)
    if facts.schedule_status == "death":
        return Answer(Outcome.ENDED, reason=facts.problem)
    if facts.schedule_status == "paused":
        outcome = Outcome.HELD if facts.is_held else Outcome.PAUSED
        return Answer(outcome, facts.paused_since)
    if facts.problem:
        return Answer(Outcome.UNSCHEDULABLE, reason=facts.problem)
    return None


def _not_polled(facts: Facts) -> Answer | None:
    """Return why the poll that was to be expected last was not, or is not over; None if it was."""
    latest = facts.latest
    if latest is not None and latest.status == "running":
        return Answer(Outcome.RUNNING, latest.at)
    if facts.waiting_since is not None:
        return Answer(Outcome.WAITING, facts.waiting_since, facts.waits_because)
    if latest is not None and latest.status in ("skipped", "canceled"):
        return Answer(Outcome.NOT_ASKED, latest.at, latest.reason)
    if latest is not None and latest.status == "missed":
        return Answer(Outcome.MISSED, latest.at, latest.reason)
    return None


def _last_poll(facts: Facts) -> Answer:
    if facts.polled is None:
        return Answer(Outcome.NEVER_POLLED)
    if facts.polled.status == "failed":
        return Answer(Outcome.FAILING, facts.failing_since, facts.polled.reason)
    if not facts.polled.new:
        return Answer(Outcome.UNCHANGED, facts.newest_entry)
    return Answer(Outcome.NEW, facts.polled.at)
