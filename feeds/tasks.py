"""The task function that polls a feed."""

import logging

from django.conf import settings

from feeds import sandbox, storing
from feeds.exceptions import shown_url, without_secrets
from feeds.fetching import Response, fetch
from feeds.models import Feed
from tasks.decorators import scheduled_task
from tasks.runs import coroutines

logger = logging.getLogger(__name__)

NOT_MODIFIED = 304


@scheduled_task
def fetch_rss(feed: Feed) -> dict[str, int]:
    """Poll a feed: fetch it if it has changed, and store its new and changed entries.

    Returns how many entries are `new`, `updated` and `unchanged`, and the HTTP `status`. With
    status 304 nothing has changed, and there are no entries to count. Raises a FeedError.
    """
    response = _fetch(feed)
    if response.status == NOT_MODIFIED:
        logger.info("%s has not changed since the last poll.", feed.shown_url)
        counts = storing.Counts()
    else:
        # Its own address is the base of links without one, which people see.
        parsed = sandbox.parse(response.body, response.content_type, without_secrets(response.url))
        validators = {"etag": response.etag, "last_modified": response.last_modified}
        counts = storing.store(feed.pk, parsed, **validators)
        logger.info(
            "%s: %d new, %d updated and %d unchanged entries (%d bytes).",
            feed.shown_url,
            counts.new,
            counts.updated,
            counts.unchanged,
            len(response.body),
        )
    return {
        "new": counts.new,
        "updated": counts.updated,
        "unchanged": counts.unchanged,
        "status": response.status,
    }


def _fetch(feed: Feed) -> Response:
    response = coroutines.run(
        fetch(
            feed.url,
            etag=feed.etag,
            last_modified=feed.last_modified,
            allowed_hosts=frozenset(getattr(settings, "FEEDS_ALLOWED_HOSTS", ())),
        )
    )
    if response.moved_to:
        logger.warning(
            "%s has moved permanently to %s. Schedule that address instead.",
            feed.shown_url,
            shown_url(response.moved_to),
        )
    return response
