"""What was read from a document: text on one line, safe HTML, web links, aware times in UTC."""

from dataclasses import dataclass
from datetime import datetime

MAX_TEXT = 500  # characters of a title, an author or a guid
MAX_LINK = 2_000
# Of a longer document, the newest.
MAX_ENTRIES = 1_000


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A file that belongs to an entry; `length` is in bytes, `duration` in seconds."""

    url: str
    type: str = ""
    length: int | None = None
    duration: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedEntry:
    """An entry. `summary` and `content` are safe HTML, `summary` empty if it is the content.

    `guid` identifies it within its feed; `digest` changes with its content. `guids` are all that it
    may have, the narrowest first: which one it has depends on the other entries of its document.
    """

    guid: str
    title: str
    link: str
    author: str
    summary: str
    content: str
    published: datetime | None
    updated: datetime | None
    digest: str
    # The date of publication as the document has it, also if nobody can read it.
    published_text: str = ""
    categories: tuple[str, ...] = ()
    enclosures: tuple[Enclosure, ...] = ()
    image: str = ""
    comments: str = ""  # where it is discussed
    language: str = ""
    guids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """A feed: its title, its site and its entries, in the order of the document.

    `update_seconds`, `skip_hours` (UTC) and `skip_days` (0 is Monday) say when it is not worth
    asking again. `hub` and `self_link` are for WebSub. `defect` says what is wrong with a document
    that could be read nevertheless, and `dropped` how many entries there were too many.
    """

    title: str
    link: str
    entries: tuple[ParsedEntry, ...]
    language: str = ""
    image: str = ""
    update_seconds: int | None = None
    skip_hours: tuple[int, ...] = ()
    skip_days: tuple[int, ...] = ()
    hub: str = ""
    self_link: str = ""
    defect: str = ""
    dropped: int = 0
