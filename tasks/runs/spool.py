"""Ends of runs that could not be written: kept in Redis until the database takes them.

A worker's child pushes its final record when the database is unavailable; a worker, which never
touches the database, pushes how its child died. The scheduler writes them to their rows.
"""

import json
import logging
from datetime import datetime
from typing import Any, cast

from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error
from redis import Redis
from redis.exceptions import RedisError

from tasks.broker.keys import SPOOL_KEY, UNREADABLE_KEY
from tasks.database import OUTAGE_ERRORS
from tasks.job_ids import RunId
from tasks.models import RunRecord, ScheduledTaskInstance, SummaryMark, Task
from tasks.runs import completion
from tasks.runs.reporting import report_failure

logger = logging.getLogger(__name__)

BATCH = 100
FAILED = ScheduledTaskInstance.Status.FAILED


def push(redis: Redis, job_id: str, status: str, **values: Any) -> None:
    """Keep the end of the run with this job id; `values` are fields of its row."""
    entry = {"job_id": job_id, "status": status, "values": values}
    redis.rpush(SPOOL_KEY, json.dumps(entry, cls=DjangoJSONEncoder))


def keep(redis: Redis, job_id: str, status: str, values: dict[str, Any], error: Error) -> None:
    """Keep the end of a run that could not be written because of `error`, which is logged."""
    trace = None if isinstance(error, OUTAGE_ERRORS) else error
    logger.warning(
        "The end of run %s is kept in Redis until it can be written.", job_id, exc_info=trace
    )
    push(redis, job_id, status, **values)


def is_in_use(redis: Redis) -> bool:
    """Return whether there are ends that aren't on their rows yet."""
    return bool(redis.exists(SPOOL_KEY))


def drain(redis: Redis) -> int:
    """Write what is spooled to the rows, oldest first; return how many entries left the spool.

    An entry leaves the spool after it is written; writing it a second time changes nothing.
    """
    count = 0
    while entries := cast(list[bytes], redis.lrange(SPOOL_KEY, 0, BATCH - 1)):
        for entry in entries:
            _write(redis, entry)
            redis.lrem(SPOOL_KEY, 1, cast(str, entry))
            count += 1
    return count


def _write(redis: Redis, entry: bytes) -> None:
    """Write one entry; one that can never be written is set aside (R7)."""
    try:
        decoded = json.loads(entry)
        values = decoded["values"]
        if "ended" in values:
            values["ended"] = datetime.fromisoformat(values["ended"])
        record = find_record(decoded["job_id"])
        if record is None:
            return
        is_closed = completion.close(record, decoded["status"], redis, **values)
        if "ended" in values:
            SummaryMark.move_back(values["ended"])
        # What a function raised was reported by the process in which it did.
        if is_closed and decoded["status"] == FAILED and "exception_class" not in values:
            record.refresh_from_db(fields=["status", "reason", "reason_code", "reason_values"])
            if record.status == FAILED:  # One that was replaced was cancelled.
                report_failure(record, None, record.reason_in_words())
    except (*OUTAGE_ERRORS, RedisError):
        raise
    except Exception:
        logger.exception("A spooled record can't be written; it is kept in %s.", UNREADABLE_KEY)
        redis.rpush(UNREADABLE_KEY, entry)


def find_record(job_id: str) -> RunRecord | None:
    """Return the row of the attempt that a job id names, None if it has none (any more)."""
    run_id = RunId.parse(job_id)
    if run_id is None:
        return Task.objects.filter(job_id=job_id).first()
    return (
        ScheduledTaskInstance.objects.of(run_id)
        .select_related("parent")
        .filter(parent__job_id=run_id.schedule_job_id, attempt=run_id.attempt)
        .first()
    )
