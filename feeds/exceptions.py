"""What can go wrong with a feed. Each message names the address and says what to do."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tasks.exceptions import WordedError
from tasks.masking import mask_text

_SHOWN_LENGTH = 200


def shown_url(url: str) -> str:
    """Return a URL that is safe to show and log: with its secrets masked, on one short line."""
    url = "".join(char if char.isprintable() else "?" for char in url)
    url = mask_text(url)
    return url if len(url) <= _SHOWN_LENGTH else url[: _SHOWN_LENGTH - 1] + "…"


def without_secrets(url: str) -> str:
    """Return a URL as it is, or without its query, name and password if a secret is in it."""
    if mask_text(url) == url:
        return url
    scheme, separator, rest = url.partition("#")[0].partition("?")[0].partition("://")
    netloc, slash, path = rest.partition("/")
    return f"{scheme}{separator}{netloc.rpartition('@')[2]}{slash}{path}"


class FeedError(WordedError):
    """The base: something about one feed; `url` is its address, its secrets masked.

    `beginning` is that of a document that wasn't read as a whole because of it, if there is one.
    """

    beginning: bytes = b""
    content_type: str = ""

    def __init__(self, url: str, text: str, /, **values: Any) -> None:
        super().__init__(text, **values)
        self.url = shown_url(url)

    @property
    def problem(self) -> str:
        """What is wrong, without the address."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.url}: {self.problem}"


class BadUrl(FeedError):
    """An address that no feed can have."""


class BadOpml(WordedError):
    """A document that isn't a list of feeds, or that is refused as a whole."""


class UnknownFeed(FeedError):
    """A feed that isn't stored, or no longer is."""


class HostNotFound(FeedError):
    """The name of the host has no address."""


class Unreachable(FeedError):
    """Nothing could be sent to `host`, for a reason that may be our own network or resolver."""

    def __init__(self, url: str, text: str, host: str, /, **values: Any) -> None:
        super().__init__(url, text, host=host, **values)
        self.host = host


class BrokenOff(FeedError):
    """We have broken it off ourselves, whatever the feed's server does."""


class RefusedAddress(FeedError):
    """The host has a private address, and isn't named in FEEDS_ALLOWED_HOSTS."""


class RefusedPort(FeedError):
    """A port that is neither 80 nor 443, nor named in FEEDS_ALLOWED_PORTS."""


class ConnectionFailed(FeedError):
    """No connection, or one that broke or can't be trusted."""


class FetchTimeout(FeedError):
    """The server took too long."""


class HttpStatus(FeedError):
    """The server answered with an error; `status` is its status code.

    `retry_after` is how long it wants to be left alone, and `public_host` where that was said, ""
    if it is a private address.
    """

    def __init__(
        self,
        url: str,
        text: str,
        status: int,
        retry_after: timedelta | None = None,
        public_host: str = "",
        /,
        **values: Any,
    ) -> None:
        super().__init__(url, text, **values)
        self.status = status
        self.retry_after = retry_after
        self.public_host = public_host


class BadResponse(FeedError):
    """An answer that isn't valid HTTP, or is broken."""


class BadRedirect(FeedError):
    """Too many redirects, or one to somewhere that isn't http or https."""


class TooLarge(FeedError):
    """A document above the size limit."""


@dataclass(frozen=True, slots=True)
class FoundFeed:
    """A feed that a page names: its address, title and media type; the last two may be empty."""

    url: str
    title: str = ""
    type: str = ""


class NotAFeed(FeedError):
    """A document that is no feed; `found` are the feeds that it names if it is a web page."""

    found: tuple[FoundFeed, ...] = ()


class TooCostly(FeedError):
    """A document that takes more time or memory to read than any legitimate feed does."""
