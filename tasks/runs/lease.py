"""A run's lease at the database: for a worker that doesn't reach Redis."""

from enum import IntEnum

from django.db.models import QuerySet

from tasks import clock
from tasks.job_ids import RunId
from tasks.models import NAME_LENGTH, RunRecord, ScheduledTaskInstance, Task
from tasks.reasons import TO_BE_ENDED

Status = ScheduledTaskInstance.Status


class Hold(IntEnum):
    """What the database says about a run that a worker wants to keep; also as an exit status."""

    HELD = 10  # It is the worker's own, and its lease is renewed.
    STOPPED = 11  # Somebody wants it to be stopped.
    CLOSED = 12  # It was closed: another attempt may be going on.
    UNKNOWN = 13  # The database did not answer.


def renew(job_id: str, worker_name: str) -> Hold:
    """Renew, on the row of the run with this job id, the lease of this worker.

    A run that has finished is still its worker's own. Raises the database's errors.
    """
    rows = _rows(job_id)
    own = rows.filter(
        status=Status.RUNNING, worker_name=worker_name[:NAME_LENGTH], reason_code=None
    )
    if own.update(lease_renewed=clock.now()):
        return Hold.HELD
    ends = list(rows.values_list("status", "reason_code"))
    if any(status == Status.FINISHED for status, _ in ends):
        return Hold.HELD
    is_stopped = any(status == Status.CANCELED or code in TO_BE_ENDED for status, code in ends)
    return Hold.STOPPED if is_stopped else Hold.CLOSED


def _rows(job_id: str) -> QuerySet[RunRecord]:
    """Return the row of the attempt that a job id names, if there is one."""
    run_id = RunId.parse(job_id)
    if run_id is None:
        return Task.objects.filter(job_id=job_id)
    runs = ScheduledTaskInstance.objects.of(run_id).order_by()
    return runs.filter(parent__job_id=run_id.schedule_job_id, attempt=run_id.attempt)
