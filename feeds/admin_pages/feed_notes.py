"""What a feed's page notes of it: what was wrong, where it is going, and what it waits for."""

from collections.abc import Iterator

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from feeds.asking import moves
from feeds.asking.check import in_words, situation
from feeds.asking.permission import Outcome, decide
from feeds.exceptions import shown_url
from feeds.health import POLLED, Health
from feeds.models import Feed
from feeds.reading.result import MAX_ENTRIES
from feeds.why_not_newer import Outcome as Answer
from tasks import clock
from tasks.timing.describe import describe_seconds

# After these answers it is said whether the feed is asked when it is due next. A feed that was not
# asked has its reason already.
WAITING = POLLED - {Answer.NOT_ASKED}


def wait_of(feed: Feed, health: Health) -> str:
    """Return why a feed would not be asked if it were due now, in a sentence; "" if it would be."""
    if health.answer.outcome not in WAITING:
        return ""
    decision = decide(situation(feed, clock.now(), is_wanted=False))
    return "" if decision.outcome is Outcome.ASK else in_words(decision)


def notes_of(feed: Feed) -> Iterator[str]:
    """Yield what is to be known of a feed besides how it is, a sentence or two each."""
    if feed.defect:
        yield _("Read although it is ill-formed: %(defect)s") % {"defect": feed.defect}
    if feed.dropped:
        yield ngettext(
            "%(number)s entry was dropped: of a document, the newest %(most)s are read.",
            "%(number)s entries were dropped: of a document, the newest %(most)s are read.",
            feed.dropped,
        ) % {"number": f"{feed.dropped:,}", "most": f"{MAX_ENTRIES:,}"}
    if feed.moving_to and feed.moving_since is not None:
        yield _move_of(feed, feed.moving_to)
    elif feed.original_url:
        yield _("It has moved here from %(url)s.") % {"url": shown_url(feed.original_url)}


def asked_of(feed: Feed) -> Iterator[str]:
    """Yield how often a feed is asked, as far as its schedule doesn't say it."""
    if feed.adaptive:
        yield _(
            "By how often it publishes: not more often than its schedule says, and at least once a "
            "day."
        )
    else:
        yield _("As often as its schedule says.")
    if feed.ignores_hints:
        yield _(
            "What its server and the feed itself say of when something new is to be expected "
            "is ignored."
        )
    elif feed.update_seconds:
        yield _("The feed itself says that it changes every %(span)s: it isn't asked before.") % {
            "span": describe_seconds(feed.update_seconds)
        }
    else:
        yield _(
            "Less often if its server or the feed itself says that nothing new is to be expected."
        )


def _move_of(feed: Feed, to: str) -> str:
    assert feed.moving_since is not None
    until = timezone.localtime(feed.moving_since + moves.SPAN)
    values = {
        "url": shown_url(to),
        "until": f"{date_format(until, 'Y-m-d H:i')} {until.tzname()}",
    }
    if to == feed.original_url:
        text = _(
            "There is no feed at this address any more. If that stays so until %(until)s, its "
            "address is %(url)s again, from where it has moved here."
        )
    elif Feed.objects.filter(url=to).exists():
        text = _(
            "It redirects permanently to %(url)s, which is polled, too. If it goes on doing so "
            "until %(until)s, the two become one feed, with the entries of both."
        )
    else:
        text = _(
            "It redirects permanently to %(url)s. If it goes on doing so until %(until)s, that "
            "becomes its address."
        )
    return text % values
