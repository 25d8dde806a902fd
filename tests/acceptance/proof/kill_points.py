"""Points at which a process can be made to die, wait or miss a reply.

A process of the system under test is stopped without any change of its code: redis-py's
connection, psycopg's cursors, Django's commits and `os.fork` are wrapped. Between two steps that
other processes can see, it makes no difference where a process dies, so these points stand for
every line. This works unchanged on the stock classes.

A point's name is who, what and when: `scheduler:ZADD rq:scheduler:after`. Who: `scheduler`,
`worker`, `child` (what a worker has forked), each with `/thread` outside the main thread. The
environment says what to do:

    PROOF_ROLE    who this process is; without it nothing is wrapped
    PROOF_POINT   a point and at which passage of it, as in `child:function:start#1`
    PROOF_ACTION  exit | term (SIGTERM to itself) | pause (SIGSTOP to itself) | drop (the reply)
    PROOF_DONE    a file that is made then; while it exists, no other action is taken
    PROOF_LOG     a file that gets a line for each point passed, `<pid> <point>`
    PROOF_LOCKS   `off`: each process has a leader's lock of its own
"""

import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import redis.connection
from django.db.backends.base.base import BaseDatabaseWrapper
from redis.exceptions import ConnectionError, ResponseError

from tasks.runs import prepared

# Commands that change nothing that others can see: dying before or after one is the same as dying
# before the next change, or after the last one.
READ_ONLY = {
    word.encode()
    for word in """
        HELLO AUTH SELECT CLIENT PING INFO TIME SCRIPT SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE
        MULTI EXEC WATCH UNWATCH GET MGET EXISTS TTL PTTL TYPE KEYS SCAN HGET HMGET HGETALL HEXISTS
        LRANGE LLEN LPOS SMEMBERS SCARD SISMEMBER ZRANGE ZRANGEBYSCORE ZREVRANGE ZSCORE ZMSCORE
        ZCARD ZCOUNT ZSCAN XREVRANGE XRANGE XLEN
    """.split()
}
LOCK_KEY = "rq:scheduler_lock"
STATEMENT = re.compile(
    r"\s*(INSERT INTO|UPDATE|DELETE FROM|SELECT .*? FROM(?=.* FOR (?:NO KEY )?UPDATE)|COPY|EXECUTE)"
    r'\s+"?(\w+)',
    re.IGNORECASE | re.DOTALL,
)
WORD = re.compile(r"[a-z_]+")
# The end of the name of a prepared statement, which differs between releases.
RELEASE = re.compile(r"_[0-9a-f]{8}$")


class Dropped(ConnectionError):
    """The server has executed the command, and the client never gets the reply."""


class Points:
    """The points that this process has passed, and what happens at one of them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._role = environment["PROOF_ROLE"]
        self._point, _, passage = environment.get("PROOF_POINT", "").rpartition("#")
        self._passage = int(passage or 0)
        self._action = environment.get("PROOF_ACTION", "exit")
        self._done = environment.get("PROOF_DONE", "")
        self._log = environment.get("PROOF_LOG")
        self._passed: Counter[str] = Counter()
        os.register_at_fork(after_in_child=self._become_child)

    def reach(self, what: str, when: str) -> None:
        """Pass a point: count it, and take the action if this is its passage."""
        in_thread = threading.current_thread() is not threading.main_thread()
        point = f"{self._role}{'/thread' if in_thread else ''}:{what}:{when}"
        self._passed[point] += 1
        if self._log:
            append(self._log, f"{os.getpid()} {point}")
        if point == self._point and self._passed[point] >= self._passage and self._is_first():
            self._act()

    def _become_child(self) -> None:
        self._role = "child"
        self._passed.clear()

    def _is_first(self) -> bool:
        """Make the file PROOF_DONE; of several processes one succeeds."""
        try:
            descriptor = os.open(self._done, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        note = {"pid": os.getpid(), "role": self._role, "action": self._action, "time": time.time()}
        os.write(descriptor, json.dumps(note).encode())
        os.close(descriptor)
        return True

    def _act(self) -> None:
        if self._action == "exit":
            os._exit(1)
        elif self._action == "term":
            os.kill(os.getpid(), signal.SIGTERM)
        elif self._action == "pause":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif self._action == "drop":
            raise Dropped("The reply was dropped on purpose.")
        else:
            raise ValueError(f"{self._action!r} is not a valid PROOF_ACTION.")


_points: Points | None = None


def append(path: str | Path, line: str) -> None:
    """Append a line to a file that several processes write: all of it, or nothing."""
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def reach(what: str, when: str) -> None:
    """Pass a point of a task function; without PROOF_ROLE nothing happens."""
    if _points is not None:
        _points.reach(what, when)


def install(environment: Mapping[str, str]) -> None:
    """Wrap the steps of this process that others can see, if the environment has PROOF_ROLE."""
    global _points
    if "PROOF_ROLE" not in environment:
        return
    _points = Points(environment)
    _wrap_redis()
    _wrap_database()
    _wrap_fork()
    if environment.get("PROOF_LOCKS") == "off":
        _give_own_locks()


def _wrap_redis() -> None:
    connection: Any = redis.connection.AbstractConnection
    send, read = connection.send_packed_command, connection.read_response

    def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:
        what, replies = describe(command)
        if what is None:
            send(self, command, check_health)
            return
        reach(what, "before")
        send(self, command, check_health)
        self.proof_awaits = (what, replies)

    def read_response(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            reply = read(self, *args, **kwargs)
        except ResponseError:
            passed(self)
            raise
        passed(self)
        return reply

    def passed(self: Any) -> None:
        what, replies = getattr(self, "proof_awaits", None) or (None, 0)
        if what is None:
            return
        self.proof_awaits = (what, replies - 1) if replies > 1 else None
        if replies == 1:
            try:
                reach(what, "after")
            except Dropped:
                self.disconnect()
                raise

    connection.send_packed_command, connection.read_response = send_packed_command, read_response


def describe(packed: Any) -> tuple[str | None, int]:
    """Name packed commands by their verbs and the first one's key; count their replies."""
    data = packed.encode() if isinstance(packed, str) else packed
    commands = list(_commands(data if isinstance(data, bytes) else b"".join(data)))
    verbs = dict.fromkeys(command[0].upper() for command in commands)
    visible = [verb for verb in verbs if verb not in READ_ONLY]
    if not visible:
        return None, 0
    first = next(command for command in commands if command[0].upper() == visible[0])
    is_script = visible[0] in (b"EVALSHA", b"EVAL")
    key = first[3] if is_script and len(first) > 3 else first[1] if len(first) > 1 else b""
    verb = "+".join(verb.decode() for verb in visible[:4])
    return f"{verb} {_kind_of(key)}".strip(), len(commands)


