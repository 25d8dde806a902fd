"""Writes starts and ends of runs; the end of a finished run together with the next start."""

import logging
from typing import Any, Protocol

from django.db import Error
from redis import Redis

from tasks.database import PATIENCE, patiently
from tasks.models import ScheduledTaskInstance
from tasks.runs import spool, sql

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status


class Witness(Protocol):
    """What is told how far a run and its row have come: see `worker.shared_state.SharedState`."""

    def start(self) -> None: ...
    def finish(self) -> None: ...
    def keep_end(self, job_id: str, status: str, values: dict[str, Any]) -> bool: ...
    def forget_end(self) -> None: ...


class Writer:
    """Writes starts and ends of runs; the end of a finished run together with the next start.

    It keeps at most one end, and only with a witness, from which the worker records it if this
    process dies.
    """

    def __init__(self) -> None:
        self.witness: Witness | None = None
        self._end: tuple[str, sql.End] | None = None

    def start(self, start: sql.Start) -> ScheduledTaskInstance | None:
        """Write the start of a run; None if its row, the schedule or its policies don't allow it.

        Raises the database's errors; a kept end stays kept then.
        """
        return self._write(start)

    @property
    def keeps_end(self) -> bool:
        """Whether there is an end that isn't written yet."""
        return self._end is not None

    def end(self, job_id: str, end: sql.End) -> bool:
        """Write the end of a finished run, now or with the next start.

        Returns False if the run was no longer running. Raises the database's errors.
        """
        if self.witness is not None and self.witness.keep_end(job_id, Status.FINISHED, end.values):
            self._end = (job_id, end)
            return True
        ended, _ = sql.write(end, None)
        return ended

    def catch_up(self, redis: Redis, patience: float = PATIENCE) -> None:
        """Write the end that was kept, if any; to the spool if the database is unavailable.

        `patience` is how many seconds it keeps trying.
        """
        if self._end is None:
            return
        job_id, end = self._end
        try:
            patiently(lambda: self._write(None), patience)
        except Error as error:
            spool.keep(redis, job_id, Status.FINISHED, end.values, error)
            self._forget()

    def _write(self, start: sql.Start | None) -> ScheduledTaskInstance | None:
        kept = self._end
        ended, run = sql.write(kept and kept[1], start)
        if kept is not None:
            self._forget()
            if not ended:
                logger.warning("Run %s was closed meanwhile.", kept[0])
        return run

    def _forget(self) -> None:
        self._end = None
        if self.witness is not None:
            self.witness.forget_end()


# This process's writer.
writer = Writer()
