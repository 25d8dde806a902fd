"""Says in words whether a feed is pushed, and if not, why."""

from collections.abc import Iterator
from datetime import UTC, datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from feeds.asking.hosts import host_of
from feeds.models import Feed, Subscription
from feeds.websub import rules
from feeds.websub.public_url import public_url
from feeds.websub.rules import State
from feeds.websub.upkeep import facts_of
from tasks import clock

NEVER = datetime.min.replace(tzinfo=UTC)


def push_in_words(feed: Feed) -> str:
    """Say whether a feed is pushed, or why not; "" where the site has no public address."""
    if not public_url():
        return ""
    subscription = Subscription.objects.filter(feed=feed).first() if feed.pk else None
    if subscription is None:
        return _("Not pushed: no hub is known of it.")
    status = None if feed.schedule is None else feed.schedule.status
    facts = facts_of(subscription, True, status, clock.now())
    return _text(subscription, facts) % {
        "hub": host_of(subscription.hub),
        "until": _shown(subscription.lease_end),
        "pushed": _shown(subscription.pushed),
        "ignored": _shown(subscription.ignored),
        "asked": _shown(subscription.asked),
        "again": _shown(subscription.ask_after),
        "failure": subscription.failure,
    }


def _text(subscription: Subscription, facts: rules.Facts) -> str:
    """Return the sentences, with names where their values belong."""
    match rules.state(facts):
        case State.HELD:
            return " ".join(_held(subscription))
        case State.GIVEN_UP:
            return _("Not pushed: its hub, %(hub)s, is asked while it is polled.")
        case State.FAILED:
            return _("Not pushed by %(hub)s: %(failure)s The next time is %(again)s.")
        case State.NOT_ASKED:
            return _("Not pushed yet: its hub, %(hub)s, will be asked.")
    if subscription.attempts > 1:
        return _(
            "Not pushed: its hub, %(hub)s, was asked again %(asked)s, and has never confirmed it. "
            "Can it reach FEEDS_PUBLIC_URL?"
        )
    return _("Not pushed yet: its hub, %(hub)s, was asked %(asked)s.")


def _held(subscription: Subscription) -> Iterator[str]:
    if subscription.pushed is None:
        yield _("Pushed by %(hub)s, until %(until)s; nothing has come yet.")
    else:
        yield _("Pushed by %(hub)s, until %(until)s; last %(pushed)s.")
    if subscription.ignored is not None and subscription.ignored > (subscription.pushed or NEVER):
        yield _("What came %(ignored)s was not signed as agreed, and was ignored.")
    if subscription.failure:
        yield _("Renewing it has failed: %(failure)s")


def _shown(time: datetime | None) -> str:
    return "" if time is None else date_format(timezone.localtime(time), "Y-m-d H:i")
