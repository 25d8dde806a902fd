"""Turn the bytes of a feed, in whatever format, into a ParsedFeed.

feedparser takes quadratic time in many cases (feedparser#562): 100 KB of newlines before the root
element, 5 MiB of attributes or of unclosed elements each take over 20 s. No cap on the input covers
them all, so `feeds.sandbox` runs `parse` under a hard limit; use that for untrusted documents. The
caps here limit the output.
"""

import json
from dataclasses import astuple, fields, replace
from datetime import UTC, datetime
from typing import Any

from feeds.exceptions import NotAFeed, shown_url
from feeds.reading import hints
from feeds.reading.charsets import decode
from feeds.reading.discovery import feeds_of_page
from feeds.reading.documents import Document, Root, find_root, read_document
from feeds.reading.entries import EntryReader, image_of, link_with, read_title, string
from feeds.reading.identity import digest, guids
from feeds.reading.json_feed import JsonFeed, read_json_feed
from feeds.reading.result import MAX_ENTRIES, Enclosure, ParsedEntry, ParsedFeed
from feeds.reading.text import clean_text, start_of, web_link

MAX_ALL_HTML = 10_000_000  # characters of all HTML texts of a document
MAX_DEFECT = 300

# What an entry says. Its image isn't part of that: many have another address at each poll.
_NOT_DIGESTED = frozenset({"guid", "guids", "digest", "image"})
_DIGESTED = [one.name for one in fields(ParsedEntry) if one.name not in _NOT_DIGESTED]

Identified = tuple[Any, str, tuple[str, ...]]  # an item, its guid, and all that it may have


def parse(body: bytes, content_type: str, url: str) -> ParsedFeed:
    """Read a feed that came from `url`: RSS, RDF, CDF, Atom or JSON Feed; raises NotAFeed.

    Broken documents are read as far as possible: `defect` says what is wrong.
    """
    text, wrong_charset = decode(body, content_type)
    text = text.lstrip("\ufeff \t\r\n")
    if text.startswith("{"):
        found = read_json_feed(text, url)
        if found is None:
            raise _not_a_feed(url)
        return _of_json(found, wrong_charset)
    root = find_root(text)
    if root is None or root.is_page:
        raise _not_a_feed(url, text)
    return _of_document(_document(text, root, url), url, wrong_charset)


def _document(text: str, root: Root, url: str) -> Document:
    try:
        document = read_document(text, root, url)
    except MemoryError:
        raise
    except Exception as error:  # an element named like one of its own keys breaks feedparser
        raise NotAFeed(
            url,
            "this document can't be read (%(why)s); tell its publisher.",
            why=type(error).__name__,
        ) from error
    if document is None:
        raise _not_a_feed(url)
    return document


def _not_a_feed(url: str, page: str = "") -> NotAFeed:
    found = feeds_of_page(page, url) if page else ()
    if not found:
        return NotAFeed(
            url,
            "this is neither RSS nor Atom nor a JSON Feed. If it is a web page, look there for the "
            "address of its feed.",
        )
    error = NotAFeed(
        url,
        "this is neither RSS nor Atom nor a JSON Feed, but a web page. Its feed is %(found)s: take "
        "that address instead.",
        found=shown_url(found[0].url),
    )
    error.found = found
    return error


def _of_json(feed: JsonFeed, wrong_charset: str) -> ParsedFeed:
    entries, dropped, defects = _entries(feed.items, feed)
    return ParsedFeed(
        title=clean_text(string(feed.values, "title")),
        link=feed.link("home_page_url"),
        entries=entries,
        language=feed.language,
        image=feed.link("icon") or feed.link("favicon"),
        hub=feed.hub,
        self_link=feed.link("feed_url"),
        defect=_defect([wrong_charset, *defects]),
        dropped=dropped,
    )


def _of_document(document: Document, url: str, wrong_charset: str) -> ParsedFeed:
    feed = document.feed
    found = [entry for entry in document.entries if isinstance(entry, dict)]
    reader = EntryReader(feed, url)
    entries, dropped, defects = _entries(found, reader)
    return ParsedFeed(
        title=read_title(feed),
        link=web_link(string(feed, "link"), url) or link_with(feed, "alternate", url),
        entries=entries,
        language=reader.language,
        image=image_of(feed, url),
        update_seconds=hints.update_seconds(
            string(feed, "ttl"), string(feed, "sy_updateperiod"), string(feed, "sy_updatefrequency")
        ),
        skip_hours=hints.skipped_hours(_texts(feed, "skipped_hours")),
        skip_days=hints.skipped_days(_texts(feed, "skipped_days")),
        hub=link_with(feed, "hub", url),
        self_link=link_with(feed, "self", url),
        defect=_defect([wrong_charset, *document.defects, *defects]),
        dropped=dropped,
    )


def _entries(
    items: list[Any], reader: EntryReader | JsonFeed
) -> tuple[tuple[ParsedEntry, ...], int, list[str]]:
    """Return the entries to keep, how many there were too many, and what is wrong with them."""
    forms = [reader.signs(item).forms for item in items]
    identified = list(zip(items, guids(forms), forms, strict=True))
    kept = _newest(identified, reader) if len(identified) > MAX_ENTRIES else identified
    html_left = MAX_ALL_HTML
    entries: list[ParsedEntry] = []
    for item, guid, others in kept:
        entry = _finished(reader.entry(item, guid, with_html=html_left > 0), others)
        html_left -= len(entry.summary) + len(entry.content)
        entries.append(entry)
    defects = [] if html_left > 0 else ["its last entries are without their text: it is too long"]
    return tuple(entries), len(items) - len(kept), defects


def _newest(identified: list[Identified], reader: EntryReader | JsonFeed) -> list[Identified]:
    """Return the newest entries in their order: the first ones if none has a date."""
    dates = _with_missing([reader.date(item) for item, *_ in identified])
    later = 1 if dates[0] < dates[-1] else -1  # which way the document goes
    places = range(len(dates))
    numbers = sorted(places, key=lambda place: (dates[place], later * place), reverse=True)
    return [identified[number] for number in sorted(numbers[:MAX_ENTRIES])]


def _with_missing(dates: list[datetime | None]) -> list[datetime]:
    """Return dates, each missing one as that of the entry before it, or else after it."""
    latest = next(filter(None, dates), datetime.min.replace(tzinfo=UTC))
    found = []
    for date in dates:
        latest = date or latest
        found.append(latest)
    return found


def _finished(entry: ParsedEntry, others: tuple[str, ...]) -> ParsedEntry:
    """Return an entry with its digest and all its guids, and with a title to show."""
    values = [getattr(entry, name) for name in _DIGESTED]
    title = entry.title or start_of(entry.summary or entry.content)
    said = digest(json.dumps(values, default=_plain))
    return replace(entry, title=title, digest=said, guids=others)


def _plain(value: datetime | Enclosure) -> object:
    return astuple(value) if isinstance(value, Enclosure) else value.astimezone(UTC).isoformat()


def _texts(feed: Any, key: str) -> list[str]:
    value = dict.get(feed, key)
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _defect(defects: list[str]) -> str:
    return clean_text("; ".join(dict.fromkeys(filter(None, defects))), MAX_DEFECT)
