"""What a worker does about runs whose child has died: their rows, their jobs, and RQ's registries.

The worker has no connection to the database: an end goes to the spool, from which the scheduler
writes it.
"""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import rq
from redis.exceptions import RedisError
from rq.executions import Execution

from tasks import clock
from tasks.broker import limits
from tasks.broker.clock import read as read_clock
from tasks.broker.keys import started_key
from tasks.job import Job
from tasks.reasons import Code, reason
from tasks.runs import spool
from tasks.timing.instants import from_score
from tasks.worker.queues import Finished, Queues, Taken
from tasks.worker.shared_state import Run

logger = logging.getLogger(__name__)


def died_of(status: int) -> Mapping[str, Any]:
    """Return the fields of a row that say how the process of its run died, by its exit status."""
    if os.WIFSIGNALED(status):
        return reason(Code.LOST_SIGNAL, signal=os.WTERMSIG(status)).fields
    return reason(Code.LOST_EXIT, status=os.waitstatus_to_exitcode(status)).fields


def timed_out(run: Run) -> Mapping[str, Any]:
    """Return the fields of the row of a run that was killed because it ignored its timeout."""
    text = f"Task exceeded maximum timeout value ({run.timeout} seconds)"
    return {"reason": f"Failed for: JobTimeoutException: {text}"}


class Ends:
    """Records how the runs of a worker's dead children ended."""

    def __init__(self, worker: rq.Worker, steps: Queues) -> None:
        self._worker = worker
        self._redis = worker.connection
        self._steps = steps
        # Ends of runs that are to be put on the spool: job id, status, and values.
        self._unspooled: list[tuple[str, str, dict[str, Any]]] = []

    def keep(self, job_id: str, status: str, values: Mapping[str, Any]) -> None:
        """Keep how a run ended until it can be put on the spool."""
        self._unspooled.append((job_id, status, dict(values)))

    def close(self, runs: Mapping[Run, Mapping[str, Any]], status: str) -> None:
        """Keep that these runs have ended now, with these fields of their rows."""
        with suppress(RedisError):  # Otherwise the last reading holds.
            read_clock(self._redis)
        for run, fields in runs.items():
            self.keep(run.job_id, status, {"ended": clock.now(), **fields})

    def settle(self, runs: Iterable[Run]) -> None:
        """Put what is kept on the spool, and drop the leases of these runs, if Redis answers."""
        try:
            self.spool()
            for run in runs:
                limits.release(run.job_id, self._redis)
        except RedisError as error:
            logger.warning("The end of a run is recorded once Redis is back: %s", error)

    def spool(self) -> None:
        """Put on the spool how runs ended; raises RedisError, and what is left stays here."""
        while self._unspooled:
            job_id, status, values = self._unspooled[0]
            spool.push(self._redis, job_id, status, **values)
            del self._unspooled[0]

    def report(self, finished: Sequence[Finished]) -> None:
        """Report jobs that finished, but whose child can't do so now; raises RedisError."""
        if finished:
            self.conclude(finished, self._steps.report(finished))

    def conclude(self, finished: Sequence[Finished], left_to_rq: Sequence[str]) -> None:
        """End the jobs, of those that finished, that others depend on as RQ does."""
        for one in finished:
            if one.job_id in left_to_rq:
                self._conclude(one)

    def _conclude(self, finished: Finished) -> None:
        fields: Any = self._redis.hgetall(Job.key_for(finished.job_id))
        job = Job.from_fields(finished.job_id, fields, self._redis)
        if job.unreadable is None:
            job.started_at = from_score(finished.started)
            job.ended_at = from_score(finished.ended)
            queue = next(one for one in self._worker.queues if one.name == finished.queue)
            execution = Execution(finished.execution_id, job.id, self._redis, self._worker.name)
            registry = queue.started_job_registry
            self._worker.handle_job_success(job, queue, registry, execution)
        limits.release(finished.job_id, self._redis)

    def give_back(self, ahead: Sequence[Taken]) -> None:
        """Return jobs that were taken ahead to their queues, in their order; raises RedisError."""
        for taken in reversed(ahead):
            self._steps.give_back(taken)

    def return_to_queue(self, taken: Taken) -> None:
        """Return to its queue a job that a dead child took but did not start; raises RedisError.

        Its function has not been called. If its row already says `running`, or another job has
        claimed it meanwhile, the job is refused when it is taken again (R2).
        """
        self._worker.executions.pop(taken.execution_id, None)
        if self._steps.return_to_queue(taken):
            logger.warning("Job %s was not started and is on its queue again.", taken.job_id)

    def report_to_rq(
        self, run: Run, pid: int, status: int, usage: Any, *, is_stopped: bool
    ) -> None:
        """End the dead run's job in RQ's registries, as RQ does, unless it already ended there.

        If Redis is unavailable, that is left undone.
        """
        try:
            self._report_to_rq(run, pid, status, usage, is_stopped)
        except RedisError as error:
            logger.warning("The end of job %s could not be reported to RQ: %s", run.job_id, error)

    def _report_to_rq(self, run: Run, pid: int, status: int, usage: Any, is_stopped: bool) -> None:
        member = f"{run.job_id}:{run.execution_id}"
        if self._redis.zscore(started_key(run.queue), member) is None:
            return
        fields: Any = self._redis.hgetall(Job.key_for(run.job_id))
        job = Job.from_fields(run.job_id, fields, self._redis)
        if job.unreadable is not None:
            return
        job.ended_at = clock.now()
        worker = self._worker
        queue = next(queue for queue in worker.queues if queue.name == run.queue)
        execution = Execution(run.execution_id, run.job_id, self._redis, worker.name)
        worker.executions.pop(run.execution_id, None)
        if is_stopped:
            worker._handle_stopped_job(job, queue, execution)
            return
        worker.handle_work_horse_killed(job, pid, status, usage)
        text = f"Work-horse terminated unexpectedly: it {_how_it_ended(status)}."
        worker.handle_job_failure(job, queue=queue, exc_string=text, execution=execution)


def _how_it_ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by signal {os.WTERMSIG(status)}"
    return f"exited with status {os.waitstatus_to_exitcode(status)}"
