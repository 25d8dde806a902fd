"""Which entries are no longer kept, and what remains of them."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from feeds.keeping import matching
from feeds.keeping.matching import Identity
from feeds.models import Entry, Feed, Tombstone
from tasks.ledger.retention import Keep, keep_setting

SETTING = "FEEDS_KEEP_ENTRIES"
DEFAULT = {"number": 1_000}
# How many entries of a feed one poll deletes at most.
MOST_PRUNED = 5_000
# How many tombstones of a feed are kept, up to four for each entry: more than a document has.
MOST_TOMBSTONES = 30_000


def limits(feed: Feed) -> Keep:
    """Return how long entries of a feed are kept, and how many; None keeps all.

    What isn't said of the feed itself, the site says.
    """
    site = keep_setting(SETTING, DEFAULT)
    days = site.days if feed.keep_days is None else feed.keep_days
    number = site.number if feed.keep_entries is None else feed.keep_entries
    return Keep(days or None, number or None)


def prune(feed: Feed, now: datetime, listed: Collection[str] | None = None) -> int:
    """Delete the entries that a feed no longer keeps, and return how many those were.

    `listed` has the guids of those that its document lists now: they don't count, and stay however
    many there are; None if that isn't known, then only the age counts. What is starred or has a tag
    of its own stays. The age is how long ago an entry was first seen: those of a new feed are all
    new.
    """
    keep = limits(feed)
    entries = Entry.objects.not_kept_by_people().filter(feed=feed).order_by("-published", "-id")
    old: list[Entry] = []
    if keep.days is not None:
        too_old = entries.filter(first_seen__lt=now - timedelta(days=keep.days))
        old += _brief(too_old)[:MOST_PRUNED]
    if keep.number is not None and listed is not None and _has_more(feed, keep.number):
        surplus = _brief(entries.exclude(guid__in=listed))
        old += surplus[keep.number : keep.number + MOST_PRUNED]
    if old:
        bury(feed, map(identity, old))
        gone = Entry.objects.not_kept_by_people().filter(pk__in={entry.pk for entry in old})
        gone.only("pk").delete()
    return len(old)


def _has_more(feed: Feed, number: int) -> bool:
    return bool(Entry.objects.filter(feed=feed).order_by().values_list("pk")[number : number + 1])


def identity(entry: Entry) -> Identity:
    """Return what tells a stored entry from others: its date only if that came with it."""
    is_dated = entry.published != entry.first_seen
    return Identity(entry.guid, entry.link, entry.title, entry.published if is_dated else None)


def bury(feed: Feed, identities: Iterable[Identity]) -> None:
    """Remember entries that are no longer kept."""
    keys = {key: matching.moved_key(one) for one in identities for key in _keys(one)}
    stones = [Tombstone(feed=feed, key=key, moved_key=moved) for key, moved in keys.items()]
    Tombstone.objects.bulk_create(
        stones, update_conflicts=True, unique_fields=["feed", "key"], update_fields=["moved_key"]
    )


def buried(feed: Feed, identities: Collection[Identity]) -> set[Identity]:
    """Return those that a feed had, and no longer keeps.

    Those that have another guid now are remembered under it, too, from now on.
    """
    stones = Tombstone.objects.filter(feed=feed)
    if not identities or not stones.exists():
        return set()
    guids = {one: matching.guid_keys(one) for one in identities}
    links = {one: matching.link_key_of(one) for one in identities}
    # Undated ones have moved only with their whole document.
    is_at_one_host = len({one.host for one in identities}) == 1
    moved = {
        one: matching.moved_key(one)
        for one in identities
        if is_at_one_host or one.published is not None
    }
    keys = {key for one in identities for key in (*guids[one], links[one]) if key is not None}
    dated = {number for number in moved.values() if number is not None}
    found = list(
        stones.filter(Q(key__in=keys) | Q(moved_key__in=dated)).values_list("key", "moved_key")
    )
    known, elsewhere = {key for key, _ in found}, {number for _, number in found} - {None}
    gone = {one for one in identities if not known.isdisjoint(guids[one])}
    renamed = {one for one in identities if links[one] in known or moved.get(one) in elsewhere}
    renamed -= gone
    if renamed:
        bury(feed, renamed)
    return gone | renamed


def hand_over(left: Feed, kept: Feed) -> None:
    """Have one feed remember what another one remembers."""
    known = Tombstone.objects.filter(feed=kept).values("key")
    Tombstone.objects.filter(feed=left).exclude(key__in=known).update(feed=kept)


def forget(feed: Feed, listed: Collection[Identity]) -> None:
    """Forget the oldest tombstones that are too many, never those of what is listed."""
    stones = Tombstone.objects.filter(feed=feed).order_by("-id")
    kept = {key for one in listed for key in (matching.link_key_of(one), *matching.guid_keys(one))}
    surplus = stones.values_list("pk", "key")[MOST_TOMBSTONES:]
    old = [pk for pk, key in surplus if key not in kept]
    if old:
        Tombstone.objects.filter(pk__in=old).delete()


def _keys(stored: Identity) -> set[int]:
    """Return the keys by which an entry is known again, whichever guid it has then."""
    keys = (
        matching.key(stored),
        matching.neighbour_key(stored),
        matching.link_key(stored),
        matching.is_link_key(stored),
    )
    return {key for key in keys if key is not None}


def _brief(entries: QuerySet[Entry]) -> QuerySet[Entry]:
    return entries.only("guid", "link", "title", "published", "first_seen")
