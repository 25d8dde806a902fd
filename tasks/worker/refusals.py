"""Jobs that a worker refuses because its code doesn't know their function or their arguments.

While a new version is rolled out, old and new workers share the queues. What one of them can't
call, another one may be able to: the job is put back for later. It fails only when all workers of
its queue have refused it, or when nobody has taken it for a long time.
"""

import json
import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, cast

from django.conf import settings

from tasks import clock
from tasks.broker.workers import live_workers
from tasks.exceptions import InvalidArguments, UnknownTaskFunction
from tasks.job import Job
from tasks.job_ids import is_recorded
from tasks.reasons import Code, Reason, reason
from tasks.worker.queues import Queues, Taken

logger = logging.getLogger(__name__)

# What a job that another version of the code has made may raise.
OF_OTHER_CODE = (UnknownTaskFunction, InvalidArguments)
# For how long a job is put back again and again, in seconds, and the bounds.
DEFAULT_UNKNOWN_AFTER = 600
LEAST_UNKNOWN_AFTER, MOST_UNKNOWN_AFTER = 1, 86_400
# How long a refused job stays away from its queue, in seconds: at first the shortest pause, so
# that a worker that knows it gets it soon; then a part of the time since it was first refused.
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
PART_OF_AGE = 0.25


def is_unknown_after(value: object) -> bool:
    """Return whether TASKS_UNKNOWN_AFTER can have this value; the system checks refuse others."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and LEAST_UNKNOWN_AFTER <= cast(int, value) <= MOST_UNKNOWN_AFTER


def unknown_after() -> int:
    """Return after how many seconds a job fails that no worker has taken."""
    configured = getattr(settings, "TASKS_UNKNOWN_AFTER", DEFAULT_UNKNOWN_AFTER)
    return configured if is_unknown_after(configured) else DEFAULT_UNKNOWN_AFTER


@dataclass(frozen=True, slots=True)
class Refusals:
    """Which workers have refused a job; `since` is in seconds since the Unix epoch."""

    workers: frozenset[str]
    since: float

    @classmethod
    def read(cls, fields: Mapping[bytes, bytes], now: float) -> Self:
        """Return what a job's hash says, no refusals if it says nothing or can't be read."""
        with suppress(KeyError, ValueError, TypeError):
            workers = frozenset(map(str, json.loads(fields[b"refused_by"])))
            return cls(workers, float(fields[b"refused_at"]))
        return cls(frozenset(), now)

    def by(self, worker: str) -> Self:
        """Return these and that of another worker."""
        return type(self)(self.workers | {worker}, self.since)

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the job's hash that hold them."""
        return {"refused_by": json.dumps(sorted(self.workers)), "refused_at": repr(self.since)}

    def verdict(self, live: Collection[str], now: float, patience: float) -> Reason | float:
        """Return why the job fails, or for how many seconds it is put back.

        `live` are the workers of its queue; `patience` is for how long it may be put back.
        """
        number = len(self.workers)
        if self.workers.issuperset(live):
            return reason(Code.REFUSED_BY_ALL, workers=number)
        if now - self.since >= patience:
            return reason(Code.REFUSED_TOO_LONG, workers=number, seconds=round(now - self.since))
        return min(max(SHORTEST_PAUSE, (now - self.since) * PART_OF_AGE), LONGEST_PAUSE)


def obstacle_to(job: Job) -> Exception | None:
    """Return why a job can't be called, None if it can."""
    try:
        job.check_callable(has_row=is_recorded(job.id))
    except Exception as error:
        return error
    return None


def refuse(taken: Taken, obstacle: Exception, queues: Queues) -> Reason | None:
    """Put a job that this code can't call back for others; return why it fails instead.

    If Redis becomes unavailable meanwhile, the ledger finds the job.
    """
    now, name = clock.timestamp(), queues.worker_name
    before = Refusals.read(taken.fields, now)
    refusals = before.by(name)
    workers = live_workers([taken.queue], queues.redis)[taken.queue]
    verdict = refusals.verdict(workers, now, unknown_after())
    if isinstance(verdict, Reason):
        return verdict
    queues.put_off(taken, now + verdict, refusals.fields)
    level = logging.DEBUG if name in before.workers else logging.WARNING
    logger.log(level, "Job %s is left to other workers: %s", taken.job_id, obstacle)
    return None
