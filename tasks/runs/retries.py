"""Whether a failed run is tried again, and how."""

import logging
from datetime import timedelta

from redis import Redis

from tasks import clock
from tasks.broker.enqueue import enqueue_run
from tasks.models import ScheduledTaskInstance
from tasks.reasons import REFUSALS

logger = logging.getLogger(__name__)

# Retries that should have been enqueued longer ago than this are given up on.
RETRY_MEMORY = timedelta(hours=1)


def retry(run: ScheduledTaskInstance, redis: Redis) -> None:
    """Enqueue the next attempt of a failed run, after the schedule's delay, if tries are left.

    If that fails now, the ledger does it later.
    """
    if not tries_left(run):
        return
    at = (run.ended or clock.now()) + timedelta(seconds=run.parent.retry_delay)
    try:
        next_attempt = run.run_id.next_attempt()
        enqueue_run(run.parent, next_attempt, redis, at=at, arguments=run.arguments)
    except Exception:
        logger.exception("Run %s of “%s” can't be retried yet.", run.pk, run.name)


def tries_left(run: ScheduledTaskInstance) -> bool:
    """Return whether a failed run is tried again."""
    is_requested = run.requested is not None
    if run.reason_code in REFUSALS:
        return False
    return run.attempt <= run.parent.retries and (run.parent.is_live or is_requested)


def awaits_retry(run: ScheduledTaskInstance) -> bool:
    """Return whether a failed run has another attempt to come that isn't long overdue."""
    overdue = clock.now() - RETRY_MEMORY - timedelta(seconds=run.parent.retry_delay)
    return tries_left(run) and run.ended is not None and run.ended > overdue
