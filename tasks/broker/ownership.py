"""Whose the keys in Redis are: a namespace belongs to one database (R16).

The namespace has an owner mark: the id of a database, its name for people, and a number. The
database has the same mark as a row. The leading scheduler raises the number every few seconds, in
the database first and then in Redis, so only another history of the same database can be behind
Redis: a copy, or what was restored from a backup. An address says nothing about that: it changes
with a failover, and a copy may have the same one.
"""

import logging
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from typing import Any, Self, cast

from django.db import Error, connections, transaction
from django.db.models import F
from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from rq.defaults import RQ_KEY_PREFIX

from tasks.broker.connection import connect
from tasks.broker.keys import OWNER_KEY
from tasks.database import alias
from tasks.exceptions import TasksError
from tasks.models import OwnerMark

logger = logging.getLogger(__name__)

# How often the leader raises the number, and each process checks the mark, in seconds.
CHECK_INTERVAL = 5.0
# By how much a database may be behind Redis: a failover may have lost its latest second.
TOLERATED = 1
ENGINES = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}
# KEYS: the owner mark. ARGV: a database's id, name and number. Takes a namespace that has no mark,
# or brings the database's own mark up to date, never backwards.
RENEW = """
local owner, number = unpack(redis.call('HMGET', KEYS[1], 'id', 'number'))
if owner and owner ~= ARGV[1] then return 0 end
if not owner or tonumber(number or 0) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], 'id', ARGV[1], 'name', ARGV[2], 'number', ARGV[3])
end
return 1
"""


class RedisRefused(TasksError, RedisError):
    """A Redis that answers, but that this process must not use.

    It is a RedisError as well: whoever can do without Redis while it is unavailable, can so here.
    """


class RedisIsCluster(RedisRefused):
    """A Redis Cluster, in which no step can take all of its keys together."""


class RedisOwnedByAnother(RedisRefused):
    """Keys in Redis that belong to another database, or to a later state of this one (R16)."""


class Standing(Enum):
    """How a database stands to the owner mark of a namespace."""

    OWNER = "owner"
    ANOTHER = "another"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True)
