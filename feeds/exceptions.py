"""What can go wrong with a feed. Each message names the address and says what to do."""

import re

from tasks.exceptions import TasksError

_CREDENTIALS = re.compile(r"(?<=//)[^/?#]*@")
_SHOWN_LENGTH = 200


def shown_url(url: str) -> str:
    """Return a URL that is safe to show and log: without credentials, on one short line."""
    url = "".join(char if char.isprintable() else "?" for char in url)
    url = _CREDENTIALS.sub("", url, count=1)
    return url if len(url) <= _SHOWN_LENGTH else url[: _SHOWN_LENGTH - 1] + "…"


class FeedError(TasksError):
    """The base: something about one feed; `url` is its address, without credentials."""

    def __init__(self, url: str, problem: str) -> None:
        self.url = shown_url(url)
        self.problem = problem
        super().__init__(f"{self.url}: {problem}")


class BadUrl(FeedError):
    """An address that no feed can have."""


class UnknownFeed(FeedError):
    """A feed that isn't stored, or no longer is."""


class HostNotFound(FeedError):
    """The name of the host has no address."""


class RefusedAddress(FeedError):
    """The host has a private address, and isn't named in FEEDS_ALLOWED_HOSTS."""


class ConnectionFailed(FeedError):
    """No connection, or one that broke or can't be trusted."""


class FetchTimeout(FeedError):
    """The server took too long."""


class HttpStatus(FeedError):
    """The server answered with an error; `status` is its status code."""

    def __init__(self, url: str, status: int, problem: str) -> None:
        super().__init__(url, problem)
        self.status = status


class BadResponse(FeedError):
    """An answer that isn't valid HTTP, or is broken."""


class BadRedirect(FeedError):
    """Too many redirects, or one to somewhere that isn't http or https."""


class TooLarge(FeedError):
    """A document above the size limit."""


class NotAFeed(FeedError):
    """A document that is neither RSS nor Atom."""


class TooCostly(FeedError):
    """A document that takes more time or memory to read than any legitimate feed does."""
