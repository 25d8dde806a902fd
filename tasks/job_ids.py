"""Job ids that mean something.

A run's job id is derived from what it runs, so that enqueueing it twice is harmless:

    schedule-<32 hex>                        a schedule's template, never executed
    schedule-<32 hex>-<due, ms>              the occurrence due then, first attempt
    schedule-<32 hex>-<due, ms>-<attempt>    a later attempt
    schedule-<32 hex>-b<due, ms>             that occurrence by backfill (attempts as above)
    schedule-<32 hex>-h<requested, ms>       a manual run (attempts as above)
    task-<32 hex>                            one background call
"""

import re
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any, Self

from tasks.timing.instants import from_milliseconds, to_milliseconds

TEMPLATE_ID = re.compile(r"schedule-[0-9a-f]{32}")
RUN_ID = re.compile(r"(schedule-[0-9a-f]{32})-([bh]?)(-?[0-9]{1,15})(?:-([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class RunId:
    """Which run of which schedule: `due` for an occurrence, `requested` for a manual run.

    `is_backfill` distinguishes the job that backfill requested from the occurrence's regular one.
    """

    schedule_job_id: str
    due: datetime | None
    requested: datetime | None = None
    attempt: int = 1
    is_backfill: bool = False

    @classmethod
    def parse(cls, job_id: str) -> Self | None:
        """Return what a job id says, None if it isn't the id of a run."""
        run_id: Self | None = _parse(cls, job_id)  # type: ignore[arg-type]
        return run_id

    @classmethod
    def of_row(
        cls, schedule_job_id: str, due: datetime | None, requested: datetime | None, attempt: int
    ) -> Self:
        """Return which run a row is, by these fields: backfill has a due and was requested."""
        if due is None:
            return cls(schedule_job_id, None, requested, attempt)
        return cls(schedule_job_id, due, None, attempt, is_backfill=requested is not None)

    @property
    def job_id(self) -> str:
        if self.due is not None:
            instant = f"{'b' if self.is_backfill else ''}{to_milliseconds(self.due)}"
        else:
            assert self.requested is not None
            instant = f"h{to_milliseconds(self.requested)}"
        suffix = f"-{self.attempt}" if self.attempt > 1 else ""
        return f"{self.schedule_job_id}-{instant}{suffix}"

    @property
    def is_requested(self) -> bool:
        """Whether somebody requested it, as a manual run or by backfill."""
        return self.due is None or self.is_backfill

    def next_attempt(self) -> "RunId":
        return replace(self, attempt=self.attempt + 1)


@lru_cache(maxsize=5_000)  # A page reads the ids of all that waits.
def _parse(run_id_class: Any, job_id: str) -> Any:
    match = RUN_ID.fullmatch(job_id)
    if match is None:
        return None
    schedule_job_id, kind, milliseconds, attempt = match.groups()
    try:
        instant = from_milliseconds(int(milliseconds))
    except OverflowError:
        return None
    return run_id_class(
        schedule_job_id,
        due=None if kind == "h" else instant,
        requested=instant if kind == "h" else None,
        attempt=int(attempt or 1),
        is_backfill=kind == "b",
    )


def is_recorded(job_id: str) -> bool:
    """Return whether this job has a row, which says how it ended and keeps its result."""
    return job_id.startswith("task-") or RunId.parse(job_id) is not None


def is_template(job_id: str) -> bool:
    """Return whether this is a schedule's own job, which is never executed."""
    return TEMPLATE_ID.fullmatch(job_id) is not None


def new_schedule_job_id() -> str:
    """Return a fresh id for a schedule's template job."""
    return f"schedule-{uuid.uuid4().hex}"


def new_task_job_id() -> str:
    """Return a fresh id for a background call's job."""
    return f"task-{uuid.uuid4().hex}"
