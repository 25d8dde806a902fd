"""Of the requests to a host, only a few are made at a time, whoever leads to it.

The limit of `fetch_rss` goes by the host of a feed's own address, for all workers together. This
one goes by the host of each request, so also by where a feed is redirected, for those of an event
loop. A place is held for one request only, never while another one is waited for.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary


@dataclass(slots=True)
class _Host:
    """The places of a host, and how many hold or want one."""

    places: asyncio.Semaphore
    wanted: int = 0


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Host]] = WeakKeyDictionary()


@asynccontextmanager
async def place(host: str, number: int) -> AsyncIterator[None]:
    """Hold one of so many places of a host inside the block; 0 is no limit."""
    if not number:
        yield
        return
    hosts = _of_loop.setdefault(asyncio.get_running_loop(), {})
    one = hosts.setdefault(host, _Host(asyncio.Semaphore(number)))
    one.wanted += 1
    try:
        async with one.places:
            yield
    finally:
        one.wanted -= 1
        if not one.wanted:
            del hosts[host]
