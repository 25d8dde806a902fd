"""The files that belong to an entry."""

import re
from collections.abc import Iterable

from feeds.reading.result import Enclosure
from feeds.reading.text import clean_text, web_link

MAX_ENCLOSURES = 50
_TYPE = re.compile(r"[\w.+-]+/[\w.+*-]+")


def enclosure(
    url: str, base: str, kind: str = "", length: str = "", duration: str = ""
) -> Enclosure:
    """Return an enclosure of what a document says about it; what makes no sense is left out."""
    kind = clean_text(kind, 100).lower()
    return Enclosure(
        url=web_link(url, base),
        type=kind if _TYPE.fullmatch(kind) else "",
        length=whole_number(length) or None,
        duration=seconds(duration),
    )


def distinct(enclosures: Iterable[Enclosure]) -> tuple[Enclosure, ...]:
    """Return the enclosures with an address, each once, with all that is known of it."""
    found: dict[str, Enclosure] = {}
    for one in enclosures:
        known = found.get(one.url, one)
        found[one.url] = Enclosure(
            url=one.url,
            type=known.type or one.type,
            length=known.length or one.length,
            duration=known.duration or one.duration,
        )
    found.pop("", None)
    return tuple(found.values())[:MAX_ENCLOSURES]


def seconds(text: str) -> int | None:
    """Return a length of time: `95`, `95.3`, `1:35` or `0:01:35`, or None."""
    match = re.fullmatch(r"\s*(?:(?:(\d{1,3}):)?(\d{1,4}):)?(\d{1,6})(?:\.\d+)?\s*", text)
    if match is None:
        return None
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return hours * 3_600 + minutes * 60 + rest or None


def whole_number(text: str) -> int | None:
    """Return a number of bytes, or None; some write it with separators."""
    text = re.sub(r"[\s,.']", "", text[:40])
    return int(text) if re.fullmatch(r"\d{1,15}", text) else None
