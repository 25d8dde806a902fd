"""How a run ends: one fenced write, and what follows from it."""

from typing import Any

from django.db.models import Q
from redis import Redis

from tasks import clock
from tasks.database import atomic
from tasks.models import RunRecord, ScheduledTask, ScheduledTaskInstance
from tasks.reasons import TO_BE_ENDED
from tasks.runs import backfill
from tasks.runs.retries import retry

Status = ScheduledTaskInstance.Status


def close(record: RunRecord, status: str, redis: Redis, *conditions: Q, **values: Any) -> bool:
    """End the running attempt of a record with this status; return whether it was still running.

    The schedule's status follows, and a failed run with attempts left is enqueued again. A row
    that doesn't meet the conditions is left alone. Whatever ends a run that is being replaced or
    stopped, it was cancelled, unless it has finished.
    """
    values.setdefault("ended", clock.now())
    with atomic():
        if status != Status.FINISHED and (why := _is_to_end(record)) is not None:
            status = Status.CANCELED
            values |= {"reason": "", **why}
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


def _is_to_end(record: RunRecord) -> dict[str, Any] | None:
    """Return why its worker is to end it, as fields of its row; None if it isn't."""
    if not isinstance(record, ScheduledTaskInstance):
        return None
    # Locked: who requests a stop at this moment waits, and finds that it has ended.
    row = ScheduledTaskInstance.objects.select_for_update().filter(pk=record.pk)
    why = row.values("reason_code", "reason_values").first()
    return {**why} if why is not None and why["reason_code"] in TO_BE_ENDED else None


def _let_parent_follow(run: ScheduledTaskInstance, status: str) -> None:
    steps: dict[str, tuple[str, str]] = {
        Status.FINISHED: (ScheduledTask.Status.FAILED, ScheduledTask.Status.RUNNING),
        Status.FAILED: (ScheduledTask.Status.RUNNING, ScheduledTask.Status.FAILED),
    }
    if status in steps:
        before, after = steps[status]
        ScheduledTask.objects.filter(pk=run.parent_id, status=before).update(status=after)
