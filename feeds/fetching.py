"""Fetch an untrusted URL: bounded in time and size, and never from a private address.

Each redirect is a request with a connector and an `AddressGuard` of its own, so that a redirect
can't carry the exemption of one host and port to another.
"""

import asyncio
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from http import HTTPStatus

import aiohttp
from yarl import URL

from feeds.exceptions import (
    BadRedirect,
    BadResponse,
    BadUrl,
    ConnectionFailed,
    FeedError,
    FetchTimeout,
    HostNotFound,
    HttpStatus,
    RefusedAddress,
    TooLarge,
    shown_url,
)
from tasks.address_guard import AddressGuard
from tasks.exceptions import marked

MAX_BYTES = 5 * 2**20
MAX_REDIRECTS = 5
CONNECT_TIMEOUT = 10.0
TOTAL_TIMEOUT = 30.0
USER_AGENT = "django-schedule-ledger (feed reader)"
ACCEPT = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, "
    "application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1"
)

REDIRECTS = frozenset({301, 302, 303, 307, 308})
PERMANENT_REDIRECTS = frozenset({301, 308})

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


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `body` is decoded, and empty for status 304.

    `etag` and `last_modified` are exactly as received, to be sent back unchanged. `moved_to` is the
    final URL if all redirects on the way were permanent, else None.
    """

    status: int
    url: str
    body: bytes
    content_type: str
    etag: str
    last_modified: str
    moved_to: str | None = None


async def fetch(
    url: str,
    *,
    etag: str = "",
    last_modified: str = "",
    allowed_hosts: AbstractSet[str] = frozenset(),
    max_bytes: int = MAX_BYTES,
    connect_timeout: float = CONNECT_TIMEOUT,
    total_timeout: float = TOTAL_TIMEOUT,
) -> Response:
    """Fetch a URL; raises a FeedError that says what is wrong.

    With `etag` or `last_modified` of the previous response, an unchanged document comes back
    as status 304. `allowed_hosts` holds the "host:port"s that may have private addresses.
    `max_bytes` limits the decoded body, `total_timeout` (seconds) everything together; only
    the system's resolver may take longer than that to give up on a name.
    """
    conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = {name: value for name, value in conditions.items() if value}
    fetcher = _Fetcher(headers, allowed_hosts, max_bytes, connect_timeout)
    try:
        async with asyncio.timeout(total_timeout):
            return await fetcher.follow(url)
    except TimeoutError as error:
        raise FetchTimeout(
            url,
            "the server took too long (connecting may take %(connecting)g s, everything together "
            "%(total)g s). It will be tried again when it is next due.",
            connecting=connect_timeout,
            total=total_timeout,
        ) from error


class _Fetcher:
    def __init__(
        self,
        headers: dict[str, str],
        allowed_hosts: AbstractSet[str],
        max_bytes: int,
        connect_timeout: float,
    ) -> None:
        self._headers = {"User-Agent": USER_AGENT, "Accept": ACCEPT, **headers}
        self._allowed_hosts = {host.lower() for host in allowed_hosts}
        self._max_bytes = max_bytes
        # The caller limits the total, over all redirects.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_timeout, sock_connect=connect_timeout
        )

    async def follow(self, url: str) -> Response:
        permanent = True
        here = _parsed(url)
        for hops in range(MAX_REDIRECTS + 1):
            response, target = await self._request(here)
            if target is None:
                moved = hops > 0 and permanent
                return replace(response, moved_to=response.url) if moved else response
            permanent = permanent and response.status in PERMANENT_REDIRECTS
            here = target
        raise BadRedirect(
            url,
            "it redirects more than %(limit)d times. Look up the feed's address.",
            limit=MAX_REDIRECTS,
        )

    async def _request(self, url: URL) -> tuple[Response, URL | None]:
        """Make one request; return its response and where it redirects to, if it does."""
        guard = AddressGuard()
        exempt = f"{url.host_subcomponent}:{url.port}".lower() in self._allowed_hosts
        connector = aiohttp.TCPConnector(socket_factory=None if exempt else guard, force_close=True)
        session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        try:
            async with (
                session,
                session.get(url, headers=self._headers, allow_redirects=False) as response,
            ):
                target = _redirect_target(url, response)
                if target is None:
                    _check_status(url, response.status)
                body = b"" if target else await self._read(url, response)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise _feed_error(url, guard, error) from error
        return _response(url, response, body), target

    async def _read(self, url: URL, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_bytes:
                raise TooLarge(
                    str(url),
                    "the document is larger than %(limit)g MiB, the most that is read. Ask its "
                    "publisher for a shorter one.",
                    limit=self._max_bytes / 2**20,
                )
        return bytes(body)


def _parsed(url: str) -> URL:
    try:
        parsed = URL(url)
        is_web = parsed.scheme in ("http", "https") and parsed.host
    except ValueError as error:
        raise BadUrl(url, "this is not a proper web address.") from error
    if not is_web:
        raise BadUrl(url, "an address starts with http:// or https:// and a host.")
    return parsed


def _redirect_target(url: URL, response: aiohttp.ClientResponse) -> URL | None:
    location = response.headers.get("Location")
    if response.status not in REDIRECTS or not location:
        return None
    try:
        return _parsed(str(url.join(URL(location))))
    except (BadUrl, ValueError) as error:
        raise BadRedirect(
            str(url),
            "it redirects to “%(address)s”, which is not a web address. Look up the feed's "
            "address.",
            address=shown_url(location),
        ) from error


def _check_status(url: URL, status: int) -> None:
    if 200 <= status < 300 or status == HTTPStatus.NOT_MODIFIED:
        return
    words = f"{status} {HTTPStatus(status).phrase}" if status in _KNOWN_STATUSES else str(status)
    other = marked("the server answered %(answer)s. It will be tried again when it is next due.")
    raise HttpStatus(str(url), _ANSWERED.get(status, other), status, answer=words)


def _feed_error(url: URL, guard: AddressGuard, error: Exception) -> FeedError:
    """Return the FeedError that tells people what an error of the HTTP client means."""
    shown, host = str(url), f"{url.host_subcomponent}:{url.port}"
    if guard.refused is not None:
        return RefusedAddress(
            shown,
            "its address %(address)s is private, and feeds from private networks are refused. If "
            "it may be fetched, add %(host)s to FEEDS_ALLOWED_HOSTS.",
            address=guard.refused,
            host=host,
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


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return shown_url(getattr(cause, "strerror", None) or str(cause))


def _response(url: URL, response: aiohttp.ClientResponse, body: bytes) -> Response:
    headers = response.headers
    return Response(
        status=response.status,
        url=str(url.with_user(None)),
        body=body,
        content_type=headers.get("Content-Type", ""),
        etag=_validator(headers.get("ETag", "")),
        last_modified=_validator(headers.get("Last-Modified", "")),
    )


def _validator(value: str) -> str:
    """Return a header's value if it can be stored and sent back unchanged, else "".

    Bytes that aren't UTF-8 arrive as lone surrogates.
    """
    return value if value.isprintable() else ""
