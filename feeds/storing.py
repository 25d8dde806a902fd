"""Store what was read from a feed: which entries are new, which have changed, and which may go."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from feeds.exceptions import UnknownFeed
from feeds.keeping import changes, matching, retention, writing
from feeds.keeping.documents import keep_document
from feeds.keeping.matching import Identity
from feeds.models import Entry, Feed
from feeds.reading.result import ParsedEntry, ParsedFeed
from tasks import clock
from tasks.database import atomic

__all__ = ["Counts", "keep_document", "prune", "prunes_by_age", "store"]

# With how many of a feed's newest entries those are compared whose guid isn't stored.
COMPARED = 2_000
COMPARED_FIELDS = [
    *("guid", "link", "title", "published", "first_seen", "digest", "changes", "changed"),
]
MOST_CHANGES = 32_767  # what the column holds


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of a document's entries are new, have changed, and are the same as before.

    Those count as the same, too, of which nothing is stored because they are no longer kept, or
    change at every fetch. `pruned` is how many others were deleted.
    """

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    pruned: int = 0


def store(feed: Feed, parsed: ParsedFeed, **fields: Any) -> Counts:
    """Store a document's new and changed entries, and these columns of its feed.

    All in one transaction, and in a number of queries that doesn't grow with what is stored. If
    several entries have the same guid, the first counts. Two concurrent polls of a feed store one
    after the other. Raises UnknownFeed if the feed was removed meanwhile.
    """
    said = {"title": parsed.title, "link": parsed.link}
    fields |= {name: value for name, value in said.items() if value}
    with atomic():
        # First of all, so that others who store this feed wait.
        stored = Feed.objects.filter(pk=feed.pk).update(**fields, updated=clock.now())
        if not stored:
            name = f"Feed {feed.pk}"
            raise UnknownFeed(name, "it isn't stored (any more). Delete its schedule.")
        return _store_entries(feed, parsed)


def prune(feed: Feed) -> int:
    """Delete the entries of a feed that are too old, and return how many those were.

    For polls that have nothing to store. It asks the database nothing if there is no such limit.
    """
    if not prunes_by_age(feed):
        return 0
    with atomic():
        return retention.prune(feed, clock.now())


def prunes_by_age(feed: Feed) -> bool:
    """Return whether entries of a feed are deleted once they are old, whatever it lists."""
    return retention.limits(feed).days is not None


def _store_entries(feed: Feed, parsed: ParsedFeed) -> Counts:
    now = clock.now()
    listed = _first_of_each(parsed.entries)
    identities = {guid: _identity(entry) for guid, entry in listed.items()}
    known = _known(feed, identities)
    gone = retention.buried(feed, [one for guid, one in identities.items() if guid not in known])
    rows, new = [], 0
    for guid, entry in listed.items():
        stored = known.get(guid)
        if stored is not None:
            if _is_change(stored, entry, now):
                rows.append(_changed_row(feed, entry, parsed, stored, now))
        elif identities[guid] not in gone:
            rows.append(_row(feed, entry, parsed, guid, now))
            new += 1
    # Documents list the newest first: in reverse order, the newest gets the highest id.
    writing.write(rows[::-1])
    pruned = 0
    if new or prunes_by_age(feed):
        kept = {entry.guid for entry in (*known.values(), *rows)}
        pruned = retention.prune(feed, now, kept)
    if pruned:
        retention.forget(feed, identities.values())
    return Counts(new, len(rows) - new, len(listed) - len(rows), pruned)


def _first_of_each(entries: Iterable[ParsedEntry]) -> dict[str, ParsedEntry]:
    listed: dict[str, ParsedEntry] = {}
    for entry in entries:
        listed.setdefault(entry.guid, entry)
    return listed


def _identity(entry: ParsedEntry) -> Identity:
    return Identity(entry.guid, entry.link, entry.title, entry.published, entry.guids)


def _known(feed: Feed, identities: Mapping[str, Identity]) -> dict[str, Entry]:
    """Return which stored entry each listed one is, by the guids that are listed.

    An entry whose guid is now of another form takes it over, if it says no less.
    """
    entries = Entry.objects.filter(feed=feed).order_by("-published", "-id").only(*COMPARED_FIELDS)
    guids = {guid for one in identities.values() for guid in (one.guid, *one.guids)}
    stored = {entry.guid: entry for entry in entries.filter(guid__in=guids)}
    strangers = [one for one in identities.values() if stored.keys().isdisjoint(one.narrow)]
    if strangers and _may_match(strangers, entries):
        stored |= {entry.guid: entry for entry in entries[:COMPARED]}
    listed, candidates = list(identities.values()), list(stored.values())
    others = [retention.identity(entry) for entry in candidates]
    known: dict[str, Entry] = {}
    moved = []
    for new, old in matching.match(listed, others).items():
        known[listed[new].guid] = candidates[old]
        if matching.takes_over(listed[new], others[old]) and listed[new].guid not in stored:
            candidates[old].guid = listed[new].guid
            moved.append(candidates[old])
    if moved:
        Entry.objects.bulk_update(moved, ["guid"])
    return known


def _may_match(listed: Sequence[Identity], entries: QuerySet[Entry]) -> bool:
    """Return whether stored entries could be listed ones whose guids have another form now."""
    return matching.may_match(listed, entries.values_list("guid", "link", "title")[:COMPARED])


def _is_change(stored: Entry, entry: ParsedEntry, now: datetime) -> bool:
    is_same = stored.digest == entry.digest
    return not is_same and changes.is_stored(stored.changes, stored.changed, now)


def _row(feed: Feed, entry: ParsedEntry, parsed: ParsedFeed, guid: str, now: datetime) -> Entry:
    row = Entry(
        feed=feed,
        guid=guid,
        title=entry.title,
        link=entry.link,
        author=entry.author,
        summary=entry.summary,
        content=entry.content,
        published=changes.published_at(entry, now),
        published_text=entry.published_text,
        updated=entry.updated,
        digest=entry.digest,
        first_seen=now,
        categories=list(entry.categories),
        enclosures=[asdict(enclosure) for enclosure in entry.enclosures],
        image=entry.image,
        comments=entry.comments,
        language=entry.language or parsed.language,
    )
    row.note_words()
    return row


def _changed_row(
    feed: Feed, entry: ParsedEntry, parsed: ParsedFeed, stored: Entry, now: datetime
) -> Entry:
    row = _row(feed, entry, parsed, stored.guid, now)
    row.changes, row.changed = min(stored.changes + 1, MOST_CHANGES), now
    return row
