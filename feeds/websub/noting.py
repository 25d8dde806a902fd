"""Notes what a poll has found: the hub of its feed, at which the upkeep then subscribes."""

from datetime import timedelta
from typing import Any

from feeds.asking.fetching import Response
from feeds.models import Feed, Subscription
from feeds.reading.result import ParsedFeed
from feeds.services import QUEUE
from feeds.storing import Counts
from feeds.websub import rules
from feeds.websub.offers import Offer, offer
from tasks import clock
from tasks.database import atomic
from tasks.models import ScheduledTask
from tasks.queue import usable_queues
from tasks.services import SchedulerService

UPKEEP = "feeds.keep_subscriptions"
NAME = "WebSub subscriptions"
INTERVAL = timedelta(minutes=10)
KEPT_RUNS = 1_000


def note_hub(feed: Feed, response: Response, parsed: ParsedFeed | None, counts: Counts) -> None:
    """Note the hub that an answer names; `parsed` is None if its document has not been read.

    Another hub or topic than before is another subscription, and the one before is given up, unless
    it is too new. Of the same one, what the poll has brought says whether it is to be trusted.
    """
    known = Subscription.objects.filter(feed=feed).first()
    before = None if known is None else Offer(known.hub, known.topic)
    found = offered(response, parsed, before)
    if known is not None and (found == before or not _may_go(known)):
        _note_poll(known, counts)
        return
    if found == before:
        return
    with atomic():
        if not Feed.objects.select_for_update(no_key=True).filter(pk=feed.pk).exists():
            return
        if known is not None:
            _give_up(known)
        if found is not None:
            values = {"hub": found.hub, "topic": found.topic}
            Subscription.objects.get_or_create(feed=feed, defaults=values)
            _schedule_upkeep()


def offered(response: Response, parsed: ParsedFeed | None, known: Offer | None) -> Offer | None:
    """Return what an answer offers, with what is `known` where its document was not read."""
    document = None if parsed is None else Offer(parsed.hub, parsed.self_link)
    return offer(response.headers, response.url, document, known)


def _note_poll(known: Subscription, counts: Counts) -> None:
    trusted = rules.is_trusted(
        known.trusted,
        pushed=known.pushed,
        polled=known.polled,
        new=counts.new,
        updated=counts.updated,
    )
    Subscription.objects.filter(pk=known.pk).update(polled=clock.now(), trusted=trusted)


def _may_go(known: Subscription) -> bool:
    return rules.may_go(known.created, known.asked, clock.now())


def _give_up(subscription: Subscription) -> None:
    """Let the upkeep unsubscribe, if there is anything to end."""
    if subscription.lease_end is not None and subscription.lease_end > clock.now():
        Subscription.objects.filter(pk=subscription.pk).update(feed=None)
    else:
        Subscription.objects.filter(pk=subscription.pk).delete()


def _schedule_upkeep() -> None:
    """Have a schedule for the upkeep; if somebody has cancelled or changed it, it stays so."""
    if ScheduledTask.objects.filter(function=UPKEEP).exists():
        return
    options: dict[str, Any] = {"queue": QUEUE} if QUEUE in usable_queues() else {}
    SchedulerService.schedule(
        clock.now().replace(microsecond=0),
        UPKEEP,
        interval=int(INTERVAL.total_seconds()),
        name=NAME,
        description="Subscribes at the hubs of feeds, and renews that.",
        keep_runs=KEPT_RUNS,
        **options,
    )
