"""Make one feed's entries of those of two."""

from feeds.keeping import matching, retention
from feeds.models import Entry, Feed

# How many rows are written at a time.
WRITTEN = 500


def unite_entries(kept: Feed, left: Feed) -> None:
    """Give a feed what another one has that it hasn't: entries, stars, and what is remembered.

    Which entries are the same is decided as it is for those of a document. To be called in a
    transaction.
    """
    own, others = _entries(kept), _entries(left)
    pairs = matching.match(
        [retention.identity(entry) for entry in others],
        [retention.identity(entry) for entry in own],
    )
    starred = [own[at] for place, at in pairs.items() if others[place].starred]
    for entry in starred:
        entry.starred = True
    Entry.objects.bulk_update(starred, ["starred"], batch_size=WRITTEN)
    added = [entry for place, entry in enumerate(others) if place not in pairs]
    for entry in added:
        entry.feed = kept
    Entry.objects.bulk_update(added, ["feed"], batch_size=WRITTEN)
    retention.hand_over(left, kept)


def _entries(feed: Feed) -> list[Entry]:
    fields = ("guid", "link", "title", "published", "first_seen", "starred")
    return list(Entry.objects.filter(feed=feed).order_by("-published", "-id").only(*fields))
