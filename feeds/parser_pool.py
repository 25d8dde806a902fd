"""The processes that read documents: a small server that forks them, warm, and hands out the work.

It is a process without threads that has feedparser loaded, started by `feeds.sandbox`. Over its
control socket it gets one socket for each document, which it gives to the next idle parser; that
reads the document from it and writes the answer. At most `SIZE` parsers work at a time, each on one
document. What takes longer than SLOW_SECONDS leaves that count and the processor to others: it goes
on at a low priority, as one of at most MOST_SLOW, until its limits end it. So a hostile
document delays others by no more than that. A parser that was slow, or has grown, isn't used again.

The server ends when all processes that have its control socket have ended.
"""

import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
import time
import traceback
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any

from feeds.exceptions import NotAFeed
from feeds.reading import parser

SIZE = max(2, min(4, os.cpu_count() or 1))
MOST_SLOW = 6
SLOW_SECONDS = 0.3
LOW_PRIORITY = 10
WALL_SECONDS = 90.0
LARGEST_IDLE = 150 * 2**20  # bytes of a parser that is used again
CLIENT_SECONDS = 10.0  # in which a client sends its document and takes its answer

LENGTH_BYTES = 8
_DONE = b"."


@dataclass(slots=True)
class _Parser:
    pid: int
    control: socket.socket
    client: socket.socket | None = None
    started: float = 0.0
    is_slow: bool = False


@dataclass(slots=True)
class _Server:
    control: socket.socket
    waiting: deque[socket.socket] = field(default_factory=deque)
    idle: list[_Parser] = field(default_factory=list)
    busy: dict[int, _Parser] = field(default_factory=dict)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self) -> None:
        """Hand out the work until nobody is left who could bring any."""
        self.selector.register(self.control, selectors.EVENT_READ)
        is_open = True
        while is_open:
            for key, _ in self.selector.select(SLOW_SECONDS / 3 if self.busy else None):
                if key.data is None:
                    is_open = self._accept()
                else:
                    self._hear(key.data)
            self._look_after_busy()
            while self.waiting and (chosen := self._free_parser()):
                self._give(chosen, self.waiting.popleft())
        for one in [*self.idle, *self.busy.values()]:
            os.kill(one.pid, signal.SIGKILL)

    def _accept(self) -> bool:
        try:
            data, sockets, _, _ = socket.recv_fds(self.control, 1, 1)
        except OSError:
            return False
        self.waiting.extend(socket.socket(fileno=number) for number in sockets)
        return bool(data)

    def _free_parser(self) -> _Parser | None:
        if self.idle:
            return self.idle.pop()
        slow = sum(one.is_slow for one in self.busy.values())
        return self._forked() if len(self.busy) - slow < SIZE else None

    def _forked(self) -> _Parser:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become_parser(theirs)
        theirs.close()
        made = _Parser(pid, ours)
        self.selector.register(ours, selectors.EVENT_READ, made)
        return made

    def _become_parser(self, control: socket.socket) -> None:
        """End as a parser: nothing of the server's is left to it."""
        try:
            self.selector.close()
            for one in [*self.idle, *self.busy.values()]:
                one.control.close()
                if one.client:
                    one.client.close()
            for client in self.waiting:
                client.close()
            self.control.close()
            _parse_until_closed(control)
        finally:
            os._exit(0)

    def _give(self, chosen: _Parser, client: socket.socket) -> None:
        chosen.client, chosen.started, chosen.is_slow = client, time.monotonic(), False
        self.busy[chosen.pid] = chosen
        try:
            socket.send_fds(chosen.control, [_DONE], [client.fileno()])
        except OSError:
            self._bury(chosen)

    def _hear(self, one: _Parser) -> None:
        try:
            is_done = one.control.recv(1) == _DONE
        except OSError:
            is_done = False
        if not is_done:
            self._bury(one)
            return
        self._release(one)
        if one.is_slow:  # its low priority can't be taken back
            self._bury(one)
        else:
            self.idle.append(one)

    def _release(self, one: _Parser) -> None:
        self.busy.pop(one.pid, None)
        if one.client:
            one.client.close()
            one.client = None

    def _bury(self, one: _Parser) -> None:
        """Let a parser end; tell its client, if it has one, that it died at its limits."""
        with suppress(ValueError):
            self.idle.remove(one)
        self.selector.unregister(one.control)
        one.control.close()
        if one.client is None:  # it waits for work
            os.kill(one.pid, signal.SIGKILL)
        os.waitpid(one.pid, 0)
        if one.client:
            _send(one.client, {"over": "limits"})
        self._release(one)

    def _look_after_busy(self) -> None:
        now = time.monotonic()
        slow = sum(one.is_slow for one in self.busy.values())
        for one in self.busy.values():
            if now - one.started > WALL_SECONDS:
                os.kill(one.pid, signal.SIGKILL)
            elif not one.is_slow and now - one.started > SLOW_SECONDS and slow < MOST_SLOW:
                one.is_slow, slow = True, slow + 1
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, one.pid, LOW_PRIORITY)


