"""Read documents in processes of their own, with hard limits on time and memory.

Measured with feedparser 6.0.14: documents of 100 KB (newlines before the root element) and of
5 MiB (attributes, unclosed elements) keep it busy for more than 20 s. Here they all end after
CPU_SECONDS. The processes are `feeds.parser_pool`'s: one pool for a process and those that it
forks, started with its first document, and ended with the last of them.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from datetime import datetime
from typing import Any

from feeds.exceptions import FoundFeed, NotAFeed, TooCostly
from feeds.parser_pool import LENGTH_BYTES, framed, receive
from feeds.reading.result import Enclosure, ParsedEntry, ParsedFeed

CPU_SECONDS = 10
MEMORY_BYTES = 512 * 2**20


class _Pool:
    """The way to the server, which a process shares with those that it forks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._servers: list[subprocess.Popen[bytes]] = []

    def unlock(self) -> None:
        """Be usable in a process that was forked while another thread had the lock."""
        self._lock = threading.Lock()

    def connection(self) -> socket.socket:
        """Return a connection to a parser; the server is started if there is none."""
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            if self._control is None:
                self._start()
            try:
                self._hand_over(theirs)
            except OSError:  # the server has died
                self._start()
                self._hand_over(theirs)
        return ours

    def forget(self) -> None:
        """Start another server for the next document: this one has lost one."""
        with self._lock:
            self._close()

    def _hand_over(self, connection: socket.socket) -> None:
        assert self._control is not None
        socket.send_fds(self._control, [b"."], [connection.fileno()])

    def _start(self) -> None:
        self._close()
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            call = f"from feeds.parser_pool import serve; serve({number})"
            server = subprocess.Popen(
                [sys.executable, "-P", "-c", call],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=[number],
            )
        self._servers = [one for one in self._servers if one.poll() is None] + [server]
        self._control = ours

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None


_POOL = _Pool()
os.register_at_fork(after_in_child=_POOL.unlock)


def parse(
    body: bytes,
    content_type: str,
    url: str,
    *,
    cpu_seconds: int = CPU_SECONDS,
    memory: int = MEMORY_BYTES,
) -> ParsedFeed:
    """Do what `feeds.reading.parser.parse` does; raises NotAFeed, or TooCostly beyond the limits.

    `memory` is in bytes. It may be called in any thread and in a forked process; in a coroutine use
    `parse_async`.
    """
    request = _request(body, content_type, url, cpu_seconds, memory)
    for is_last in (False, True):
        with _POOL.connection() as connection:
            try:
                connection.sendall(request)
                answer = receive(connection)
            except OSError:
                _lost(is_last)
                continue
        break
    return _result(answer, url, cpu_seconds, memory)


async def parse_async(
    body: bytes,
    content_type: str,
    url: str,
    *,
    cpu_seconds: int = CPU_SECONDS,
    memory: int = MEMORY_BYTES,
) -> ParsedFeed:
    """Do what `parse` does, and let other coroutines go on meanwhile."""
    request = _request(body, content_type, url, cpu_seconds, memory)
    for is_last in (False, True):
        with _POOL.connection() as connection:
            try:
                answer = await _exchange(connection, request)
            except OSError:
                _lost(is_last)
                continue
        break
    return _result(answer, url, cpu_seconds, memory)


async def _exchange(connection: socket.socket, request: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    await loop.sock_sendall(connection, request)
    length = int.from_bytes(await _receive_exactly(connection, LENGTH_BYTES))
    return await _receive_exactly(connection, length)


async def _receive_exactly(connection: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    parts = bytearray()
    while len(parts) < length:
        part = await loop.sock_recv(connection, min(length - len(parts), 2**20))
        if not part:
            raise ConnectionError("The parser has closed the connection.")
        parts += part
    return bytes(parts)


def _request(body: bytes, content_type: str, url: str, cpu_seconds: int, memory: int) -> bytes:
    head = {
        "content_type": content_type,
        "url": url,
        "cpu_seconds": cpu_seconds,
        "memory": memory,
    }
    return framed(json.dumps(head).encode()) + framed(body)


def _lost(is_last: bool) -> None:
    """Have the next try start a new server; raises RuntimeError after the last one."""
    _POOL.forget()
    if is_last:
        raise RuntimeError("The server of the parsers has died twice while it had this document.")


def _result(answer: bytes, url: str, cpu_seconds: int, memory: int) -> ParsedFeed:
    values = json.loads(answer)
    if "feed" in values:
        return _feed(values["feed"])
    if "problem" in values:
        error = NotAFeed(url, values["problem"], **values["values"])
        error.found = tuple(FoundFeed(**one) for one in values["found"])
        raise error
    if "failed" in values:
        raise RuntimeError(f"The parser failed: {values['failed']}")
    raise TooCostly(
        url,
        "reading this document takes more than %(seconds)d s or %(memory).0f MiB, which no feed "
        "needs. It may be an attack; tell its publisher.",
        seconds=cpu_seconds,
        memory=memory / 2**20,
    )


def _feed(values: dict[str, Any]) -> ParsedFeed:
    for key in ("skip_hours", "skip_days"):
        values[key] = tuple(values[key])
    values["entries"] = tuple(_entry(entry) for entry in values["entries"])
    return ParsedFeed(**values)


def _entry(values: dict[str, Any]) -> ParsedEntry:
    for key in ("published", "updated"):
        values[key] = values[key] and datetime.fromisoformat(values[key])
    for key in ("categories", "guids"):
        values[key] = tuple(values[key])
    values["enclosures"] = tuple(Enclosure(**one) for one in values["enclosures"])
    return ParsedEntry(**values)
