"""Connections and answers of the DNS are used again, within the rules of the guard."""

import asyncio
import socket
import time
from typing import Any

import pytest
from aiohttp.resolver import ThreadedResolver
from redis.exceptions import RedisError

from feeds import exceptions
from feeds.asking import client, pace
from feeds.asking.fetching import Exchange, fetch
from feeds.asking.rules import Rules
from tasks import address_guard
from tests.feeds.site import Site, answer, drip

PUBLIC = "93.184.216.34"  # It is never connected to.


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Let the DNS be a dict; each lookup uses up the first address of a name, but for the last."""
    known: dict[str, list[str]] = {}
    known["looked up"] = []

    async def resolve(self: Any, host: str, port: int = 0, family: int = 0) -> list[Any]:
        known["looked up"].append(host)
        addresses = known[host]
        address = addresses[0] if len(addresses) == 1 else addresses.pop(0)
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    monkeypatch.setattr(ThreadedResolver, "resolve", resolve)
    return known


def rules(site: Site, **values: Any) -> Rules:
    hosts = frozenset({site.host_port, f"feeds.example:{site.server_port}"})
    return Rules(**{"allowed_hosts": hosts, **values})


def named(site: Site, path: str = "/feed.xml", host: str = "feeds.example") -> str:
    return f"http://{host}:{site.server_port}{path}"


def test_polls_at_the_same_time_share_connections_and_lookups(keeping, names):
    names["feeds.example"] = ["127.0.0.1"]
    exchanges: list[Exchange] = []

    async def polls() -> None:
        async with client.connections():
            for _ in range(3):
                await fetch(named(keeping), rules=rules(keeping), exchanges=exchanges)

    asyncio.run(polls())
    assert [len(one.attempt.addresses) for one in exchanges] == [1, 0, 0]
    assert names["looked up"] == ["feeds.example"]


def test_connections_are_closed_when_nobody_polls_any_more(keeping):
    async def polls() -> int:
        await fetch(keeping.url(), rules=rules(keeping))
        return len(client._of_loop)

    assert asyncio.run(polls()) == 0


def test_a_connection_of_an_exempt_host_is_never_used_where_the_guard_looks(keeping, names):
    """The same name at the same port: exempt for the one, not for the other."""
    names["feeds.example"] = ["127.0.0.1"]

    async def polls() -> None:
        async with client.connections():
            await fetch(named(keeping), rules=rules(keeping))
            await fetch(named(keeping), rules=Rules())

    with pytest.raises(exceptions.RefusedAddress):
        asyncio.run(polls())
    assert len(keeping.requests) == 1


def test_a_name_whose_address_turns_private_is_refused_when_it_is_connected_to(
    site, names, monkeypatch
):
    """The guard sees the address of each connection, whatever was looked up before it."""
    monkeypatch.setattr(address_guard, "is_public", lambda address: address != "127.0.0.1")
    names["rebinding.example"] = ["127.0.0.2", "127.0.0.1"]
    url = named(site, host="rebinding.example")
    ports = frozenset({site.server_port})

    async def polls() -> None:
        with pytest.raises(exceptions.ConnectionFailed):  # Nobody listens there.
            await fetch(url, rules=Rules(allowed_ports=ports))
        await fetch(url, rules=Rules(allowed_ports=ports))

    with pytest.raises(exceptions.RefusedAddress, match=r"127\.0\.0\.1 is private"):
        asyncio.run(polls())
    assert site.requests == []


def test_each_of_many_refusals_names_its_own_address(site, names):
    addresses = {f"{number}.example": f"10.0.0.{number}" for number in range(1, 6)}
    names.update({name: [address] for name, address in addresses.items()})

    async def polls() -> list[Any]:
        async with client.connections():
            fetches = [fetch(f"http://{name}/", rules=Rules()) for name in addresses]
            return await asyncio.gather(*fetches, return_exceptions=True)

    errors = asyncio.run(polls())
    assert [error.values["address"] for error in errors] == list(addresses.values())


@pytest.mark.parametrize("port", [8080, 25, 6379])
def test_a_feed_at_an_unusual_port_of_a_public_host_is_refused(names, port):
    names["feeds.example"] = [PUBLIC]
    with pytest.raises(exceptions.RefusedPort, match=f"{port} is right, add it to FEEDS_ALLOWED"):
        asyncio.run(fetch(f"http://feeds.example:{port}/", rules=Rules()))


def test_a_redirect_to_an_unusual_port_of_a_public_host_is_refused(site, names):
    names["feeds.example"] = [PUBLIC]
    site.pages["/feed.xml"] = answer(302, Location="http://feeds.example:22/")
    with pytest.raises(exceptions.RefusedPort):
        asyncio.run(fetch(site.url(), rules=rules(site)))


def test_a_poll_that_is_cancelled_while_it_looks_up_a_name_ends_no_other(site, names, monkeypatch):
    """The tasks that a run has made are cancelled with it, one of which looks up for both."""
    began = asyncio.Event()

    async def never(self: Any, *args: Any, **options: Any) -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(ThreadedResolver, "resolve", never)

    async def polls() -> Any:
        loop = asyncio.get_running_loop()
        first = loop.create_task(fetch(named(site), rules=rules(site)))
        await began.wait()
        second = loop.create_task(fetch(named(site), rules=rules(site)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        lookup = next(
            task for task in asyncio.all_tasks() if "_resolve_host" in repr(task.get_coro())
        )
        first.cancel()
        lookup.cancel()
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = asyncio.run(polls())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, exceptions.BrokenOff)


# The gap


def test_requests_to_a_host_keep_their_distance(redis_connection):
    waits = [pace._reserve("feeds.example", 500) for _ in range(3)]
    assert waits[0] == 0
    assert 400 < waits[1] <= 500
    assert 900 < waits[2] <= 1000
    assert pace._reserve("other.example", 500) == 0


def test_without_redis_nobody_waits(monkeypatch):
    monkeypatch.setattr(pace, "connect", broken)
    assert asyncio.run(pace.wait_for_turn("feeds.example", 500)) == 0


def broken() -> Any:
    raise RedisError("unavailable")


def test_a_private_host_needs_no_gap(site, monkeypatch):
    monkeypatch.setattr(pace, "wait_for_turn", None)
    site.pages["/feed.xml"] = answer()
    assert asyncio.run(fetch(site.url(), rules=rules(site, gap=60_000))).status == 200


def test_the_wait_for_its_turn_is_not_counted_as_the_servers(site, names, monkeypatch):
    def reserve(host: str, gap: int) -> int:
        time.sleep(0.2)  # as if Redis took a while
        return 200

    monkeypatch.setattr(pace, "_reserve", reserve)
    names["feeds.example"] = ["127.0.0.1"]
    with pytest.raises(exceptions.RefusedAddress):
        asyncio.run(fetch("http://feeds.example/", rules=Rules(gap=1, total_timeout=0.2)))


def test_a_slow_feed_delays_no_other(site, other_site):
    site.pages["/feed.xml"] = drip(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n")
    other_site.pages["/feed.xml"] = answer(body=b"<rss/>")
    both = frozenset({site.host_port, other_site.host_port})

    async def polls() -> list[Any]:
        slow = [fetch(site.url(), rules=Rules(both, total_timeout=5)) for _ in range(5)]
        begun = [asyncio.ensure_future(one) for one in slow]
        good = await fetch(other_site.url(), rules=Rules(both))
        still = [one.done() for one in begun]
        for one in begun:
            one.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        return [good.body, *still]

    assert asyncio.run(polls()) == [b"<rss/>", *[False] * 5]
