"""What feedparser knows about the feed and its entries, as clean text, safe HTML and web links.

Any element of a document can set any key of feedparser's dicts, to text or to attributes, and their
own `get` falls back from one key to another: values are only taken by `string` and `dicts`.
"""

from datetime import datetime
from typing import Any

from feeds.reading.dates import read_date
from feeds.reading.enclosures import distinct, enclosure
from feeds.reading.identity import Signs
from feeds.reading.markup import safe_html, safe_text
from feeds.reading.result import MAX_TEXT, Enclosure, ParsedEntry
from feeds.reading.text import clean_text, plain_text, title_text, web_link

MAX_NAMES = 50  # authors or categories of an entry
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "html", "xhtml"})
TEXT_TYPES = frozenset({"text/plain", "text", "plain"})
XHTML = frozenset({"application/xhtml+xml", "xhtml"})
# Links of an entry to something other than itself.
_OTHER_LINKS = frozenset({"edit", "hub", "license", "replies", "search"})


class EntryReader:
    """Reads the entries of a feed, which came from `url` and has its own authors and language."""

    def __init__(self, feed: Any, url: str) -> None:
        self.url = url
        self.language = language_of(feed)
        self._authors = _authors(feed)

    def signs(self, entry: Any) -> Signs:
        """Return what may identify an entry."""
        name = clean_text(string(entry, "id"), 4_000)
        return Signs(name, _link(entry, self.url), _whole_text(entry))

    def date(self, entry: Any) -> datetime | None:
        """Return when an entry was published or, if that isn't known, updated."""
        language = _entry_language(entry) or self.language
        published = read_date(_published(entry), language)
        return published or read_date(string(entry, "updated"), language)

    def entry(self, entry: Any, guid: str, with_html: bool = True) -> ParsedEntry:
        """Return an entry without its digest, and without its texts unless `with_html`."""
        link = _original_link(entry, self.url) or _link(entry, self.url)
        language = _entry_language(entry) or self.language
        base = link or self.url
        summary, content = _summary_and_content(entry, base) if with_html else ("", "")
        published_text = _published(entry)
        return ParsedEntry(
            guid=guid,
            title=read_title(entry),
            link=link,
            author=self._author(entry),
            summary=summary,
            content=content,
            published=read_date(published_text, language),
            updated=read_date(string(entry, "updated"), language),
            digest="",
            published_text=clean_text(published_text, MAX_TEXT),
            categories=_categories(entry),
            enclosures=_enclosures(entry, base),
            image=_image(entry, base),
            comments=_comments(entry, base),
            language=language,
        )

    def _author(self, entry: Any) -> str:
        source = dict.get(entry, "source")
        names = _authors(entry) or (_authors(source) if isinstance(source, dict) else [])
        return plain_text(", ".join(names or self._authors))


def _published(entry: Any) -> str:
    return string(entry, "published") or string(entry, "created")


def _whole_text(entry: Any) -> str:
    contents = [string(part, "value") for part in dicts(entry, "content")]
    texts = [string(entry, "title"), *(contents or [string(entry, "summary")])]
    return " ".join("\n".join(texts).split())


