"""Which entry it is: what stays the same when an entry is edited, and differs from all others."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from feeds.reading.result import MAX_LINK, MAX_TEXT
from feeds.reading.text import clean_text

_NO_LINK = "-"


@dataclass(frozen=True, slots=True)
class Signs:
    """What may tell an entry from others. The text is its title and content."""

    id: str
    link: str
    text: str

    @property
    def forms(self) -> tuple[str, ...]:
        """All guids that it may have, depending on the others: the narrowest one first.

        That is its id; if it is shared, with the link, and then with the text. Without an id it is
        the link, then with the text; without both the text. It is never the date, which some feeds
        renew.
        """
        text = digest(self.text)
        if self.id:
            linked = with_link(self.id, self.link)
            return identifier(f"{linked} {text}"), linked, identifier(self.id)
        if self.link:
            return identifier(f"{self.link} {text}"), identifier(self.link)
        return (text,)


def guids(entries: Iterable[tuple[str, ...]]) -> list[str]:
    """Return what identifies each entry of a document within its feed, by the forms of each.

    That is the broadest form that no other has. Entries that are the same in all have one guid.
    """
    entries = list(entries)
    sharing = defaultdict(set)
    for forms in entries:
        for form in forms:
            sharing[form].add(forms[0])
    return [
        next((form for form in reversed(forms) if len(sharing[form]) == 1), forms[0])
        for forms in entries
    ]


def with_link(guid: str, link: str) -> str:
    """Return what a guid is together with the link of its entry."""
    return identifier(f"{guid} {link or _NO_LINK}")


def identifier(text: str) -> str:
    """Return a text that can be a guid: on one line, and a hash if it is too long."""
    text = clean_text(text, 4 * MAX_LINK)
    return text if len(text) <= MAX_TEXT else f"sha256:{digest(text)}"


def digest(text: str) -> str:
    """Return a hash of a text."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