def serve(control: int) -> None:
    """Be the server for a control socket, given by its number, until nobody has the other end."""
    # They end with the processes that they work for, also when those are told to end in a group.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _raise_limit_of_files()
    gc.collect()
    gc.freeze()
    _Server(socket.socket(fileno=control)).run()


def _raise_limit_of_files() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# In a parser


def _parse_until_closed(control: socket.socket) -> None:
    while True:
        data, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        with socket.socket(fileno=sockets[0]) as client:
            is_reusable = _answer(client)
        if not is_reusable:
            return
        control.sendall(_DONE)


def _answer(client: socket.socket) -> bool:
    """Read a document from a client and answer it; return whether this parser can go on."""
    client.settimeout(CLIENT_SECONDS)
    try:
        head, body = receive(client), receive(client)
    except OSError:  # the client has gone
        return True
    request = json.loads(head)
    _limit(request["cpu_seconds"], request["memory"])
    try:
        answer = _parsed(body, request["content_type"], request["url"])
        text = json.dumps(answer, default=_plain).encode()
    except MemoryError:
        _limit(request["cpu_seconds"], None)
        _send(client, {"over": "memory"})
        return False
    _limit(None, None)
    with suppress(OSError):
        send(client, text)
    return _memory_used() < LARGEST_IDLE


def _parsed(body: bytes, content_type: str, url: str) -> dict[str, Any]:
    try:
        return {"feed": parser.parse(body, content_type, url)}
    except NotAFeed as error:
        return {"problem": error.text, "values": error.values, "found": error.found}
    except MemoryError:
        raise
    except Exception:  # our mistake: the caller tells it
        return {"failed": traceback.format_exc()[-2_000:]}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    raise TypeError(value)


def _limit(cpu_seconds: int | None, memory: int | None) -> None:
    """Limit what this process may use from now on; None is no limit."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime)
    # Rounded up: the limit counts what was used before, and in whole seconds.
    _set_limit(resource.RLIMIT_CPU, None if cpu_seconds is None else spent + 1 + cpu_seconds)
    _set_limit(resource.RLIMIT_AS, memory)


def _set_limit(kind: int, value: int | None) -> None:
    most = resource.getrlimit(kind)[1]
    # Not every system has every limit; the wall-clock time is limited in any case.
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (most if value is None else value, most))


def _memory_used() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


# What the client and a parser say to each other: a length, and as many bytes.


def receive(connection: socket.socket) -> bytes:
    """Read one message; raises ConnectionError if it isn't whole."""
    length = int.from_bytes(_receive_exactly(connection, LENGTH_BYTES))
    return _receive_exactly(connection, length)


def _receive_exactly(connection: socket.socket, length: int) -> bytes:
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 2**20))
        if not part:
            raise ConnectionError("The other side has closed the connection.")
        parts += part
    return bytes(parts)


def framed(message: bytes) -> bytes:
    """Return a message with its length in front of it."""
    return len(message).to_bytes(LENGTH_BYTES) + message


def send(connection: socket.socket, message: bytes) -> None:
    """Write one message."""
    connection.sendall(framed(message))


def _send(client: socket.socket, answer: dict[str, Any]) -> None:
    client.settimeout(CLIENT_SECONDS)
    with suppress(OSError):
        send(client, json.dumps(answer).encode())
