"""Fetches a document for a person who waits for it: a web page, a feed, a list of feeds."""

from dataclasses import replace

from feeds.asking.fetching import Response, fetch
from feeds.asking.rules import rules_of_site
from tasks.runs import coroutines

# In seconds, for everything together: somebody waits.
PATIENCE = 15.0


def look_at(url: str, patience: float = PATIENCE) -> Response:
    """Fetch a URL as a poll does, with its guard and limits, in so many seconds.

    Raises a FeedError.
    """
    return coroutines.run(fetch(url, rules=replace(rules_of_site(), total_timeout=patience)))
