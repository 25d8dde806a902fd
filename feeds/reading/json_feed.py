"""JSON Feed 1.0 and 1.1 (https://www.jsonfeed.org)."""

import json
from datetime import datetime
from typing import Any

from feeds.reading.dates import read_date
from feeds.reading.enclosures import distinct, enclosure
from feeds.reading.entries import MAX_NAMES, clean_language, string
from feeds.reading.identity import Signs
from feeds.reading.markup import safe_html, safe_text
from feeds.reading.result import MAX_TEXT, Enclosure, ParsedEntry
from feeds.reading.text import clean_text, web_link


class JsonFeed:
    """A JSON Feed that came from `url`; values of another type than they should be aren't there."""

    def __init__(self, values: dict[str, Any], url: str) -> None:
        self.values = values
        self.url = url
        self.items = [item for item in _list(values, "items") if isinstance(item, dict)]
        self.language = clean_language(string(values, "language"))
        self._authors = _authors(values)

    @property
    def hub(self) -> str:
        """Where changes can be subscribed to, or ""."""
        hubs = (one for one in _list(self.values, "hubs") if isinstance(one, dict))
        return next((web for one in hubs if (web := web_link(string(one, "url"), self.url))), "")

    def link(self, key: str) -> str:
        """Return a web link of the feed, or ""."""
        return web_link(string(self.values, key), self.url)

    def signs(self, item: dict[str, Any]) -> Signs:
        """Return what may identify an entry."""
        texts = [string(item, key) for key in ("title", "content_html", "content_text", "summary")]
        return Signs(id=_id(item), link=self._link(item), text=" ".join("\n".join(texts).split()))

    def date(self, item: dict[str, Any]) -> datetime | None:
        """Return when an entry was published or, if that isn't known, updated."""
        dates = (read_date(string(item, key)) for key in ("date_published", "date_modified"))
        return next(filter(None, dates), None)

    def entry(self, item: dict[str, Any], guid: str, with_html: bool = True) -> ParsedEntry:
        """Return an entry without its digest, and without its texts unless `with_html`."""
        link = self._link(item)
        language = clean_language(string(item, "language")) or self.language
        published = string(item, "date_published")
        base = link or self.url
        return ParsedEntry(
            guid=guid,
            title=clean_text(string(item, "title")),
            link=link,
            author=clean_text(", ".join(_authors(item) or self._authors)),
            summary=safe_text(string(item, "summary")) if with_html else "",
            content=_content(item, base) if with_html else "",
            published=read_date(published, language),
            updated=read_date(string(item, "date_modified"), language),
            digest="",
            published_text=clean_text(published, MAX_TEXT),
            categories=_categories(item),
            enclosures=_attachments(item, base),
            image=web_link(string(item, "image") or string(item, "banner_image"), base),
            language=language,
        )

    def _link(self, item: dict[str, Any]) -> str:
        links = (string(item, "url"), string(item, "external_url"))
        return next((web for link in links if (web := web_link(link, self.url))), "")


def read_json_feed(text: str, url: str) -> JsonFeed | None:
    """Read a JSON Feed that came from `url`; None if it is something else."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_feed = isinstance(values, dict) and "jsonfeed.org/version/" in string(values, "version")
    return JsonFeed(values, url) if is_feed else None


def _list(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else []


def _id(item: dict[str, Any]) -> str:
    value = item.get("id")
    # The specification wants a text; numbers are common.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return clean_text(str(value) if is_number else string(item, "id"), 4_000)


def _authors(data: dict[str, Any]) -> list[str]:
    people = [*_list(data, "authors"), data.get("author")]
    names = (clean_text(string(one, "name")) for one in people)
    return list(dict.fromkeys(filter(None, names)))[:MAX_NAMES]


def _content(item: dict[str, Any], base: str) -> str:
    markup = string(item, "content_html")
    return safe_html(markup, base) if markup else safe_text(string(item, "content_text"))


def _categories(item: dict[str, Any]) -> tuple[str, ...]:
    names = (clean_text(tag, 100) for tag in _list(item, "tags") if isinstance(tag, str))
    return tuple(dict.fromkeys(filter(None, names)))[:MAX_NAMES]


def _attachments(item: dict[str, Any], base: str) -> tuple[Enclosure, ...]:
    return distinct(
        enclosure(
            string(one, "url"),
            base,
            string(one, "mime_type"),
            _digits(one, "size_in_bytes"),
            _digits(one, "duration_in_seconds"),
        )
        for one in _list(item, "attachments")
    )


def _digits(data: Any, key: str) -> str:
    value = data.get(key) if isinstance(data, dict) else None
    return str(int(value)) if isinstance(value, int | float) and 0 <= value < 1e15 else ""
