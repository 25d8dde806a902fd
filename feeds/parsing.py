"""PURE: turn the bytes of an RSS or Atom document into clean text, safe HTML and web links.

feedparser takes quadratic time in many cases besides `<author>` (feedparser#562): 100 KB of
newlines before the root element, 5 MiB of attributes or of unclosed elements each take over 20 s.
No cap on the input covers them all, so `feeds.sandbox` runs `parse` under a hard limit; use that
for untrusted documents. The caps here limit the output.
"""

import calendar
import hashlib
import html
import io
import json
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from time import struct_time
from typing import Any
from xml.sax import SAXException

import feedparser
import nh3

from feeds.exceptions import NotAFeed
from feeds.reading.result import MAX_LINK, MAX_TEXT, ParsedEntry, ParsedFeed

MAX_ENTRIES = 1_000
MAX_HTML = 500_000  # characters of one HTML text
MAX_ALL_HTML = 10_000_000  # characters of all HTML texts of a document
MAX_DEPTH = 200
YEARS = range(1900, 2101)

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "html", "xhtml"})
TEXT_TYPES = frozenset({"text/plain", "text", "plain"})
URL_SCHEMES = {"http", "https", "mailto"}

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")
_TAG_START = re.compile(r"<(/?)([a-zA-Z][^\s/<>]*)")
# Elements that don't nest: empty ones, and those that the next of their kind closes.
_FLAT = frozenset(
    "area base br col embed hr img input link meta source track wbr "
    "p li dt dd option tr td th thead tbody tfoot".split()
)


def parse(body: bytes, content_type: str, url: str) -> ParsedFeed:
    """Read an RSS or Atom document that came from `url`; raises NotAFeed.

    Broken documents are read as far as possible.
    """
    parsed = _feedparser_result(body, content_type, url)
    entries = [entry for entry in parsed["entries"] if isinstance(entry, dict)]
    return ParsedFeed(
        title=_text(parsed["feed"], "title"),
        link=web_link(_string(parsed["feed"], "link"), url),
        entries=tuple(_entries(entries[:MAX_ENTRIES], url)),
    )


def safe_html(markup: str, base: str) -> str:
    """Return HTML without anything that runs, styles or loads by itself, except images.

    Relative links are made absolute with `base`. Markup that is nested too deeply comes back as
    text: the sanitiser's time grows with the square of the depth.
    """
    markup = _CONTROL.sub("", markup[:MAX_HTML])
    if _depth(markup) > MAX_DEPTH:
        return html.escape(plain_text(markup, MAX_HTML))
    cleaned = nh3.clean(
        markup,
        url_schemes=URL_SCHEMES,
        url_relative=("rewrite_with_base", base) if len(base) <= MAX_TEXT else "deny",
    )
    if len(cleaned) > 2 * MAX_HTML:
        return html.escape(plain_text(markup, MAX_HTML))
    # Character references can bring control characters back. They are replaced, not removed:
    # removing anything from sanitised HTML could join what the sanitiser saw as separate.
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", cleaned)


def without_images(safe: str) -> str:
    """Return safe HTML that makes a browser load nothing."""
    return nh3.clean(safe, tags=nh3.ALLOWED_TAGS - {"img"}, url_schemes=URL_SCHEMES)


def plain_text(markup: str, length: int = MAX_TEXT) -> str:
    """Return the text of a piece of HTML on one line."""
    # Markup can be mostly tags: the first cut limits the time this takes, the second the length.
    return clean_text(html.unescape(_TAG.sub("", markup[: 20 * length])), length)


def clean_text(text: str, length: int = MAX_TEXT) -> str:
    """Return text on one line, without control characters, and cut to a length."""
    text = " ".join(_CONTROL.sub("", text[: 20 * length]).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def web_link(link: str, base: str) -> str:
    """Return an absolute http or https URL, or "" if it isn't one."""
    # As in browsers, white space and control characters inside don't hide a scheme.
    link = _CONTROL.sub("", link[: 2 * MAX_LINK]).strip()
    link = "".join(link.replace(" ", "%20").split())
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(base, link))
    except ValueError:
        return ""
    url = parts.geturl()
    is_web = parts.scheme in ("http", "https") and parts.hostname
    return url if link and is_web and len(url) <= MAX_LINK else ""


