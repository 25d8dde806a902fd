"""Fetches a document for a person who waits for it: a web page, a feed, a list of feeds."""

from django.conf import settings

from feeds.fetching import Response, fetch
from tasks.runs import coroutines

# In seconds, for everything together: somebody waits.
PATIENCE = 15.0


def look_at(url: str, patience: float = PATIENCE) -> Response:
    """Fetch a URL as a poll does, with its guard and limits, in so many seconds.

    Raises a FeedError.
    """
    return coroutines.run(
        fetch(
            url,
            allowed_hosts=frozenset(getattr(settings, "FEEDS_ALLOWED_HOSTS", ())),
            total_timeout=patience,
        )
    )
