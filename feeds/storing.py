"""Store what was read from a feed: which entries are new, which have changed, and which may go."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from feeds.exceptions import UnknownFeed
from feeds.models import Entry, Feed
from feeds.reading.result import ParsedEntry, ParsedFeed
from tasks import clock
from tasks.database import atomic

# How many of the entries that a feed no longer lists are kept: the newest ones.
KEEP_ENTRIES = 1_000
CONTENT_FIELDS = ["title", "link", "author", "summary", "content", "published", "updated", "digest"]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of a document's entries are new, have changed, and are the same as before."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0


def store(feed_id: int, parsed: ParsedFeed, **fields: Any) -> Counts:
    """Store a document's new and changed entries, and these columns of its feed.

    All in one transaction. If several entries have the same guid, the first counts. Two concurrent
    polls of a feed store one after the other. Raises UnknownFeed if the feed was removed meanwhile.
    """
    listed = _first_of_each(parsed.entries)
    with atomic():
        feed = Feed.objects.select_for_update(no_key=True).filter(pk=feed_id).first()
        if feed is None:
            raise _unknown(feed_id)
        stored = {entry.guid: entry for entry in _known_entries(feed)}
        counts = _store_entries(feed, listed, stored)
        _prune([entry for guid, entry in stored.items() if guid not in listed])
        feed.title = parsed.title or feed.title
        feed.link = parsed.link or feed.link
        for name, value in fields.items():
            setattr(feed, name, value)
        feed.save(update_fields=["title", "link", "updated", *fields])
    return counts


def _unknown(feed_id: int) -> UnknownFeed:
    name = f"Feed {feed_id}"
    return UnknownFeed(name, "it isn't stored (any more). Delete its schedule.")


def _first_of_each(entries: Iterable[ParsedEntry]) -> dict[str, ParsedEntry]:
    listed: dict[str, ParsedEntry] = {}
    for entry in entries:
        listed.setdefault(entry.guid, entry)
    return listed


def _known_entries(feed: Feed) -> Iterable[Entry]:
    return Entry.objects.filter(feed=feed).only("guid", "digest", "published")


def _store_entries(feed: Feed, listed: dict[str, ParsedEntry], stored: dict[str, Entry]) -> Counts:
    now = clock.now()
    changed = [
        _row(feed, entry, stored.get(guid), now)
        for guid, entry in listed.items()
        if guid not in stored or stored[guid].digest != entry.digest
    ]
    # Documents list the newest first: in reverse order, the newest gets the highest id.
    Entry.objects.bulk_create(
        reversed(changed),
        update_conflicts=True,
        unique_fields=["feed", "guid"],
        update_fields=CONTENT_FIELDS,
    )
    new = sum(entry.guid not in stored for entry in changed)
    return Counts(new, len(changed) - new, len(listed) - len(changed))


def _row(feed: Feed, entry: ParsedEntry, known: Entry | None, now: datetime) -> Entry:
    published = entry.published or (known.published if known else entry.updated) or now
    return Entry(
        feed=feed,
        guid=entry.guid,
        title=entry.title,
        link=entry.link,
        author=entry.author,
        summary=entry.summary,
        content=entry.content,
        published=min(published, now),
        updated=entry.updated,
        digest=entry.digest,
        first_seen=now,
    )


def _prune(unlisted: list[Entry]) -> None:
    """Delete all but the newest of these entries, which are given newest first."""
    too_old = [entry.pk for entry in unlisted[KEEP_ENTRIES:]]
    if too_old:
        Entry.objects.filter(pk__in=too_old).delete()
