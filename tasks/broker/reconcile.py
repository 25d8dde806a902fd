"""Makes Redis hold what the rows say, whatever has happened to it (R1)."""

import logging
import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, cast

from django.db import Error
from django.db.models import QuerySet
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from tasks import clock, registry
from tasks.broker import projection
from tasks.broker.in_flight import exist
from tasks.broker.keys import DISPATCH_RECORDS_KEY, MARKER_KEY, SCHEDULES_KEY
from tasks.broker.projection import project_all
from tasks.database import CHUNK
from tasks.job import Job
from tasks.job_ids import is_template
from tasks.models import ScheduledTask
from tasks.timing import spec

logger = logging.getLogger(__name__)

# How long one part of the regular work on many rows may take in a tick, in seconds.
TIME_SLICE = 0.2
# The least time between the starts of two rounds of reconciliation, and how long an urgent one may
# take in a tick, in seconds; and which share of the time any other may take.
ROUND_EVERY = 10.0
ROUND_AT_ONCE = 5.0
SHARE = 0.005
# How often it looks at what has changed, in seconds, and how long a change may have been under way
# before it became visible.
CHANGES_EVERY = 10.0
CHANGES_OVERLAP = timedelta(minutes=1)
# Columns that aren't projected, and that take long to read for very many rows.
NOT_PROJECTED = (
    "created",
    "description",
    "fingerprint",
    "next_check_at",
    "note",
    "paused_at",
    "pruned_until",
    "period_start",
)


