"""Which entry it is: what stays the same when an entry is edited, and differs from all others."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from feeds.reading.result import MAX_LINK, MAX_TEXT
from feeds.reading.text import clean_text


@dataclass(frozen=True, slots=True)
class Signs:
    """What may tell an entry from others. The text is needed only if there is no id and no link."""

    id: str
    link: str
    text: str


def guids(entries: Iterable[Signs]) -> list[str]:
    """Return what identifies each entry of a document within its feed.

    That is its id. If entries with different links share an id, it is the id with the link. Without
    an id it is the link, and without both the text; never the date, which some feeds renew.
    """
    entries = list(entries)
    links = defaultdict(set)
    for entry in entries:
        links[entry.id].add(entry.link)
    return [_guid(entry, is_shared=len(links[entry.id]) > 1) for entry in entries]


def _guid(entry: Signs, is_shared: bool) -> str:
    if entry.id and is_shared:
        return identifier(f"{entry.id} {entry.link}")
    return identifier(entry.id or entry.link) or digest(entry.text)


def identifier(text: str) -> str:
    """Return a text that can be a guid: on one line, and a hash if it is too long."""
    text = clean_text(text, 2 * MAX_LINK)
    return text if len(text) <= MAX_TEXT else f"sha256:{digest(text)}"


def digest(text: str) -> str:
    """Return a hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
