"""PURE: when an entry was published, and whether a change of it is stored."""

from datetime import datetime, timedelta

from feeds.reading.result import ParsedEntry

# Some entries change at every fetch: a counter, an advertisement, a link with a number in it. After
# so many changes, the next ones are stored once a day.
FREE_CHANGES = 24
THEN_EVERY = timedelta(days=1)


def published_at(entry: ParsedEntry, now: datetime) -> datetime:
    """Return when a new entry was published: as its document says, else now, when it is first seen.

    A date that is in the future, or can't be read, is as good as none. One that was only changed,
    as an Atom entry need not say more, was published then.
    """
    said = entry.published or (None if entry.published_text else entry.updated)
    return said if said is not None and said <= now else now


def is_stored(changes: int, changed: datetime | None, now: datetime) -> bool:
    """Return whether an entry's next change is stored, after so many, the latest at `changed`."""
    return changes < FREE_CHANGES or changed is None or now - changed >= THEN_EVERY
