"""Make one feed's entries of those of two."""

from collections.abc import Mapping

from feeds.keeping import matching, retention
from feeds.models import Entry, Feed
from tasks.database import chunks

# How many rows are written at a time.
WRITTEN = 500
Tagged = Entry.tags.through


def unite_entries(kept: Feed, left: Feed) -> None:
    """Give a feed what another one has that it hasn't: entries, and what is remembered.

    An entry that both have gets the star and the tags of the other one, too.

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
    _hand_over_tags({others[place].pk: own[at].pk for place, at in pairs.items()})
    added = [entry for place, entry in enumerate(others) if place not in pairs]
    for entry in added:
        entry.feed = kept
    Entry.objects.bulk_update(added, ["feed"], batch_size=WRITTEN)
    retention.hand_over(left, kept)


def _hand_over_tags(pairs: Mapping[int, int]) -> None:
    """Give entries the tags of others, by their keys: from whom to whom."""
    for keys in chunks(pairs, WRITTEN):
        given = Tagged.objects.filter(entry__in=keys).values_list("entry", "tag")
        links = [Tagged(entry_id=pairs[entry], tag_id=tag) for entry, tag in given]
        Tagged.objects.bulk_create(links, ignore_conflicts=True)


def _entries(feed: Feed) -> list[Entry]:
    fields = ("guid", "link", "title", "published", "first_seen", "starred")
    return list(Entry.objects.filter(feed=feed).order_by("-published", "-id").only(*fields))