class Reconciler:
    """Makes Redis hold what the rows say, in rounds over all rows and members, chunk by chunk.

    A round is urgent at the start, when Redis may have lost something, and after an outage.
    Otherwise it rests between its steps, so that its cost is bounded however many schedules there
    are. Rows that have changed are looked at in between, in case their change didn't reach Redis.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._round: Iterator[None] | None = None
        self._round_began_at = self._rests_until = 0.0
        self._is_urgent = True
        # Where its look at what has changed was interrupted, when it looks next, and since when it
        # has not looked.
        self._look: Iterator[None] | None = None
        self._next_look = 0.0
        self._looked: datetime | None = None
        # The marker at the end of the last complete round, and the server's run id.
        self._seen: tuple[bytes | None, Any] | None = None

    def tick(self) -> None:
        """Continue the round for a short time; begin one when it is time."""
        try:
            self._continue()
        except (RedisError, Error):
            self._is_urgent, self._round, self._look = True, None, None
            raise

    def _continue(self) -> None:
        if self._seen is not None and self._identity() != self._seen:
            logger.warning("Redis has been emptied, restored or replaced: checking all schedules.")
            self._is_urgent, self._round, self._seen = True, None, None
        now = time.monotonic()
        if not self._is_urgent:
            if self._look is None and now >= self._next_look:
                self._look, self._next_look = self._changes(), now + CHANGES_EVERY
            if self._look is not None and self._has_ended(self._look, now + TIME_SLICE):
                self._look = None
            if now < self._rests_until:
                return
        if self._round is None:
            self._looked = self._looked or clock.now()
            self._round, self._round_began_at = self._make_round(), now
        if self._has_ended(self._round, now + (ROUND_AT_ONCE if self._is_urgent else 0)):
            self._round = None
            self._rests_until = self._round_began_at + ROUND_EVERY
        took = time.monotonic() - now
        self._rests_until = max(self._rests_until, now + took / SHARE)

    @staticmethod
    def _has_ended(steps: Iterator[None], until: float) -> bool:
        """Take steps until a time, one at least; return whether these were all."""
        return all(time.monotonic() < until for _ in steps)

    def _changes(self) -> Iterator[None]:
        """Reconcile the rows that have changed since the last look, chunk by chunk."""
        assert self._looked is not None
        changed = ScheduledTask.objects.filter(updated__gte=self._looked - CHANGES_OVERLAP)
        self._looked = clock.now()
        pks = list(changed.order_by("pk").values_list("pk", flat=True))
        for begin in range(0, len(pks), CHUNK):
            _reconcile(pks[begin : begin + CHUNK], self._redis)
            yield

    def whole_round(self) -> None:
        """Make a complete round at once."""
        for _ in self._make_round():
            pass

    def _make_round(self) -> Iterator[None]:
        """Reconcile chunk by chunk. If Redis loses something meanwhile, the marker has changed."""
        mark = secrets.token_hex(8).encode()
        if self._redis.get(MARKER_KEY) is None:
            self._redis.set(MARKER_KEY, mark)
        else:
            mark = cast(bytes, self._redis.get(MARKER_KEY))
        steps = zip_longest(_project_live(self._redis), _remove_unexpected(self._redis))
        for _ in steps:
            yield
        if self._redis.get(MARKER_KEY) == mark:
            self._redis.set(MARKER_KEY, secrets.token_hex(8))
            self._seen, self._is_urgent = self._identity(), False

    def _identity(self) -> tuple[bytes | None, Any]:
        """Return what changes when Redis is emptied, restored or replaced."""
        marker = cast(bytes | None, self._redis.get(MARKER_KEY))
        try:
            return marker, self._redis.info("server").get("run_id")
        except ResponseError:  # An ACL may forbid INFO.
            return marker, None


def reconcile(redis: Redis) -> None:
    """Make Redis hold exactly the live schedules of the database.

    What is already right isn't touched. A schedule that can't be scheduled is removed, and its row
    says why in `problem`; it comes back by itself once it can be.
    """
    Reconciler(redis).whole_round()


def _project_live(redis: Redis) -> Iterator[None]:
    """Project the live rows that Redis doesn't hold as they are, chunk by chunk.

    The query doesn't filter by status, here or wherever rows are read by their keys: the database
    might use the index on the status then, and read all live rows for each chunk.
    """
    last, full = 0, True
    while full:
        chunk = list(_rows().filter(pk__gt=last)[:CHUNK])
        full = len(chunk) == CHUNK
        if live := [schedule for schedule in chunk if schedule.is_live]:
            project_all(_out_of_date(live, redis), redis)
        last = chunk[-1].pk if chunk else last
        yield


def _rows() -> QuerySet[ScheduledTask]:
    rows = ScheduledTask.objects.select_related("calendar").order_by("pk")
    return rows.defer(*NOT_PROJECTED)


def _reconcile(pks: Sequence[int], redis: Redis) -> None:
    """Make Redis hold what these rows say."""
    rows = list(_rows().filter(pk__in=pks))
    if live := [schedule for schedule in rows if schedule.is_live]:
        project_all(_out_of_date(live, redis), redis)
    others = [schedule.job_id for schedule in rows if not schedule.is_live]
    if others:
        scores = redis.zmscore(SCHEDULES_KEY, others)
        there = {job_id for job_id, score in zip(others, scores, strict=True) if score is not None}
        _remove_without_live_row(there, redis)


def _remove_unexpected(redis: Redis) -> Iterator[None]:
    """Remove the schedules without a live row from Redis, chunk by chunk."""
    cursor = -1
    while cursor != 0:
        cursor, entries = cast(
            tuple[int, list[tuple[bytes, float]]],
            redis.zscan(SCHEDULES_KEY, max(cursor, 0), count=CHUNK),
        )
        members = {member.decode(errors="replace") for member, _ in entries}
        _remove_without_live_row({member for member in members if is_template(member)}, redis)
        yield


def _remove_without_live_row(members: set[str], redis: Redis) -> None:
    # Read after the members: a new schedule has its row before it is in Redis.
    states = ScheduledTask.objects.filter(job_id__in=members).values_list("job_id", "status")
    unexpected = members - {job_id for job_id, status in states if status in ScheduledTask.LIVE}
    if unexpected:
        projection.remove(unexpected, redis)
        # One may have been resumed between the query and the removal.
        again = ScheduledTask.objects.select_related("calendar").filter(job_id__in=unexpected)
        project_all([schedule for schedule in again if schedule.is_live], redis)


def _out_of_date(schedules: Sequence[ScheduledTask], redis: Redis) -> list[ScheduledTask]:
    """Return the schedules whose dispatch record, score or template in Redis is wrong."""
    ids = [schedule.job_id for schedule in schedules]
    with redis.pipeline(transaction=False) as pipe:
        pipe.hmget(DISPATCH_RECORDS_KEY, ids)
        pipe.zmscore(SCHEDULES_KEY, ids)
        pipe.exists(*(Job.key_for(job_id) for job_id in ids))
        records, scores, number_of_templates = pipe.execute()
    has_template = [True] * len(ids) if number_of_templates == len(ids) else exist(ids, redis)
    return [
        schedule
        for schedule, record, score, is_there in zip(
            schedules, records, scores, has_template, strict=True
        )
        if schedule.problem or not is_there or not _is_projected(schedule, record, score)
    ]


def _is_projected(schedule: ScheduledTask, record: bytes | None, score: float | None) -> bool:
    try:
        registry.get(schedule.function)
        if record is None or record != projection.dispatch_record(schedule).encode():
            return False
        return score is not None or spec.next_due(schedule.spec(), schedule.settled_through) is None
    except Exception:  # `project_all` notes the problem on the row.
        return False
