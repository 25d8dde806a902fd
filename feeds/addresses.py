"""PURE: the addresses of feeds: their canonical form, and what people type and paste."""

import re
import urllib.parse

from feeds.exceptions import BadUrl

MAX_URL = 2_000
DEFAULT_PORTS = {"http": 80, "https": 443}
HOST = re.compile(r"[\w.:-]+")
# As browsers do, also with what surrounds an address in a text that it is copied from.
_DROPPED = re.compile(r"[\t\r\n]")
_SCHEME = re.compile(r"https?:|[\w.+-]+://", re.IGNORECASE)
_FEED_SCHEME = re.compile(r"feed:(?://)?", re.IGNORECASE)


def validate_url(url: str) -> str:
    """Return a feed's address in its canonical form; raises BadUrl if it is not a valid one.

    Scheme and host become lower-case; the default port and the fragment are dropped; path and
    query stay exactly as they are.
    """
    if any(char.isspace() or not char.isprintable() for char in url):
        raise BadUrl(url, "an address can't contain spaces or control characters.")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise BadUrl(url, "this is not a proper web address.") from error
    if parts.scheme not in DEFAULT_PORTS or not host or not HOST.fullmatch(host):
        raise BadUrl(url, "an address starts with http:// or https:// and a host.")
    credentials, at, _ = parts.netloc.rpartition("@")
    host = f"[{host}]" if ":" in host else host
    shown_port = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    netloc = f"{credentials}{at}{host}{shown_port}"
    query = f"?{parts.query}" if parts.query else ""
    normal = f"{parts.scheme}://{netloc}{parts.path or '/'}{query}"
    if len(normal.encode()) > MAX_URL:
        raise BadUrl(url, "an address can't be longer than %(limit)d bytes.", limit=MAX_URL)
    return normal


def typed_url(text: str) -> str:
    """Return the canonical form of an address as people type or paste it; raises BadUrl.

    Space around it and line breaks in it are dropped, other spaces are encoded, and the scheme
    `feed:`, which browsers hand over to a feed reader, is taken off.
    """
    url = _DROPPED.sub("", text.strip()).replace(" ", "%20")
    rest = _FEED_SCHEME.sub("", url, count=1) if _FEED_SCHEME.match(url) else url
    if rest != url and not _SCHEME.match(rest):
        rest = f"http://{rest}"
    return validate_url(rest)
