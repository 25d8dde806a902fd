"""How a run ends: one fenced write, and what follows from it."""

import contextlib
import json
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import Error, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from redis import Redis

from tasks import projection, registry, run_requests
from tasks.models import REASON_LENGTH, RunRecord, ScheduledTask, ScheduledTaskInstance

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How long a process goes on trying to write a row before it gives up, in seconds.
PATIENCE = 10.0


def close(record: RunRecord, status: str, redis: Redis, **values: Any) -> bool:
    """End the running attempt of a record with this status; tell whether it was still running.

    The schedule's status follows, and a failed run with tries left is enqueued again.
    """
    values.setdefault("ended", timezone.now())
    with transaction.atomic():
        if not record.update_attempt(status=status, **values):
            return False
        if isinstance(record, ScheduledTaskInstance):
            _let_parent_follow(record, status)
    if isinstance(record, ScheduledTaskInstance):
        if status == "failed":
            retry(record, redis)
        if record.is_backfill:
            run_requests.feed_if_possible(record.parent, redis)
    return True


def _let_parent_follow(run: ScheduledTaskInstance, status: str) -> None:
    steps = {
        "finished": (ScheduledTask.Status.FAILED, ScheduledTask.Status.RUNNING),
        "failed": (ScheduledTask.Status.RUNNING, ScheduledTask.Status.FAILED),
    }
    if status in steps:
        before, after = steps[status]
        ScheduledTask.objects.filter(pk=run.parent_id, status=before).update(status=after)


def retry(run: ScheduledTaskInstance, redis: Redis) -> None:
    """Enqueue the next attempt of a failed run, after the schedule's delay, if tries are left.

    The ledger makes up for one that can't be enqueued now.
    """
    if not tries_left(run):
        return
    at = (run.ended or timezone.now()) + timedelta(seconds=run.parent.retry_delay)
    try:
        projection.enqueue_run(run.parent, run.run_id.next_attempt(), redis, at=at)
    except Exception:
        logger.exception("Run %s of “%s” can't be retried yet.", run.pk, run.name)


def tries_left(run: ScheduledTaskInstance) -> bool:
    """Tell whether a failed run is tried again."""
    was_asked_for = run.requested is not None
    return run.attempt <= run.parent.retries and (run.parent.is_live or was_asked_for)


def failure_reason(error: BaseException) -> str:
    """Say in one line why a run failed."""
    try:
        message = str(error)
    except Exception:
        message = "(its message can't be read)"
    text = f"Failed for: {type(error).__name__}: {message}".rstrip(": ")
    return clean_text(" ".join(text.split()))[:REASON_LENGTH]


def type_name(value: Any) -> str:
    """Return the full name of a value's type, as a row can hold it."""
    return clean_text(f"{type(value).__module__}.{type(value).__qualname__}")


def clean_text(text: str) -> str:
    """Replace what no database stores: NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def as_json(result: Any) -> tuple[Any, str | None]:
    """Return a result as JSON can say it, and what it is if it can't, or is nested too deeply.

    NUL characters and lone surrogates, which PostgreSQL refuses, are replaced.
    """
    try:
        text = json.dumps(result, allow_nan=False, ensure_ascii=False)
    except Exception:  # whatever the result's own class raises
        return None, type_name(result)
    if registry.is_deeper(result):
        return None, f"{type_name(result)}, nested more than {registry.MAX_DEPTH} levels deep"
    text = registry.NUL_ESCAPE.sub(r"\1\\ufffd", text).encode("utf-8", "replace").decode()
    return json.loads(text), None


def patiently(write: Callable[[], T], patience: float = PATIENCE) -> T:
    """Call `write`, again and again for `patience` seconds while the database is away.

    Raises the last error of the database, or at once one that trying again can't mend. Inside a
    transaction there is no second try.
    """
    give_up = time.monotonic() + patience
    pause = 0.05
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() >= give_up:
                raise
            logger.warning("The database can't be written, trying again.", exc_info=True)
        with contextlib.suppress(Error):
            connection.close()
        time.sleep(pause)
        pause = min(pause * 2, 1.0)


def moment_text(moment: datetime | None) -> str:
    """Name an instant in a reason: UTC, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else "by hand"
