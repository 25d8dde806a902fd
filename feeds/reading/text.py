"""Text on one line, and absolute web links, from what a document says."""

import html
import re
import urllib.parse

from feeds.reading.result import MAX_LINK, MAX_TEXT

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")
# What a title is formatted with. Any other element in it is one that the title is about.
_FORMATTING = re.compile(
    r"</?(?:a|abbr|acronym|b|bdi|bdo|big|br|cite|code|del|dfn|div|em|font|h[1-6]|i|img|ins|kbd|mark|"
    r"nobr|p|q|rp|rt|ruby|s|samp|small|span|strike|strong|sub|sup|time|tt|u|var|wbr)\b[^<>]*>|<!--.*?-->",
    re.IGNORECASE,
)
_SLASHES = re.compile(r"^(https?:)/{3,}", re.IGNORECASE)
_BLOCK = re.compile(
    r"</?(?:address|article|blockquote|br|dd|div|dl|dt|figcaption|figure|h[1-6]|hr|li|ol|p|pre|"
    r"section|table|td|th|tr|ul)\b[^<>]*>",
    re.IGNORECASE,
)


def plain_text(markup: str, length: int = MAX_TEXT) -> str:
    """Return the text of a piece of HTML on one line."""
    # Markup can be mostly tags: the first cut limits the time this takes, the second the length.
    return clean_text(html.unescape(_TAG.sub("", markup[: 20 * length])), length)


def title_text(markup: str) -> str:
    """Return the text of the HTML of a title: `How the <canvas> element works` stays whole."""
    return clean_text(html.unescape(_FORMATTING.sub("", markup[: 20 * MAX_TEXT])))


def start_of(markup: str, length: int = 80) -> str:
    """Return the first words of a piece of HTML: of its first paragraph with any."""
    paragraphs = (plain_text(part, 2 * length) for part in _BLOCK.split(markup[:20_000]))
    text = next(filter(None, paragraphs), "")
    if len(text) <= length:
        return text
    return (text[:length].rpartition(" ")[0] or text[: length - 1]).rstrip(" .,;:") + "…"


def clean_text(text: str, length: int = MAX_TEXT) -> str:
    """Return text on one line, without control characters, and cut to a length."""
    text = " ".join(CONTROL.sub("", text[: 20 * length]).split())
    return text if len(text) <= length else text[: length - 1] + "…"


def web_link(link: str, base: str) -> str:
    """Return an absolute http or https URL, or "" if it isn't one."""
    if not link:
        return ""
    # As in browsers, white space and control characters inside don't hide a scheme.
    link = CONTROL.sub("", link[: 2 * MAX_LINK]).strip()
    link = _SLASHES.sub(r"\1//", "".join(link.replace(" ", "%20").split()))
    try:
        parts = urllib.parse.urlsplit(urllib.parse.urljoin(base, link))
    except ValueError:
        return ""
    url = parts.geturl()
    is_web = parts.scheme in ("http", "https") and parts.hostname
    return url if link and is_web and len(url) <= MAX_LINK else ""
