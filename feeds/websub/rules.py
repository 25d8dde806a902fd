"""PURE: what is to be done with a subscription, and how long what a hub says holds."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# What we ask for; a hub decides.
LEASE = timedelta(days=10)
# A hub that goes on for longer is asked again nevertheless.
LONGEST_LEASE = timedelta(days=31)
MAX_DIGITS = 10
# How long a subscription stays before the feed may have another one: each costs requests, and the
# one before is to be ended.
STAYS = timedelta(days=1)
# So much of a lease passes before it is renewed.
RENEWED_AT = 0.8
# A hub that fails, or says nothing, is asked again after so long; twice as long each time.
WAIT = timedelta(hours=1)
LONGEST_WAIT = timedelta(days=3)
# More is no challenge.
MAX_CHALLENGE = 1_000


class Step(StrEnum):
    """What is to be done now."""

    NOTHING = "nothing"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    FORGET = "forget"


class State(StrEnum):
    """How far a subscription has come."""

    HELD = "held"  # The hub pushes.
    NOT_ASKED = "not asked"
    UNANSWERED = "unanswered"  # It has been asked, and has not confirmed.
    FAILED = "failed"
    GIVEN_UP = "given up"  # The feed isn't polled, so nothing is to be pushed.


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a subscription.

    `is_wanted`: its feed is there and polled, and the site has a public address; `is_here`: the hub
    was told the callback that we have now. `pending` is what it has been asked for and has not
    confirmed.
    """

    now: datetime
    has_feed: bool
    is_wanted: bool
    is_here: bool
    pending: str
    ask_after: datetime | None
    lease_end: datetime | None
    failure: str = ""

    @property
    def is_held(self) -> bool:
        return self.lease_end is not None and self.lease_end > self.now

    @property
    def waits(self) -> bool:
        """Whether the hub is left alone for now."""
        return self.ask_after is not None and self.ask_after > self.now


def next_step(facts: Facts) -> Step:
    """Return what is to be done with a subscription now."""
    if facts.is_wanted:
        is_asked = facts.waits and facts.is_here and facts.pending != Step.UNSUBSCRIBE
        return Step.NOTHING if is_asked else Step.SUBSCRIBE
    if facts.is_held:
        is_asked = facts.waits and facts.pending == Step.UNSUBSCRIBE
        return Step.NOTHING if is_asked else Step.UNSUBSCRIBE
    return Step.NOTHING if facts.has_feed else Step.FORGET


def state(facts: Facts) -> State:
    """Return how far a subscription has come."""
    if not facts.is_wanted:
        return State.GIVEN_UP
    if facts.is_held:
        return State.HELD
    if facts.failure:
        return State.FAILED
    return State.UNANSWERED if facts.pending == Step.SUBSCRIBE else State.NOT_ASKED


def wait(attempts: int) -> timedelta:
    """Return for how long a hub is left alone that has been asked so often, and not confirmed."""
    return min(WAIT * 2 ** min(max(attempts - 1, 0), 10), LONGEST_WAIT)


def is_trusted(
    was: bool, *, pushed: datetime | None, polled: datetime | None, new: int, updated: int
) -> bool:
    """Return whether a feed may be polled seldom from now on, because its hub tells of its changes.

    Each poll decides that anew. `pushed` and `polled` are when the hub last pushed, and when the
    poll before this one was, `new` and `updated` are what this one has brought. After a push there
    has to be something: its server may still have sent an old copy. Without a push there must be
    nothing new: the hub would have let it slip.
    """
    if pushed is not None and (polled is None or pushed > polled):
        return bool(new or updated)
    return was and not new


def may_go(created: datetime, asked: datetime | None, now: datetime) -> bool:
    """Return whether another subscription may take the place of one, or none.

    Some feeds name another hub at each poll. What no hub has been asked for yet may always go.
    """
    return asked is None or now - created >= STAYS


def lease(seconds: str) -> timedelta | None:
    """Return for how long a hub promises to push, by its own words; None if it makes no sense.

    If it says nothing, it is what we have asked for.
    """
    if not seconds:
        return LEASE
    is_number = seconds.isascii() and seconds.isdigit() and len(seconds) <= MAX_DIGITS
    if not is_number or not int(seconds):
        return None
    return min(timedelta(seconds=int(seconds)), LONGEST_LEASE)


def is_challenge(text: str) -> bool:
    """Return whether a text is one that a hub may have sent back to it: short, and plain."""
    return 0 < len(text) <= MAX_CHALLENGE and text.isascii() and text.isprintable()