def _commands(data: bytes) -> Iterator[list[bytes]]:
    at = 0
    while at < len(data):
        end = data.index(b"\r\n", at)
        count, at = int(data[at + 1 : end]), end + 2
        words = []
        for _ in range(count):
            end = data.index(b"\r\n", at)
            size, at = int(data[at + 1 : end]), end + 2
            words.append(data[at : at + size])
            at += size + 2
        yield words


def _kind_of(key: bytes) -> str:
    """Name a key without the part that identifies a job: `rq:job:7f3…` is `rq:job`."""
    parts = key.decode(errors="replace").split(":")
    return ":".join(part for part in parts[:4] if WORD.fullmatch(part))


def _wrap_database() -> None:
    cursor: Any = psycopg.Cursor
    wrapper: Any = BaseDatabaseWrapper
    execute, execute_many = cursor.execute, cursor.executemany
    commit, connect = wrapper._commit, wrapper.connect
    send = prepared.send

    def around(what: str | None, step: Any, *args: Any, **kwargs: Any) -> Any:
        if what is None:
            return step(*args, **kwargs)
        reach(what, "before")
        result = step(*args, **kwargs)
        reach(what, "after")
        return result

    def one(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        return around(_statement(query), execute, self, query, *args, **kwargs)

    def many(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        return around(_statement(query) or "many", execute_many, self, query, *args, **kwargs)

    def sent(connected: Any, steps: Any) -> Any:
        names = dict.fromkeys(f"EXECUTE {statement.name}" for statement, _ in steps)
        return around("+".join(names), send, connected, steps)

    cursor.execute, cursor.executemany = one, many
    prepared.send = sent
    wrapper._commit = lambda self: around("COMMIT", commit, self)
    wrapper.connect = lambda self: around("CONNECT", connect, self)


def _statement(sql: Any) -> str | None:
    """Name what a query, of one or more statements, changes or locks."""
    matches = [match for part in str(sql).split(";") if (match := STATEMENT.match(part))]
    names = [f"{m[1].split()[0].upper()} {_plain(m[2])}" for m in matches]
    return "+".join(dict.fromkeys(names)) or None


def _plain(name: str) -> str:
    return RELEASE.sub("", name.removeprefix("tasks_"))


def _wrap_fork() -> None:
    fork = os.fork

    def forked() -> int:
        reach("fork", "before")
        pid = fork()
        reach("fork", "after")
        return pid

    os.fork = forked


def _give_own_locks() -> None:
    def own_lock(word: Any) -> Any:
        text = word.decode(errors="replace") if isinstance(word, bytes) else word
        return f"{text}:{os.getpid()}" if text == LOCK_KEY else word

    def wrap(packer: Any) -> None:
        pack = packer.pack
        packer.pack = lambda self, *args: pack(self, *map(own_lock, args))

    wrap(redis.connection.PythonRespSerializer)
    wrap(redis.connection.HiredisRespSerializer)
