"""A server of many feeds, far away: every answer takes its time. Also of a few hostile ones.

python -m benchmarks.feed_server 8100

It needs a tenth of a millisecond of the processor for an answer. Each host of the feeds is an
address of its own on this machine. Nothing that polls them finds a connection to use again, as with
feeds of different publishers.
"""

import asyncio
import http.client
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

# In seconds, before each answer.
LATENCY = 0.2
ENTRIES = 20
# How many hosts share the feeds evenly.
HOSTS = 100
HOSTILE_HOST = "127.0.1.1"
HOSTILE = ("drip", "quadratic", "huge", "bomb", "silent")
# What a POST to any host tells.
RENEW = "/renew"
BACKLOG = 4_096

_MODIFIED = "Mon, 02 Mar 2026 10:00:{0:02} GMT"
_PARAGRAPH = (
    '&lt;p&gt;The harbour was quiet when the &lt;a href="/boats"&gt;boats&lt;/a&gt; came back, and '
    "nobody had expected the &amp;ldquo;long way round&amp;rdquo; to take so very little time."
    "&lt;/p&gt;\n"
)
_ENTRY = """<item>
<title>@FEED@: what happened on day {0} of issue @ISSUE@</title>
<link>http://feeds.example/@FEED@/@ISSUE@/{0}</link>
<guid isPermaLink="false">tag:feeds.example,2026:@FEED@/@ISSUE@/{0}</guid>
<pubDate>Sun, {0:02} Mar 2026 08:30:00 GMT</pubDate>
<author>mina@feeds.example (Mina Park)</author>
<category>Harbour</category>
<description>{1}&lt;img src="/pictures/{0}.png" alt="A picture of the harbour"&gt;</description>
</item>
"""
_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0"><channel>
<title>Feed @FEED@</title><link>http://feeds.example/@FEED@/</link>
<description>Notes from the harbour</description><language>en</language>
"""
_TAIL = "</channel></rss>\n"
_DOCUMENT = "".join(
    [_HEAD, *(_ENTRY.format(day + 1, 8 * _PARAGRAPH) for day in range(ENTRIES)), _TAIL]
).encode()
_XML = "Content-Type: application/rss+xml; charset=utf-8\r\n"


def hosts() -> list[str]:
    """Return the hosts of the feeds."""
    return [f"127.0.0.{number + 1}" for number in range(HOSTS)]


def addresses(port: int, number: int) -> list[str]:
    """Return the addresses of so many feeds."""
    names = hosts()
    return [f"http://{names[feed % HOSTS]}:{port}/{feed}.xml" for feed in range(number)]


def hostile_addresses(port: int) -> list[str]:
    """Return the addresses of the hostile feeds."""
    return [f"http://{HOSTILE_HOST}:{port}/hostile/{name}" for name in HOSTILE]


def renew(port: int) -> None:
    """Have all feeds get new content: each of their entries is another one from now on."""
    with closing(http.client.HTTPConnection(hosts()[0], port, timeout=10)) as connection:
        connection.request("POST", RENEW)
        connection.getresponse().read()


class Feeds(asyncio.Protocol):
    """A connection: one request, and its answer after a while."""

    issue = 0

    def __init__(self) -> None:
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read a request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer the request once it is whole."""
        self._request += data
        if not self._request.endswith(b"\r\n\r\n"):
            return
        lines = self._request.decode("latin-1").split("\r\n")
        method, path, _version = lines[0].split(" ")
        asyncio.get_running_loop().call_later(LATENCY, self._answer, method, path, lines[1:])

    def _answer(self, method: str, path: str, headers: list[str]) -> None:
        if self._transport.is_closing():
            return
        if method == "POST":
            Feeds.issue += 1
            self._send("204 No Content")
        else:
            self._send_feed(path.strip("/").removesuffix(".xml"), headers)

    def _send_feed(self, feed: str, headers: list[str]) -> None:
        etag = f'"{feed}-{self.issue}"'
        validators = f"ETag: {etag}\r\nLast-Modified: {_MODIFIED.format(self.issue)}\r\n"
        if any(line.lower() == f"if-none-match: {etag}" for line in headers):
            self._send("304 Not Modified", validators)
        else:
            body = _DOCUMENT.replace(b"@FEED@", feed.encode())
            body = body.replace(b"@ISSUE@", b"%d" % self.issue)
            length = f"Content-Length: {len(body)}\r\n"
            self._send("200 OK", f"{validators}{_XML}{length}", body)

    def _send(self, status: str, headers: str = "", body: bytes = b"") -> None:
        head = f"HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n"
        self._transport.write(head.encode() + body)
        self._transport.close()


async def hostile(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a request for a hostile feed, until the other side has had enough."""
    try:
        request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        name = request.split(" ")[1].rpartition("/")[2]
        async for part in _ATTACKS[name]():
            writer.write(part)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def _head(headers: str = _XML) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{headers}Connection: close\r\n\r\n".encode()


async def _drip() -> AsyncIterator[bytes]:
    """Send a byte of a feed every second."""
    yield _head()
    for byte in _DOCUMENT:
        yield bytes([byte])
        await asyncio.sleep(1)


async def _quadratic() -> AsyncIterator[bytes]:
    """Send a text for which feedparser looks for the address of an author, for half a minute."""
    author = f"<item><title>1</title><author>{'a' * 80_000}</author></item>"
    yield _head() + f"{_HEAD}{author}{_TAIL}".encode()


async def _huge() -> AsyncIterator[bytes]:
    """Send a feed that doesn't end."""
    yield _head() + _HEAD.encode()
    while True:
        yield _DOCUMENT


async def _bomb() -> AsyncIterator[bytes]:
    """Send two gigabytes of spaces as two megabytes."""
    yield _head(f"{_XML}Content-Encoding: gzip\r\n")
    for part in _compressed(size=2**24, times=128):
        yield part


def _compressed(size: int, times: int) -> Iterator[bytes]:
    compressor = zlib.compressobj(wbits=31)
    yield compressor.compress(_HEAD.encode()) + compressor.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers to what was before: the same bytes can follow again.
    spaces = compressor.compress(b" " * size) + compressor.flush(zlib.Z_FULL_FLUSH)
    for _ in range(times):
        yield spaces


async def _silent() -> AsyncIterator[bytes]:
    """Never answer."""
    await asyncio.Event().wait()
    yield b""


_ATTACKS = {
    "drip": _drip,
    "quadratic": _quadratic,
    "huge": _huge,
    "bomb": _bomb,
    "silent": _silent,
}


async def serve(port: int) -> None:
    """Serve all feeds at a port, until the process is stopped."""
    loop = asyncio.get_running_loop()
    good = await loop.create_server(Feeds, hosts(), port, backlog=BACKLOG)
    async with good, await asyncio.start_server(hostile, HOSTILE_HOST, port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
