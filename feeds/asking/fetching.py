"""Fetch an untrusted URL: bounded in time and size, and never from a private address.

Each redirect is a request of its own, for which everything is judged anew: whether its host is
exempt, its port, and which validators belong to it.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from feeds.asking import large, moves, network, pace, places
from feeds.asking.client import Attempt, Connections, attempting, connections
from feeds.asking.credentials import keep_credentials
from feeds.asking.decoding import Broken, TooLong, decoded, is_compressed
from feeds.asking.errors import feed_error, http_status
from feeds.asking.headers import retry_after
from feeds.asking.rules import Rules, rules_of_site
from feeds.asking.user_agent import user_agent
from feeds.asking.validators import Validators
from feeds.exceptions import (
    BadRedirect,
    BadResponse,
    BadUrl,
    BrokenOff,
    FeedError,
    FetchTimeout,
    TooLarge,
    Unreachable,
    shown_url,
)
from tasks import clock

logger = logging.getLogger(__name__)

T = TypeVar("T")
MAX_REDIRECTS = 5
ACCEPT = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml, "
    "application/xml;q=0.9, text/xml;q=0.8, application/json;q=0.7, */*;q=0.1"
)
ACCEPT_ENCODING = "gzip, deflate, br, zstd"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PERMANENT_REDIRECTS = frozenset({301, 308})
NO_VALIDATORS = Validators()
# What of an address is sent as it is given, besides letters and digits.
SENT_AS_IT_IS = "!#$%&'()*+,-./:;=?@[]_~"
_AFTER_HOST = re.compile(r"[a-z]+://[^/?#]*(.*)", re.IGNORECASE | re.DOTALL)
# How much of a document that isn't read as a whole is kept to be looked at.
MOST_BYTES = 512 * 2**10


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `body` is decoded, and empty for status 304.

    `url` is the address that answered, after all redirects, without a name and a password.
    `moved_to` is that address with them if all redirects on the way were permanent, else None.
    """

    status: int
    url: str
    body: bytes
    headers: Mapping[str, str]
    moved_to: str | None = None

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request on the way, for who wants to see it; `status` is None if nothing came back."""

    url: str
    sent: Mapping[str, str]
    attempt: Attempt
    waited: float
    status: int | None = None
    received: Mapping[str, str] = field(default_factory=dict)


async def fetch(
    url: str,
    *,
    validators: Validators = NO_VALIDATORS,
    rules: Rules | None = None,
    exchanges: list[Exchange] | None = None,
) -> Response:
    """Fetch a URL; raises a FeedError that says what is wrong.

    With the `validators` that came with a document, the same one comes back as status 304. By
    default `rules` are the site's. `exchanges` is a list to which each request is added.
    """
    rules = rules_of_site() if rules is None else rules
    try:
        async with asyncio.timeout(rules.total_timeout) as deadline, connections() as shared:
            seen = [] if exchanges is None else exchanges
            return await _Poll(shared, rules, validators, deadline, seen).follow(url)
    except TimeoutError as error:
        raise FetchTimeout(
            url,
            "the server took too long (connecting may take %(connecting)g s, everything together "
            "%(total)g s). It will be tried again when it is next due.",
            connecting=rules.connect_timeout,
            total=rules.total_timeout,
        ) from error


class _Poll:
    def __init__(
        self,
        shared: Connections,
        rules: Rules,
        validators: Validators,
        deadline: asyncio.Timeout,
        exchanges: list[Exchange],
    ) -> None:
        self._shared, self._rules, self._validators = shared, rules, validators
        self._deadline, self._exchanges = deadline, exchanges
        self._hosts: set[str] = set()
        # The caller limits the total, over all redirects.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=rules.connect_timeout, sock_connect=rules.connect_timeout
        )

    async def follow(self, url: str) -> Response:
        permanent = True
        here = _parsed(url)
        for hops in range(MAX_REDIRECTS + 1):
            response, target = await self._request(here)
            if target is None:
                moved = hops > 0 and permanent
                return (
                    replace(response, moved_to=str(here.with_fragment(None))) if moved else response
                )
            permanent = permanent and response.status in PERMANENT_REDIRECTS
            if moves.is_downgrade(str(here), str(target)):
                permanent = False
                logger.warning(
                    "%s redirects from https to http, where anybody in between can change it.",
                    shown_url(str(here)),
                )
            here = target
        raise BadRedirect(
            url,
            "it redirects more than %(limit)d times. Look up the feed's address.",
            limit=MAX_REDIRECTS,
        )

    async def _request(self, url: URL) -> tuple[Response, URL | None]:
        """Make one request; return its response and where it redirects to, if it does."""
        async with AsyncExitStack() as stack:
            place = places.place(url.host or "", self._rules.at_a_time)
            await self._extended(stack.enter_async_context(place))
            return await self._request_in_turn(url)

    async def _request_in_turn(self, url: URL) -> tuple[Response, URL | None]:
        is_exempt = self._rules.is_exempt(url)
        waited = 0.0 if is_exempt else await self._turn(url)
        attempt = attempting(self._rules.ports)
        sent = self._headers(url)
        self._exchanges.append(Exchange(str(url), sent, attempt, waited))
        try:
            begun = self._shared.get(url, sent, self._timeout, is_exempt=is_exempt)
            async with begun as answer:
                self._exchanges[-1] = replace(
                    self._exchanges[-1], status=answer.status, received=answer.headers
                )
                if not is_exempt:
                    network.note_answer(url.host or "")
                target = _redirect_target(url, answer)
                if target is None:
                    _check(url, answer, sent, is_exempt=is_exempt)
                body = b"" if target else await self._body(url, answer)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            meant = feed_error(url, attempt, error)
            if isinstance(error, TimeoutError) and not isinstance(meant, Unreachable):
                raise
            raise meant from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Another poll was looking up the same host, and was cancelled.
            raise BrokenOff(
                str(url), "looking up its host was broken off. It will be tried again."
            ) from error
        return Response(answer.status, _public(url), body, answer.headers), target

    async def _turn(self, url: URL) -> float:
        """Wait until the host may be asked, once for all requests to it; that isn't its fault."""
        host = url.host or ""
        if host in self._hosts:
            return 0.0
        self._hosts.add(host)
        return await self._extended(pace.wait_for_turn(host, self._rules.gap))

    def _headers(self, url: URL) -> dict[str, str]:
        return {
            "User-Agent": user_agent(self._rules.contact),
            "Accept": ACCEPT,
            "Accept-Encoding": ACCEPT_ENCODING,
            **self._validators.conditions(_public(url)),
        }

    async def _body(self, url: URL, answer: aiohttp.ClientResponse) -> bytes:
        limit = self._rules.max_bytes
        encodings = ", ".join(answer.headers.getall("Content-Encoding", ()))
        body = bytearray()
        try:
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise TooLong(_decodable(bytes(body), encodings))
                if len(body) > large.SMALL:
                    size = None if is_compressed(body, encodings) else answer.content_length
                    await self._room(min(size or limit, limit))
            try:
                # What is small as it was sent may be large.
                return decoded(bytes(body), encodings, min(limit, large.SMALL))
            except TooLong:
                await self._room(limit)
                return await asyncio.to_thread(decoded, bytes(body), encodings, limit)
        except TooLong as error:
            raise self._unread(_too_large(url, limit), answer, error.beginning) from error
        except Broken as error:
            broken = BadResponse(str(url), "the server's answer is broken; tell its publisher.")
            raise self._unread(broken, answer, error.beginning or bytes(body)) from error

    async def _room(self, size: int) -> None:
        """Wait for room for a large body; that isn't its server's fault."""
        await self._extended(large.take_room(size))

    async def _extended(self, waiting: Awaitable[T]) -> T:
        """Wait for what doesn't count as this poll's time."""
        began, when = clock.elapsed_clock(), self._deadline.when()
        self._deadline.reschedule(None)
        try:
            return await waiting
        finally:
            if when is not None:
                self._deadline.reschedule(when + clock.elapsed_clock() - began)

    @staticmethod
    def _unread(error: FeedError, answer: aiohttp.ClientResponse, beginning: bytes) -> FeedError:
        """Return an error with the beginning of the document that isn't read because of it."""
        error.beginning = beginning[:MOST_BYTES]
        error.content_type = answer.headers.get("Content-Type", "")
        return error


