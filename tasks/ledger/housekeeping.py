"""The leader's regular work, in short steps, in a thread of its own."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import close_old_connections
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker import limits
from tasks.broker.keys import MARKER_KEY, explain
from tasks.broker.leases import LEASE_SECONDS, LeaseProbe
from tasks.broker.reconcile import TIME_SLICE, Reconciler
from tasks.database import OUTAGE_ERRORS
from tasks.ledger.retention import Retention, pruning_history
from tasks.ledger.settling import ending_refused, settling_steps
from tasks.ledger.summaries import Summaries
from tasks.outages import database_outage, redis_outage
from tasks.queue import usable_queues
from tasks.runs import spool
from tasks.runs.lost import Watch, close_lost_runs, enqueueing_lost_jobs
from tasks.runs.stop import stop_again

logger = logging.getLogger(__name__)

# A pause between two ticks takes longer than this if the process was stopped, or has not led.
STOPPED_SECONDS = 5.0


class Housekeeper:
    """Does the leader's regular work; every part can be stopped at any line and done again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        lost, lost_jobs, lost_dues = Watch(), Watch(), Watch()
        probe = LeaseProbe()
        self._ticked = time.monotonic()
        self._parts = [
            _Part(redis, "spool", 0.5, lambda: spool.drain(redis)),
            _Part(redis, "projection", 0.0, Reconciler(redis).tick),
            _Part(redis, "lost runs", 1.0, lambda: close_lost_runs(redis, lost, probe)),
            _Part(redis, "places", 1.0, lambda: limits.bring_back(redis)),
            _Part(redis, "runs to stop", 1.0, lambda: stop_again(redis)),
            _Part(redis, "refused schedules", 2.0, lambda: ending_refused(redis)),
            _Part(redis, "retention", 300.0, Retention().steps),
            _Part(redis, "history", 3600.0, pruning_history),
            _Part(redis, "summaries", 1.0, Summaries().steps),
        ]
        self._parts_by_lease = [
            _Part(redis, "lost jobs", 10.0, lambda: enqueueing_lost_jobs(redis, lost_jobs)),
            _Part(redis, "settling", 1.0, lambda: settling_steps(redis, lost_dues)),
        ]

    def tick(self) -> None:
        """Do the parts whose time has come; one part's failure doesn't stop the others.

        When leases may have lapsed although their owners are alive, what would take these for dead
        waits until they have had time to renew them: also after this process was stopped, for its
        whole machine may have been. Raises nothing: what goes wrong is logged and tried again at
        the next tick.
        """
        close_old_connections()
        if time.monotonic() - self._ticked > STOPPED_SECONDS:
            clock.note_disturbance()
        parts = list(self._parts)
        if clock.undisturbed_for() >= LEASE_SECONDS:
            parts += self._parts_by_lease
        if not self._redis.exists(MARKER_KEY):
            for part in parts:
                part.run_soon()
        for part in parts:
            part.resume()
        self._ticked = time.monotonic()


class _Part:
    """One part of the regular work: how often it begins, and where it was interrupted.

    Work on many rows is a generator that yields wherever it can be interrupted: when its time
    slice is used up, it resumes at the next tick.
    """

    def __init__(self, redis: Redis, name: str, interval: float, begin: Callable[[], Any]) -> None:
        self._redis = redis
        self._name = name
        self._interval = interval
        self._begin = begin
        self._next_begin = 0.0
        self._rest: Iterator[None] | None = None

    def run_soon(self) -> None:
        """Begin at the next tick."""
        self._next_begin = 0.0

    def resume(self) -> None:
        """Resume the interrupted work, or begin if it is time, for `TIME_SLICE` seconds."""
        now = time.monotonic()
        if self._rest is None and now < self._next_begin:
            return
        try:
            if self._rest is None:
                work = self._begin()
                self._rest = work if isinstance(work, Iterator) else iter(())
            for _step in self._rest:
                if time.monotonic() - now >= TIME_SLICE:
                    return
        except RedisError as error:
            text = explain(error, self._redis, usable_queues())
            redis_outage.report(text)
        except OUTAGE_ERRORS as error:
            database_outage.report(error)
        except Exception:
            logger.exception("Housekeeping (%s) failed; it will be retried.", self._name)
        self._rest = None
        self._next_begin = time.monotonic() + self._interval
