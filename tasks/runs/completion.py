"""How a run ends: one fenced write, and what follows from it."""

from typing import Any

from django.db.models import Q
from redis import Redis

from tasks import clock
from tasks.database import atomic
from tasks.models import RunRecord, ScheduledTask, ScheduledTaskInstance
from tasks.reasons import Code, reason
from tasks.runs import backfill
from tasks.runs.retries import retry

Status = ScheduledTaskInstance.Status


def close(record: RunRecord, status: str, redis: Redis, *conditions: Q, **values: Any) -> bool:
    """End the running attempt of a record with this status; return whether it was still running.

    The schedule's status follows, and a failed run with attempts left is enqueued again. A row
    that doesn't meet the conditions is left alone. Whatever ends a run that is being replaced, it
    was cancelled, unless it has finished.
    """
    values.setdefault("ended", clock.now())
    with atomic():
        if status != Status.FINISHED and _is_replaced(record):
            status = Status.CANCELED
            values |= {"reason": "", **reason(Code.REPLACED).fields}
        if not record.update_attempt(*conditions, status=status, **values):
            return False
        if isinstance(record, ScheduledTaskInstance):
            _let_parent_follow(record, status)
    if isinstance(record, ScheduledTaskInstance):
        if status == Status.FAILED:
            retry(record, redis)
        if record.is_backfill:
            backfill.feed_if_possible(record.parent, redis)
    return True


def _is_replaced(record: RunRecord) -> bool:
    """Return whether its row says that its worker is to stop it for the next run."""
    rows = type(record)._default_manager.filter(pk=record.pk, reason_code=Code.REPLACED)
    return isinstance(record, ScheduledTaskInstance) and rows.exists()


def _let_parent_follow(run: ScheduledTaskInstance, status: str) -> None:
    steps: dict[str, tuple[str, str]] = {
        Status.FINISHED: (ScheduledTask.Status.FAILED, ScheduledTask.Status.RUNNING),
        Status.FAILED: (ScheduledTask.Status.RUNNING, ScheduledTask.Status.FAILED),
    }
    if status in steps:
        before, after = steps[status]
        ScheduledTask.objects.filter(pk=run.parent_id, status=before).update(status=after)
