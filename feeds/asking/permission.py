"""PURE: whether a feed may be asked now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

HOUR = timedelta(hours=1)


class Why(StrEnum):
    """Why a feed isn't asked before a certain time, as it is stored."""

    RETRY_AFTER = "retry_after"
    FAILURES = "failures"
    GONE = "gone"
    FRESH = "fresh"
    ADAPTIVE = "adaptive"


class Outcome(StrEnum):
    """What becomes of an occurrence."""

    ASK = "ask"
    HOST_RETRY_AFTER = "host retry after"
    RETRY_AFTER = "retry after"
    FAILURES = "failures"
    GONE = "gone"
    FRESH = "fresh"
    ADAPTIVE = "adaptive"
    SKIPPED_TIME = "skipped time"
    PUSHED = "pushed"
    GONE_FOR_GOOD = "gone for good"


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome, and until when it holds."""

    outcome: Outcome
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that the decision depends on.

    `is_wanted`: a person or a retry wants this run, it isn't merely due. `skip_hours` (UTC) and
    `skip_days` (0 is Monday) are the document's own; `ignores_hints`: what it and the caching
    headers say is to be ignored. `is_adaptive`: it is asked by how often it publishes.
    `pushed_until`: before that, its hub would tell if it had changed (WebSub).
    `is_gone_for_good`: nobody has touched its schedule since then.
    """

    now: datetime
    is_wanted: bool
    ignores_hints: bool
    is_adaptive: bool
    not_before: datetime | None
    why: str
    host_not_before: datetime | None
    skip_hours: Sequence[int]
    skip_days: Sequence[int]
    is_gone_for_good: bool
    pushed_until: datetime | None = None


def decide(situation: Situation) -> Decision:
    """Return whether the feed may be asked now.

    That a server wants to be left alone holds for everybody; all else only for what is merely due.
    """
    now, host, own = situation.now, situation.host_not_before, situation.not_before
    if host is not None and host > now:
        return Decision(Outcome.HOST_RETRY_AFTER, host)
    waits = own is not None and own > now
    if waits and situation.why == Why.RETRY_AFTER:
        return Decision(Outcome.RETRY_AFTER, own)
    if situation.is_wanted:
        return Decision(Outcome.ASK)
    if situation.is_gone_for_good:
        return Decision(Outcome.GONE_FOR_GOOD)
    if waits and not _is_ignored(situation):
        return Decision(Outcome[Why(situation.why).name], own)
    if not situation.ignores_hints:
        end = end_of_skipped(situation.skip_hours, situation.skip_days, now)
        if end is not None:
            return Decision(Outcome.SKIPPED_TIME, end)
        if situation.pushed_until is not None and situation.pushed_until > now:
            return Decision(Outcome.PUSHED, situation.pushed_until)
    return Decision(Outcome.ASK)


def _is_ignored(situation: Situation) -> bool:
    """Return whether the feed has been told since then not to wait for such a reason."""
    if situation.why == Why.FRESH:
        return situation.ignores_hints
    return situation.why == Why.ADAPTIVE and not situation.is_adaptive


def end_of_skipped(hours: Sequence[int], days: Sequence[int], now: datetime) -> datetime | None:
    """Return when the hours and days end in which a feed isn't to be asked; None if it may be.

    What leaves no hour at all is ignored.
    """
    if not hours and not days:
        return None
    hour = now.replace(minute=0, second=0, microsecond=0)
    for _ in range(7 * 24 + 1):
        if hour.hour not in hours and hour.weekday() not in days:
            return hour if hour > now else None
        hour += HOUR
    return None
