"""The task functions that poll feeds, and that ask hubs to tell when they change."""

import logging
from dataclasses import asdict
from http import HTTPStatus

from feeds import sandbox
from feeds.asking import recording
from feeds.asking.check import may_ask
from feeds.asking.fetching import Response, fetch
from feeds.asking.hosts import limit_key
from feeds.asking.rules import per_host
from feeds.exceptions import FeedError, shown_url, without_secrets
from feeds.models import Feed
from feeds.reading.result import ParsedFeed
from feeds.storing import Counts
from feeds.websub import upkeep
from feeds.websub.noting import UPKEEP, note_hub
from feeds.websub.public_url import public_url
from tasks.decorators import scheduled_task
from tasks.runs.shared_threads import in_shared_thread
from tasks.runs.shared_transactions import in_shared_transaction

logger = logging.getLogger(__name__)

UPKEEP_TIMEOUT = 540


@scheduled_task(check=may_ask, max_concurrent=per_host(), limit_key=limit_key)
async def fetch_rss(feed: Feed) -> dict[str, int | str]:
    """Poll a feed: fetch it if it has changed, and store its new and changed entries.

    Returns how many entries are `new`, `updated` and `unchanged`, and the HTTP `status`. What else
    is to be noted is there only if there is such a thing: the `defect` of a document that is
    ill-formed, how many entries were `dropped` because there are too many, and where the address
    `redirects_to` permanently. If nothing has changed (status 304, or the same document again),
    there are no entries to count. Raises a FeedError. Of the feeds of one host only a few are
    polled at a time, and none that is to be left alone: then there is no run.
    """
    response: Response | None = None
    try:
        response = await fetch(feed.url, validators=recording.validators_of(feed))
        parsed = await _parsed(feed, response)
    except FeedError as error:
        await in_shared_thread(recording.failed, feed, error, response)
        raise
    counts = Counts()
    if parsed is not None or not recording.changes_nothing(feed, response):
        counts = await in_shared_transaction(recording.succeeded, feed, response, parsed)
    if response.moved_to is not None:
        await in_shared_thread(recording.settle_move, feed, response)
    if public_url():
        await in_shared_thread(note_hub, feed, response, parsed, counts)
    _log(feed, response, parsed, counts)
    return {
        "new": counts.new,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "status": response.status,
        **_noted(response, parsed),
    }


@scheduled_task(name=UPKEEP, timeout=UPKEEP_TIMEOUT)
async def keep_subscriptions() -> dict[str, int]:
    """Ask hubs to tell us when feeds change (WebSub), before what they have promised ends.

    Returns how many requests hubs have taken, for what is `subscribed` (or renewed) and
    `unsubscribed` once they confirm it, how many have `failed`, and how many `polls` were requested
    that could not be when their hubs pushed. What fails is tried again later, and doesn't fail the
    run.
    """
    return asdict(await upkeep.keep())


def _noted(response: Response, parsed: ParsedFeed | None) -> dict[str, int | str]:
    """Return what people should know of a poll besides its counts."""
    notes = {} if parsed is None else recording.noted(parsed)
    notes["redirects_to"] = shown_url(response.moved_to or "")
    return {name: value for name, value in notes.items() if value}


async def _parsed(feed: Feed, response: Response) -> ParsedFeed | None:
    """Read a document; return None if it is the one that has been read last."""
    if not recording.is_new(feed, response):
        return None
    # Its own address is the base of links without one, which people see.
    base = without_secrets(response.url)
    return await sandbox.parse_async(response.body, response.content_type, base)


def _log(feed: Feed, response: Response, parsed: ParsedFeed | None, counts: Counts) -> None:
    if response.status == HTTPStatus.NOT_MODIFIED:
        logger.info("%s has not changed since the last poll.", feed.shown_url)
    elif parsed is None:
        logger.info("%s is the same document as at the last poll.", feed.shown_url)
    else:
        logger.info(
            "%s: %d new, %d updated and %d unchanged entries (%d bytes).",
            feed.shown_url,
            counts.new,
            counts.updated,
            counts.unchanged,
            len(response.body),
        )
        if parsed.defect:
            logger.warning("%s is broken, but could be read: %s", feed.shown_url, parsed.defect)
        if parsed.dropped:
            logger.warning("%s has %d entries more than are read.", feed.shown_url, parsed.dropped)