def _feedparser_result(body: bytes, content_type: str, url: str) -> Any:
    # feedparser isn't given the URL: it would resolve guids against it, and after another redirect
    # next time all entries would be new ones.
    headers = {"content-type": _media_type(content_type)}
    try:
        parsed = feedparser.parse(
            io.BytesIO(body),
            response_headers=headers,
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except MemoryError:
        raise
    except Exception as error:  # an element named like one of its own keys breaks feedparser
        raise NotAFeed(
            url,
            "this document can't be read (%(why)s); tell its publisher.",
            why=type(error).__name__,
        ) from error
    _check_is_feed(parsed, url)
    return parsed


def _media_type(content_type: str) -> str:
    # By RFC 3023 a bare text/* document is ASCII, whatever its XML declaration says.
    media_type, _, parameters = content_type.partition(";")
    if media_type.strip().lower().startswith("text/") and "charset" not in parameters.lower():
        return "application/xml"
    return content_type


def _check_is_feed(parsed: Any, url: str) -> None:
    if parsed["entries"]:
        return
    if not parsed.get("version"):
        raise NotAFeed(
            url,
            "this is neither RSS nor Atom. If it is a web page, look there for the address of "
            "its feed.",
        )
    error = parsed.get("bozo_exception")
    if isinstance(error, SAXException):
        raise NotAFeed(
            url,
            "this feed is broken (%(why)s); tell its publisher.",
            why=clean_text(error.getMessage(), 100),
        )


def _entries(entries: list[Any], url: str) -> Iterator[ParsedEntry]:
    html_left = MAX_ALL_HTML
    for entry in entries:
        parsed = _entry(entry, url, with_html=html_left > 0)
        html_left -= len(parsed.summary) + len(parsed.content)
        yield parsed


def _entry(entry: Any, url: str, with_html: bool) -> ParsedEntry:
    link = _entry_link(entry, url)
    summary, content = _summary_and_content(entry, link or url) if with_html else ("", "")
    parsed = ParsedEntry(
        guid=_identifier(clean_text(_string(entry, "id"), MAX_LINK) or link),
        title=_text(entry, "title"),
        link=link,
        author=_author(entry),
        summary=summary,
        content=content,
        published=_time(entry, "published_parsed") or _time(entry, "created_parsed"),
        updated=_time(entry, "updated_parsed"),
        digest="",
    )
    digest = _digest(json.dumps(asdict(parsed), default=datetime.isoformat))
    return replace(parsed, guid=parsed.guid or digest, digest=digest)


def _identifier(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"sha256:{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _entry_link(entry: Any, url: str) -> str:
    links = _dicts(entry, "links")
    preferred = [link for link in links if link.get("rel") == "alternate"]
    candidates = [_string(entry, "link"), *(_string(link, "href") for link in preferred + links)]
    return next((web for link in candidates if (web := web_link(link, url))), "")


def _summary_and_content(entry: Any, base: str) -> tuple[str, str]:
    contents = sorted(_dicts(entry, "content"), key=lambda part: not _is_html(part))
    content = _string(contents[0], "value") if contents else ""
    summary = _string(entry, "summary")
    if summary == content:  # feedparser fills in one from the other
        summary = ""
    return (
        _as_html(summary, dict.get(entry, "summary_detail"), base),
        _as_html(content, contents[0] if contents else None, base),
    )


def _as_html(text: str, detail: Any, base: str) -> str:
    if not text:
        return ""
    if _string(detail, "type") in TEXT_TYPES:
        return html.escape(_CONTROL.sub("", text[:MAX_HTML])).replace("\n", "<br>")
    return safe_html(text, base) if _is_html(detail) or detail is None else ""


def _is_html(detail: Any) -> bool:
    return _string(detail, "type") in HTML_TYPES


def _text(data: Any, key: str) -> str:
    text = _string(data, key)
    is_text = _string(dict.get(data, f"{key}_detail"), "type") in TEXT_TYPES
    return clean_text(text) if is_text else plain_text(text)


def _author(entry: Any) -> str:
    names = [_string(author, "name") for author in _dicts(entry, "authors")]
    return plain_text(", ".join(filter(None, names)) or _string(entry, "author"))


def _time(entry: Any, key: str) -> datetime | None:
    value = dict.get(entry, key)
    if not isinstance(value, struct_time) or value.tm_year not in YEARS:
        return None
    return datetime.fromtimestamp(calendar.timegm(value), UTC)


# Any element can set any key of feedparser's dicts, to text or to attributes, and their own `get`
# falls back from one key to another.


def _string(data: Any, key: str) -> str:
    value = dict.get(data, key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else ""


def _dicts(data: Any, key: str) -> list[Any]:
    value = dict.get(data, key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _depth(markup: str) -> int:
    """Estimate how deeply the elements are nested: too deep rather than not deep enough."""
    depth = deepest = 0
    unclosed: Counter[str] = Counter()
    for closing, name in _TAG_START.findall(markup):
        name = name.lower()
        if name in _FLAT or (closing and not unclosed[name]):
            continue
        step = -1 if closing else 1
        unclosed[name] += step
        depth += step
        deepest = max(deepest, depth)
    return deepest
