"""What the errors of the HTTP client, and the statuses of servers, mean to people."""

import errno
import os
import socket
from datetime import timedelta
from http import HTTPStatus

import aiohttp
from yarl import URL

from feeds.asking.client import Attempt
from feeds.exceptions import (
    BadResponse,
    BadUrl,
    ConnectionFailed,
    FeedError,
    HostNotFound,
    HttpStatus,
    RefusedAddress,
    RefusedPort,
    Unreachable,
    shown_url,
)
from tasks.exceptions import marked

# What the resolver answers if it has not found out whether there is such a name.
_NO_RESOLVER = {socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY, socket.EAI_SYSTEM}
# Why nothing could be sent: no way there, or no means to do so.
_NO_NETWORK = {
    *(errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL),
    *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
}
_KNOWN_STATUSES = frozenset(HTTPStatus)
_ANSWERED: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: marked(
        "the server answered %(answer)s. It needs a name and a password: https://name:password@…"
    ),
    HTTPStatus.FORBIDDEN: marked(
        "the server answered %(answer)s. It isn't open to everyone; ask its publisher."
    ),
    HTTPStatus.NOT_FOUND: marked("the server answered %(answer)s. Look up the feed's address."),
    HTTPStatus.GONE: marked(
        "the server answered %(answer)s. It won't come back: remove it with schedule_rss --remove."
    ),
    HTTPStatus.TOO_MANY_REQUESTS: marked(
        "the server answered %(answer)s. It is polled too often: choose a longer interval."
    ),
}


def http_status(
    url: str, status: int, retry_after: timedelta | None, public_host: str
) -> HttpStatus:
    """Return the error for a status that is neither a document nor a redirect."""
    words = f"{status} {HTTPStatus(status).phrase}" if status in _KNOWN_STATUSES else str(status)
    other = marked("the server answered %(answer)s. It will be tried again when it is next due.")
    text = _ANSWERED.get(status, other)
    return HttpStatus(url, text, status, retry_after, public_host, answer=words)


def feed_error(url: URL, attempt: Attempt, error: Exception) -> FeedError:
    """Return the FeedError that tells people what an error of the HTTP client means."""
    shown, host = str(url), f"{url.host_subcomponent}:{url.port}"
    if attempt.refused is not None and isinstance(error, aiohttp.ClientConnectorError):
        return RefusedAddress(
            shown,
            "its address %(address)s is private, and feeds from private networks are refused. If "
            "it may be fetched, add %(host)s to FEEDS_ALLOWED_HOSTS.",
            address=attempt.refused,
            host=host,
        )
    if attempt.refused_port and isinstance(error, aiohttp.ClientConnectorError):
        return RefusedPort(
            shown,
            "feeds are fetched from the ports 80 and 443. If %(port)d is right, add it to "
            "FEEDS_ALLOWED_PORTS.",
            port=url.port,
        )
    if _may_be_our_network(attempt, error):
        return Unreachable(
            shown,
            "“%(host)s” can't be reached from here (%(why)s). If that is so of other feeds too, "
            "check the network and the resolver of this machine.",
            url.host or "",
            why=_reason(error),
        )
    match error:
        # Some invalid hosts (an empty label, a broken IPv6 address) show only when resolved.
        case ValueError():
            return BadUrl(shown, "this is not a proper web address.")
        case aiohttp.ClientConnectorDNSError():
            return HostNotFound(
                shown,
                "the host “%(host)s” was not found. Check the spelling and the network.",
                host=url.host,
            )
        case aiohttp.ClientSSLError():
            return ConnectionFailed(
                shown,
                "no secure connection to “%(host)s” is possible (%(why)s).",
                host=url.host,
                why=_reason(error),
            )
        case aiohttp.ClientConnectorError():
            return ConnectionFailed(
                shown,
                "no connection to %(host)s (%(why)s). Check that the server is up.",
                host=host,
                why=_reason(error),
            )
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
            return BadResponse(shown, "the server's answer is broken; tell its publisher.")
    return ConnectionFailed(
        shown, "the server broke off the connection. It will be tried again when it is next due."
    )


def _may_be_our_network(attempt: Attempt, error: Exception) -> bool:
    """Return whether an error says that nothing could be sent, whoever was to be asked."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return not attempt.addresses  # It never came to connecting.
        case aiohttp.ClientConnectorDNSError():
            return error.os_error.errno in _NO_RESOLVER
        case aiohttp.ClientConnectorError():
            return error.os_error.errno in _NO_NETWORK
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return os.strerror(errno.ETIMEDOUT)
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return shown_url(getattr(cause, "strerror", None) or str(cause))