class Mark:
    """An owner mark: the id of a database, its name for people, and how far it is."""

    id: str
    name: str
    number: int

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes]) -> Self:
        """Return the mark that Redis has."""
        texts = {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
        return cls(texts.get("id", ""), texts.get("name", ""), int(texts.get("number", 0)))


def standing(own: Mark, owner: Mark) -> Standing:
    """Decide how the database with the mark `own` stands to a namespace with the mark `owner`."""
    if own.id != owner.id:
        return Standing.ANOTHER
    return Standing.BEHIND if owner.number - own.number > TOLERATED else Standing.OWNER


class Ownership:
    """One process's check that the keys in Redis are its database's.

    `mark` is the database's mark as last read, None before the first check.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._renew = redis.register_script(RENEW)
        self._is_single: bool | None = None
        self._checked_at: float | None = None
        self.mark: Mark | None = None

    def check(self) -> None:
        """Take a namespace without a mark; raise RedisRefused if it isn't this database's.

        Raises RedisError if Redis, and Error if the database is unavailable: then it isn't known.
        """
        self.refuse_cluster()
        # Redis first: the number that the database has afterwards can only be higher.
        owner = self._owner()
        own = self.mark = _read()
        if owner is None and not _is_in_transaction():  # which may be rolled back
            self._renew(keys=[OWNER_KEY], args=[own.id, own.name, own.number])
            owner = self._owner()
        _refuse_unless_owner(own, owner)
        if not _is_in_transaction():
            self._checked_at = time.monotonic()

    def look(self) -> None:
        """Raise RedisRefused as `check` does, but change nothing (R11)."""
        self.refuse_cluster()
        owner = self._owner()
        row = _rows().first()
        own = Mark("", name_of_database(), 0) if row is None else _mark_of(row)
        _refuse_unless_owner(own, owner)

    def check_now_and_then(self) -> None:
        """Check unless that was done in the last seconds; what the database can't say may wait.

        Raises RedisRefused, or RedisError if Redis is unavailable.
        """
        if self._checked_at is None or time.monotonic() - self._checked_at >= CHECK_INTERVAL:
            try:
                self.check()
            except Error as error:
                logger.debug("Whose the keys in Redis are isn't known now: %s", error)
                connections[alias()].close_if_unusable_or_obsolete()
                self._checked_at = time.monotonic()

    def raise_number(self) -> None:
        """Raise the number, in the database first and then in Redis; the leader does it."""
        own = self.mark
        if own is None:
            return
        # A database that has adopted the namespace meanwhile has another id.
        rows = _rows().filter(owner=own.id)
        if rows.update(number=F("number") + 1):
            own = self.mark = _read()
            self._renew(keys=[OWNER_KEY], args=[own.id, own.name, own.number])

    def adopt(self) -> Mark | None:
        """Make the namespace this database's, under a new id; return whose it was.

        The new id excludes the processes of all other databases, copies of this one too.
        """
        self.refuse_cluster()
        former = self._owner()
        _read()
        _rows().update(owner=uuid.uuid4())
        own = self.mark = _read()
        fields: Any = {"id": own.id, "name": own.name, "number": own.number}
        self._redis.hset(OWNER_KEY, mapping=fields)
        return former

    def _owner(self) -> Mark | None:
        fields = cast(dict[bytes, bytes], self._redis.hgetall(OWNER_KEY))
        return Mark.from_fields(fields) if fields else None

    def refuse_cluster(self) -> None:
        """Raise RedisIsCluster if this Redis is a cluster."""
        if self._is_single is None:
            self._is_single = not _is_cluster(self._redis)
        if not self._is_single:
            raise RedisIsCluster(
                _(
                    "This Redis is a cluster, which can't be used: its keys don't change together. "
                    "Use a single server, or Sentinel for a failover."
                )
            )


@cache
def ownership(redis: Redis) -> Ownership:
    """Return this process's check for a connection."""
    return Ownership(redis)


def connect_as_owner() -> Redis:
    """Return this process's connection to write with.

    Raises RedisRefused if Redis must not be used, RedisError if it is unavailable.
    """
    redis = connect()
    ownership(redis).check_now_and_then()
    return redis


def why_not_in_redis() -> str:
    """Say why what was just saved doesn't take effect yet."""
    try:
        ownership(connect()).look()
    except RedisRefused as error:
        return _("This is saved, and doesn't take effect: %(why)s") % {"why": error}
    except RedisError:
        pass  # Said below.
    return _("Redis is unavailable: this is saved and takes effect once Redis is back.")


def name_of_database() -> str:
    """Return what people call this database, without any password."""
    connection = connections[alias()]
    values = connection.settings_dict
    options = values.get("OPTIONS", {})
    engine = ENGINES.get(connection.vendor, connection.vendor)
    if connection.vendor == "sqlite":
        return f"{engine} {values['NAME']} ({socket.gethostname()})"
    host = values.get("HOST") or options.get("host") or options.get("service") or "localhost"
    port = f":{values['PORT']}" if values.get("PORT") else ""
    return f"{engine} {values['NAME'] or options.get('dbname', '')} ({host}{port})"


def _refuse_unless_owner(own: Mark, owner: Mark | None) -> None:
    """Raise RedisOwnedByAnother unless a namespace is this database's, or nobody's (None)."""
    if owner is None:
        return
    # A transaction may see an old number.
    how = standing(replace(own, number=owner.number) if _is_in_transaction() else own, owner)
    if how is Standing.OWNER:
        return
    if how is Standing.ANOTHER:
        whose = _("The keys “%(prefix)s:…” in Redis belong to another database, %(owner)s.")
    else:
        whose = _(
            "The keys “%(prefix)s:…” in Redis are ahead of this database: it is a copy of "
            "%(owner)s, or was restored from a backup."
        )
    what_to_do = _(
        "This one, %(own)s, must not use them. Give it a prefix of its own (RQ_KEY_PREFIX in the "
        "environment of all its processes), or make them its own: manage.py adopt_redis --run, or "
        "--missed."
    )
    values = {"prefix": RQ_KEY_PREFIX, "owner": owner.name, "own": own.name}
    raise RedisOwnedByAnother(f"{whose} {what_to_do}" % values)


def _is_cluster(redis: Redis) -> bool:
    try:
        return bool(redis.info("cluster").get("cluster_enabled"))
    except ResponseError:  # An ACL may forbid INFO.
        return False


def _read() -> Mark:
    """Return the mark that the database has; one that has none gets one."""
    row, _made = _rows().get_or_create(pk=OwnerMark.THE_ONLY)
    return _mark_of(row)


def _mark_of(row: OwnerMark) -> Mark:
    return Mark(row.owner.hex, name_of_database(), row.number)


def _rows() -> Any:
    """Return the row where it is written: a replica may be behind."""
    return OwnerMark.objects.using(alias())


def _is_in_transaction() -> bool:
    return transaction.get_connection(alias()).in_atomic_block
