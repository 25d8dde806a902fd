"""Runs that somebody asked for, by hand or by backfill: from the request to the claim.

The request is a row before there is a job, so Redis can lose the job. It is deleted in the
transaction in which the run's row says that it has started, or that it won't.
"""

import logging

from redis import Redis

from tasks import projection
from tasks.job import RunId
from tasks.models import RunRequest, ScheduledTask

logger = logging.getLogger(__name__)

# How many requested occurrences of a schedule that allows overlap wait on its queue at a time.
BACKFILL_AT_ONCE = 10


def take(parent: ScheduledTask, run_id: RunId) -> RunRequest | None:
    """Delete and return the request for this run, None if there is none (any more)."""
    by_hand = {} if run_id.is_backfill else {"requested": run_id.requested}
    request = parent.requests.filter(due=run_id.due, **by_hand).first()
    if request is not None:
        request.delete()
    return request


def next_of_backfill(task: ScheduledTask) -> list[RunRequest]:
    """Return the requested occurrences of a schedule whose jobs belong in Redis now.

    They run one after another, the oldest first; where overlap is allowed, some at a time.
    """
    allows = task.overlap == ScheduledTask.Overlap.ALLOW
    occurrences = task.requests.filter(due__isnull=False).order_by("due")
    return list(occurrences[: BACKFILL_AT_ONCE if allows else 1])


def feed(task: ScheduledTask, redis: Redis) -> None:
    """Enqueue the next of a schedule's requested occurrences; those that are there stay."""
    for request in next_of_backfill(task):
        request.parent = task
        projection.enqueue_run(task, request.run_id, redis)


def feed_if_possible(task: ScheduledTask, redis: Redis) -> None:
    """Enqueue the next as `feed` does; the ledger makes up for what can't be enqueued now."""
    try:
        feed(task, redis)
    except Exception:
        logger.exception("The backfill of “%s” can't go on yet.", task.name)
