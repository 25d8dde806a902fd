"""The server of the feeds that the benchmarks poll."""

import asyncio

import aiohttp
import pytest

from benchmarks import feed_server
from feeds import sandbox
from tests.servers import free_port


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(feed_server, "LATENCY", 0)


async def ask(*requests):
    """Return status, headers and body of each of these requests: (method, path, headers)."""
    port = free_port()
    serving = asyncio.create_task(feed_server.serve(port))
    connector = aiohttp.TCPConnector()
    answers = []
    async with aiohttp.ClientSession(connector=connector) as session:
        for method, path, headers in requests:
            await answering(port)
            url = f"http://{feed_server.hosts()[0]}:{port}{path}"
            async with session.request(method, url, headers=headers) as answer:
                answers.append((answer.status, answer.headers, await answer.read()))
    serving.cancel()
    return answers


async def answering(port):
    """Wait until the server does."""
    while True:
        try:
            _, writer = await asyncio.open_connection(feed_server.hosts()[0], port)
        except OSError:
            await asyncio.sleep(0)
        else:
            writer.close()
            return


def test_a_feed_that_has_not_changed_is_not_sent_again():
    async def twice():
        (_, headers, _), *_ = await ask(("GET", "/7.xml", {}))
        return await ask(("GET", "/7.xml", {"If-None-Match": headers["ETag"]}))

    assert asyncio.run(twice())[0][0] == 304


def test_a_feed_is_as_large_as_said_and_after_renewal_all_of_its_entries_are_new():
    requests: list[tuple[str, str, dict[str, str]]] = [
        ("GET", "/7.xml", {}),
        ("POST", feed_server.RENEW, {}),
        ("GET", "/7.xml", {}),
    ]
    (_, _, before), _, (_, _, after) = asyncio.run(ask(*requests))

    assert 38_500 < len(before) < 39_500
    old, new = (
        {entry.guid for entry in sandbox.parse(body, "", "http://feeds.example/").entries}
        for body in (before, after)
    )
    assert len(old) == len(new) == feed_server.ENTRIES
    assert not old & new
