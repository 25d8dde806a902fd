"""The task function that polls a feed."""

import logging
from http import HTTPStatus

from feeds import sandbox
from feeds.asking import recording
from feeds.asking.check import may_ask
from feeds.asking.fetching import Response, fetch
from feeds.asking.hosts import limit_key
from feeds.asking.rules import per_host
from feeds.exceptions import FeedError, without_secrets
from feeds.models import Feed
from feeds.reading.result import ParsedFeed
from feeds.storing import Counts
from tasks.decorators import scheduled_task
from tasks.runs.shared_threads import in_shared_thread
from tasks.runs.shared_transactions import in_shared_transaction

logger = logging.getLogger(__name__)


@scheduled_task(check=may_ask, max_concurrent=per_host(), limit_key=limit_key)
async def fetch_rss(feed: Feed) -> dict[str, int]:
    """Poll a feed: fetch it if it has changed, and store its new and changed entries.

    Returns how many entries are `new`, `updated` and `unchanged`, and the HTTP `status`. If nothing
    has changed (status 304, or the same document again), there are no entries to count. Raises a
    FeedError. Of the feeds of one host only a few are polled at a time, and none that is to be left
    alone: then there is no run.
    """
    response: Response | None = None
    try:
        response = await fetch(feed.url, validators=recording.validators_of(feed))
        parsed = await _parsed(feed, response)
    except FeedError as error:
        await in_shared_thread(recording.failed, feed, error, response)
        raise
    counts = await in_shared_transaction(recording.succeeded, feed, response, parsed)
    if response.moved_to is not None:
        await in_shared_thread(recording.settle_move, feed, response)
    _log(feed, response, parsed, counts)
    return {
        "new": counts.new,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "status": response.status,
    }


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
