"""One request, on connections that all polls of an event loop share.

There are two sets of connections: those to public addresses, where the guard sees each address that
is about to be connected to, and those to hosts that are exempt, which are used for these only. So a
connection, like an answer of the DNS, is used again only where it would be allowed anew. No
cookies, and no proxy: the guard would see only the proxy's address.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from tasks.address_guard import AddressGuard, PrivateAddress

# A connection that isn't used again so soon is closed, in seconds: hundreds may be open.
KEEP_SECONDS = 2.0
DNS_SECONDS = 60


@dataclass(slots=True)
class Attempt:
    """What connecting to a host has come to: the addresses that were tried, the last one refused.

    No address was tried if an open connection was used again. `ports` are those that may be
    connected to; whether one was refused, of a public address, is in `refused_port`.
    """

    ports: AbstractSet[int] = frozenset()
    addresses: list[str] = field(default_factory=list)
    refused: str | None = None
    refused_port: bool = False


class Connections:
    """The connections of an event loop; made and closed by `connections`."""

    def __init__(self) -> None:
        self.users = 0
        self._guarded = _session(_public_socket)
        self._exempt = _session(_any_socket)

    def get(
        self,
        url: URL,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        *,
        is_exempt: bool,
    ) -> Any:
        """Begin a request without following a redirect; its body comes as it is sent."""
        session = self._exempt if is_exempt else self._guarded
        return session.get(url, headers=headers, timeout=timeout, allow_redirects=False)

    def post(
        self,
        url: URL,
        headers: Mapping[str, str],
        form: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        *,
        is_exempt: bool,
    ) -> Any:
        """Begin to send a form, in the same way."""
        session = self._exempt if is_exempt else self._guarded
        return session.post(url, headers=headers, data=form, timeout=timeout, allow_redirects=False)

    async def close(self) -> None:
        """Close them all."""
        await self._guarded.close()
        await self._exempt.close()


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Connections] = WeakKeyDictionary()
# The attempt of the request that is being made.
_attempt: ContextVar[Attempt] = ContextVar("attempt")


@asynccontextmanager
async def connections() -> AsyncIterator[Connections]:
    """Share the connections of this event loop; they are closed when nobody does any more."""
    loop = asyncio.get_running_loop()
    shared = _of_loop.get(loop)
    if shared is None:
        shared = _of_loop[loop] = Connections()
    shared.users += 1
    try:
        yield shared
    finally:
        shared.users -= 1
        if not shared.users:
            del _of_loop[loop]
            await shared.close()


def attempting(ports: AbstractSet[int]) -> Attempt:
    """Begin to note what connecting comes to, for the request that this task makes next."""
    attempt = Attempt(ports)
    _attempt.set(attempt)
    return attempt


def _session(socket_factory: Any) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        socket_factory=socket_factory,
        limit=0,  # The worker's concurrency limits them.
        keepalive_timeout=KEEP_SECONDS,
        ttl_dns_cache=DNS_SECONDS,
    )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )


def _public_socket(addr_info: tuple[Any, ...]) -> socket.socket:
    attempt = _attempt.get()
    attempt.addresses.append(addr_info[4][0])
    try:
        public = AddressGuard()(addr_info)
    except PrivateAddress as error:
        attempt.refused = error.address
        raise
    if addr_info[4][1] in attempt.ports:
        return public
    public.close()
    attempt.refused_port = True
    raise PermissionError(errno.EACCES, "port not allowed")


def _any_socket(addr_info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = addr_info
    _attempt.get().addresses.append(address[0])
    return socket.socket(family, kind, protocol)