def string(data: Any, key: str) -> str:
    """Return a text, or "" if it isn't there or is something else."""
    value = dict.get(data, key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


def dicts(data: Any, key: str) -> list[Any]:
    """Return a list of dicts, without what is something else."""
    value = dict.get(data, key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def read_title(data: Any) -> str:
    """Return the title of a feed or an entry."""
    text = string(data, "title")
    kind = string(dict.get(data, "title_detail"), "type")
    if kind in TEXT_TYPES:
        return clean_text(text)
    return plain_text(text) if kind in XHTML else title_text(text)


def language_of(data: Any) -> str:
    """Return a language such as `en-us`, or ""."""
    return clean_language(string(data, "language"))


def clean_language(text: str) -> str:
    """Return a language tag in small letters, or "" if it can't be one."""
    text = text.strip().lower().replace("_", "-")
    return text if len(text) <= 20 and text.replace("-", "").isalnum() and text.isascii() else ""


def link_with(data: Any, rel: str, base: str) -> str:
    """Return the address of the first link of a kind, or ""."""
    links = (string(link, "href") for link in dicts(data, "links") if string(link, "rel") == rel)
    return next((web for link in links if (web := web_link(link, base))), "")


def image_of(data: Any, base: str) -> str:
    """Return the address of the image of a feed or an entry, or ""."""
    image = dict.get(data, "image")
    candidates = [string(image, "href"), string(data, "logo"), string(data, "icon")]
    return next((web for link in candidates if (web := web_link(link, base))), "")


def _link(entry: Any, url: str) -> str:
    links = [link for link in dicts(entry, "links") if string(link, "rel") not in _OTHER_LINKS]
    preferred = [link for link in links if string(link, "rel") == "alternate"]
    addresses = [string(link, "href") for link in preferred + links]
    link = string(entry, "link")
    # feedparser makes a link of each guid, but a relative one is a name.
    is_link = link in addresses or link.startswith(("http:", "https:"))
    candidates = [link, *addresses] if is_link else addresses
    return next((web for link in candidates if (web := web_link(link, url))), "")


def _original_link(entry: Any, url: str) -> str:
    """Return the link that a service such as FeedBurner has replaced by one of its own."""
    keys = ("feedburner_origlink", "pheedo_origlink", "origlink")
    return next((web for key in keys if (web := web_link(string(entry, key), url))), "")


def _entry_language(entry: Any) -> str:
    details = [*dicts(entry, "content"), dict.get(entry, "summary_detail")]
    details.append(dict.get(entry, "title_detail"))
    tags = [string(entry, "language"), *(string(detail, "language") for detail in details)]
    return next((tag for text in tags if (tag := clean_language(text))), "")


def _summary_and_content(entry: Any, base: str) -> tuple[str, str]:
    contents = sorted(dicts(entry, "content"), key=lambda part: not _is_html(part))
    content = string(contents[0], "value") if contents else ""
    summary = string(entry, "summary")
    if summary == content:  # feedparser fills in one from the other
        summary = ""
    return (
        _as_html(summary, dict.get(entry, "summary_detail"), base),
        _as_html(content, contents[0] if contents else None, base),
    )


def _as_html(text: str, detail: Any, base: str) -> str:
    if not text:
        return ""
    if string(detail, "type") in TEXT_TYPES:
        return safe_text(text)
    # A base is there if an `xml:base` said so.
    base = string(detail, "base") or base
    return safe_html(text, base) if _is_html(detail) or detail is None else ""


def _is_html(detail: Any) -> bool:
    return string(detail, "type") in HTML_TYPES


def _authors(data: Any) -> list[str]:
    people = dicts(data, "authors")
    names = [plain_text(string(one, "name") or string(one, "email")) for one in people]
    names = list(dict.fromkeys(filter(None, names)))[:MAX_NAMES]
    return names or list(filter(None, [plain_text(string(data, "author"))]))


def _categories(entry: Any) -> tuple[str, ...]:
    names = (
        plain_text(string(tag, "label") or string(tag, "term"), 100) for tag in dicts(entry, "tags")
    )
    return tuple(dict.fromkeys(filter(None, names)))[:MAX_NAMES]


def _enclosures(entry: Any, base: str) -> tuple[Enclosure, ...]:
    found = [
        enclosure(string(link, "href"), base, string(link, "type"), string(link, "length"))
        for link in dicts(entry, "links")
        if string(link, "rel") == "enclosure"
    ]
    for media in dicts(entry, "media_content"):
        kind = string(media, "type") or f"{string(media, 'medium')}/*"
        size, duration = string(media, "filesize"), string(media, "duration")
        found.append(enclosure(string(media, "url"), base, kind, size, duration))
    duration = string(entry, "itunes_duration")
    if duration and found:
        first = found[0]
        found.append(enclosure(first.url, base, duration=duration))
    return distinct(found)


def _image(entry: Any, base: str) -> str:
    thumbnails = (web_link(string(one, "url"), base) for one in dicts(entry, "media_thumbnail"))
    media = (
        web_link(string(one, "url"), base)
        for one in dicts(entry, "media_content")
        if string(one, "medium") == "image" or string(one, "type").startswith("image/")
    )
    return next(filter(None, [*thumbnails, image_of(entry, base), *media]), "")


def _comments(entry: Any, base: str) -> str:
    return web_link(string(entry, "comments"), base) or link_with(entry, "replies", base)