def _parsed(address: str) -> URL:
    """Return an address as it is asked for: what is escaped in it stays as it was given.

    Its host is in the form that the DNS knows; what can't be sent as it is, is escaped.
    """
    try:
        parsed = URL(address)
        rest = _AFTER_HOST.fullmatch(address.strip())
        if parsed.scheme in ("http", "https") and parsed.host and rest is not None:
            return _as_given(parsed, rest[1])
    except ValueError as error:
        raise BadUrl(address, "this is not a proper web address.") from error
    raise BadUrl(address, "an address starts with http:// or https:// and a host.")


def _as_given(parsed: URL, rest: str) -> URL:
    escaped = quote(rest, safe=SENT_AS_IT_IS, errors="surrogateescape")
    slash = "" if escaped.startswith("/") else "/"
    url = URL(f"{parsed.scheme}://{parsed.raw_authority}{slash}{escaped}", encoded=True)
    if not url.host:  # raises ValueError for some that are broken
        raise ValueError(parsed.raw_authority)
    return url


def _public(url: URL) -> str:
    return str(url.with_user(None).with_fragment(None))


def _redirect_target(url: URL, answer: aiohttp.ClientResponse) -> URL | None:
    location = answer.headers.get("Location")
    if answer.status not in REDIRECTS or not location:
        return None
    try:
        return keep_credentials(url, _parsed(str(url.join(URL(location, encoded=True)))))
    except (BadUrl, ValueError) as error:
        raise BadRedirect(
            str(url),
            "it redirects to “%(address)s”, which is not a web address. Look up the feed's "
            "address.",
            address=shown_url(location),
        ) from error


def _check(
    url: URL, answer: aiohttp.ClientResponse, sent: Mapping[str, str], *, is_exempt: bool
) -> None:
    """Raise what an answer means that is no document, and not that it is unchanged."""
    if answer.status == HTTPStatus.NOT_MODIFIED:
        if "If-None-Match" not in sent and "If-Modified-Since" not in sent:
            raise BadResponse(
                str(url),
                "the server says that nothing has changed (304), but wasn't told since when. Tell "
                "its publisher.",
            )
    elif not 200 <= answer.status < 300:
        span: timedelta | None = retry_after(answer.headers, clock.now())
        raise http_status(str(url), answer.status, span, "" if is_exempt else url.host or "")


def _decodable(body: bytes, encodings: str) -> bytes:
    """Return the beginning of a body that isn't there as a whole, without its compression."""
    try:
        return decoded(body, encodings, MOST_BYTES)
    except (TooLong, Broken) as error:
        return error.beginning


def _too_large(url: URL, limit: int) -> TooLarge:
    return TooLarge(
        str(url),
        "the document is larger than %(limit)g MiB, the most that is read. Ask its publisher for "
        "a shorter one.",
        limit=limit / 2**20,
    )
