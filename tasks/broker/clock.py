"""Reads Redis's clock, by which everything is judged, and says whose clock is off (R12)."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import rq.utils
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker.connection import connect
from tasks.broker.keys import CLOCK_STEP_KEY, CLOCKS_KEY
from tasks.timing.describe import describe_seconds

logger = logging.getLogger(__name__)

# How often a process whose clock is off says so in Redis, and how long that counts, in seconds.
PUBLISH_EVERY = 10.0
PUBLISHED_FOR = 30
# How long Redis remembers that its clock was set, in seconds.
STEP_REMEMBERED_FOR = 3_600


def read(redis: Redis) -> float:
    """Read Redis's clock; return by how many seconds it was set since this process last read it.

    Raises RedisError if Redis is unavailable: `tasks.clock` then goes on by the last reading.
    """
    sent = clock.elapsed_clock()
    seconds, microseconds = redis.time()
    return clock.observe(seconds + microseconds / 1e6, sent, clock.elapsed_clock())


def refresh(redis: Redis | None = None) -> None:
    """Read Redis's clock if Redis is available."""
    with suppress(RedisError):
        read(redis or connect())


def install() -> None:
    """Have this process go by Redis's clock, and RQ's own code in it as well.

    RQ stamps jobs, and judges by these stamps which of them are over or abandoned.
    """
    clock.keep_fresh(refresh)
    systems_clock = rq.utils.now
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "rq" and getattr(module, "now", None) is systems_clock:
            module.now = clock.now  # type: ignore[attr-defined]


class ClockKeeper:
    """Keeps the clock of a process, and says by how much its system's clock is off.

    `name` says which process that is, for people.
    """

    def __init__(self, redis: Redis, name: str) -> None:
        self._redis = redis
        self._name = name
        # The offset that was last said, 0.0 if the system's clock was right.
        self._said = 0.0
        self._is_published = False
        self._next_publication = 0.0

    def keep(self) -> float:
        """Read Redis's clock; return by how many seconds it was set since the last time.

        Raises RedisError if Redis is unavailable.
        """
        step = read(self._redis)
        if step:
            logger.warning("Redis's clock was set: it jumped by %+.1f s, and is followed.", step)
            note = json.dumps([clock.timestamp(), step])
            self._redis.set(CLOCK_STEP_KEY, note, ex=STEP_REMEMBERED_FOR)
        self._say(clock.offset())
        return step

    def _say(self, offset: float) -> None:
        is_news = clock.is_news(self._said, offset)
        if is_news and clock.is_notable(offset):
            text = "%s: the system's clock is %.1f s %s Redis's, which is the one that counts."
            side = "ahead of" if offset > 0 else "behind"
            logger.warning(text, self._name, abs(offset), side)
        elif is_news:
            logger.info("%s: the system's clock agrees with Redis's again.", self._name)
        if is_news:
            self._said = offset if clock.is_notable(offset) else 0.0
        if is_news or time.monotonic() >= self._next_publication:
            self._publish()
            self._next_publication = time.monotonic() + PUBLISH_EVERY

    def _publish(self) -> None:
        if not self._said:
            self.withdraw()
            return
        published = _published(self._redis)
        ended = {name.decode() for name in published} - offsets_among(published).keys()
        with self._redis.pipeline() as pipe:
            if ended:
                pipe.hdel(CLOCKS_KEY, *ended)
            pipe.hset(CLOCKS_KEY, self._name, json.dumps([clock.timestamp(), self._said]))
            pipe.expire(CLOCKS_KEY, PUBLISHED_FOR)
            pipe.execute()
        self._is_published = True

    def withdraw(self) -> None:
        """Take back what was said in Redis: the process ends, or its system's clock is right."""
        if self._is_published:
            self._redis.hdel(CLOCKS_KEY, self._name)
            self._is_published = False


def offsets(redis: Redis) -> dict[str, float]:
    """Return the processes whose system's clock is off now, and by how many seconds."""
    return offsets_among(_published(redis))


def offsets_among(published: dict[bytes, bytes]) -> dict[str, float]:
    """Return, of what processes have said about their clocks, what counts now."""
    since = clock.timestamp() - PUBLISHED_FOR
    said = {name.decode(): json.loads(entry) for name, entry in published.items()}
    return {name: offset for name, (at, offset) in said.items() if at >= since}


def step_in(note: bytes | None) -> tuple[datetime, float] | None:
    """Return when Redis's clock was last set, and by how many seconds, by the note about it."""
    if note is None:
        return None
    at, step = json.loads(note)
    return datetime.fromtimestamp(at, UTC), step


def _published(redis: Redis) -> dict[bytes, bytes]:
    return cast(dict[bytes, bytes], redis.hgetall(CLOCKS_KEY))


def notices(redis: Redis) -> list[str]:
    """Return, for people, whose clock is off, and whether Redis's own was set in the past hour.

    Raises RedisError if Redis is unavailable.
    """
    note = cast(bytes | None, redis.get(CLOCK_STEP_KEY))
    return notices_about(offsets(redis), step_in(note))


def notices_about(offsets: Mapping[str, float], step: tuple[datetime, float] | None) -> list[str]:
    """Return these notices from what Redis has said.

    `offsets` are the processes and by how many seconds theirs are off, `step` is when Redis's was
    set, and by how many.
    """
    found = []
    for process, offset in sorted(offsets.items()):
        text = (
            _("%(process)s: the system's clock is %(span)s ahead of Redis's, which counts.")
            if offset > 0
            else _("%(process)s: the system's clock is %(span)s behind Redis's, which counts.")
        )
        found.append(text % {"process": process, "span": _span(offset)})
    if step is not None:
        at, seconds = step
        text = (
            _("Redis's clock was set forward by %(span)s at %(time)s: what it skipped is recorded.")
            if seconds > 0
            else _("Redis's clock was set back by %(span)s at %(time)s: nothing is repeated.")
        )
        local = timezone.localtime(at)
        found.append(
            text % {"span": _span(seconds), "time": formats.date_format(local, "Y-m-d H:i")}
        )
    return found


def _span(seconds: float) -> str:
    return describe_seconds(max(round(abs(seconds)), 1))
