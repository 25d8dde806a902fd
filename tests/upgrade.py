"""A small site as version 0.1.0 has left it: its database, and what it has put in Redis.

It was made in November 2026 by 0.1.0's own services, scheduler and workers, which were then killed
or stopped; PostgreSQL's dump has the same rows as SQLite's. What Redis keeps for a limited time
only (leases, workers, ended jobs) is left out: it is over. Its schedules are due once a month at
most, or not before 2099, so however long ago that was, little has been due since. Nothing in
`data/upgrade/` is changed when the code changes: it is what users have.
"""

import base64
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from redis import Redis

DATA = Path(__file__).parent / "data" / "upgrade"


def load_sqlite(path: Path) -> None:
    """Make the SQLite file with the database of 0.1.0."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / "sqlite.sql").read_text())


def load_postgres(url: str) -> None:
    """Fill the empty PostgreSQL database at this URL with the database of 0.1.0."""
    with psycopg.connect(url) as connection:
        connection.execute((DATA / "postgres.sql").read_bytes())


def load_redis(redis: Redis) -> None:
    """Put in Redis what 0.1.0 has left there."""
    for key, entry in json.loads((DATA / "redis.json").read_text()).items():
        _load_key(redis, key, entry["type"], entry["value"])


def _load_key(redis: Redis, key: str, kind: str, value: Any) -> None:
    match kind:
        case "string":
            redis.set(key, _bytes(value))
        case "hash":
            redis.hset(key, mapping={field: _bytes(one) for field, one in value.items()})
        case "list":
            redis.rpush(key, *map(_bytes, value))
        case "set":
            redis.sadd(key, *map(_bytes, value))
        case "zset":
            redis.zadd(key, value)
        case _:
            raise ValueError(f"{key} is a {kind}, which nobody can load")


def _bytes(value: str | Mapping[str, str]) -> bytes:
    """Return a value of Redis; what is not text is written as base64."""
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])
