"""How a run ends: one fenced write, and what follows from it."""

from typing import Any

from django.utils import timezone
from redis import Redis

from tasks.database import atomic
from tasks.models import RunRecord, ScheduledTask, ScheduledTaskInstance
from tasks.runs import backfill
from tasks.runs.retries import retry

Status = ScheduledTaskInstance.Status


def close(record: RunRecord, status: str, redis: Redis, **values: Any) -> bool:
    """End the running attempt of a record with this status; return whether it was still running.

    The schedule's status follows, and a failed run with attempts left is enqueued again.
    """
    values.setdefault("ended", timezone.now())
    with atomic():
        if not record.update_attempt(status=status, **values):
            return False
        if isinstance(record, ScheduledTaskInstance):
            _let_parent_follow(record, status)
    if isinstance(record, ScheduledTaskInstance):
        if status == Status.FAILED:
            retry(record, redis)
        if record.is_backfill:
            backfill.feed_if_possible(record.parent, redis)
    return True


def _let_parent_follow(run: ScheduledTaskInstance, status: str) -> None:
    steps: dict[str, tuple[str, str]] = {
        Status.FINISHED: (ScheduledTask.Status.FAILED, ScheduledTask.Status.RUNNING),
        Status.FAILED: (ScheduledTask.Status.RUNNING, ScheduledTask.Status.FAILED),
    }
    if status in steps:
        before, after = steps[status]
        ScheduledTask.objects.filter(pk=run.parent_id, status=before).update(status=after)
