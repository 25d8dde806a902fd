"""One coroutine child as its worker sees it: its leases, its orders, and what died with it."""

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import rq
from redis.exceptions import RedisError
from rq.executions import Execution

from tasks.broker import limits
from tasks.broker.in_flight import STARTED_TTL_SECONDS
from tasks.broker.leases import LEASE_RENEWAL_SECONDS
from tasks.clock import elapsed_clock
from tasks.job import COROUTINE
from tasks.models import ScheduledTaskInstance
from tasks.reasons import Code, reason
from tasks.runs.lease import Hold
from tasks.worker.batches import Batches
from tasks.worker.ends import Ends, died_of, timed_out
from tasks.worker.many_leases import ManyLeases, Verdicts
from tasks.worker.overtime import GAP_SECONDS, GRACE_SECONDS
from tasks.worker.queues import Taken, record_executions
from tasks.worker.run_table import Phase, RunTable
from tasks.worker.shared_state import Run

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status

# Runs that take longer than this are recorded as executions, so that RQ's pages show them.
LONG_RUN_SECONDS = 1.0
# A child whose loop hasn't come round for so long is blocked.
BLOCKED_SECONDS = 2.0
# If it is and has no run, it hangs: what another thread of its worker held at its fork, such as
# the lock of an import, nobody releases in the child.
HUNG_SECONDS = 30.0


class KeptChild:
    """A coroutine child that was just forked: its process id, connection and table.

    Its worker monitors it until it has exited, and then reaps it.
    """

    def __init__(self, worker: rq.Worker, pid: int, orders: Connection, table: RunTable) -> None:
        self._worker, self._redis = worker, worker.connection
        self.pid, self.orders, self.table = pid, orders, table
        # Whether it takes no more jobs and a successor can; and whether it is exiting.
        self.is_draining = self.is_exiting = False
        self._batches = Batches(
            self._redis,
            worker.key,
            worker.name,
            STARTED_TTL_SECONDS,
            COROUTINE,
            number=table.number,
        )
        self._ordering = threading.Lock()
        self._leases = ManyLeases(pid, self._renew_in_redis, worker.name)
        # Whether it was killed with its worker, or because it was blocked; why else all of its runs
        # are ended, and those that others have closed.
        self._is_killed = self._was_blocked = False
        self._why: Hold | None = None
        self._closed: set[Run] = set()
        self._blocked_since: float | None = None
        self._looked = 0.0
        # The executions that were recorded, and when leases are renewed next.
        self._recorded: set[str] = set()
        self._leased: set[str] = set()
        self._next_renewal = 0.0

    @property
    def has_exited(self) -> bool:
        """Whether its process has ended; it isn't reaped by that."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    @property
    def renewal(self) -> "Future[None] | None":
        """The renewal of its leases in Redis that was begun last; `monitor` alone begins one."""
        return self._leases.renewal

    def read(self) -> None:
        """Read what it says, of which there is something: that it drains, or that it exits."""
        try:
            self.orders.recv()
        except (EOFError, OSError):
            self.is_exiting = True
        else:
            self.is_draining = True

    def stop_run(self, job_id: str) -> bool:
        """Stop the run of this job, and only that; return whether it runs here."""
        if job_id not in {run.job_id for run in self.table.runs()}:
            return False
        with self._ordering, suppress(OSError):  # It may just have died.
            self.orders.send(job_id)
        return True

    def kill(self) -> None:
        """Kill it with its runs, which their rows will record."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # It may hang before it has a group.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def kill_with_worker(self) -> None:
        """Kill it with its runs, which their rows will record as ended with their worker."""
        self._is_killed = True
        self.kill()

    # While it lives

    def monitor(self) -> None:
        """Keep the leases of its runs, and kill it if it is blocked for too long."""
        phases = self.table.runs()
        closable = [run for run, phase in phases.items() if phase is Phase.RUNNING]
        self._obey(self._leases.keep(list(phases), closable))
        if not self._was_blocked and self._is_blocked(closable):
            self._was_blocked = True
            logger.warning(
                "The coroutine child ignores the timeouts of all its runs: killed."
                if closable
                else "The coroutine child hangs without a run: it is replaced."
            )
            self.kill()

    def _obey(self, verdicts: Verdicts) -> None:
        for run in verdicts.stopped:
            self.stop_run(run.job_id)
        if verdicts.all_end is not None and self._why is None:
            self._why = verdicts.all_end
            self._closed.update(verdicts.closed)
            logger.warning(
                "The coroutine child is ended: %s",
                "others have closed a run of it."
                if verdicts.closed
                else "its runs have no leases, and neither Redis nor the database can be reached.",
            )
            self.kill()

    def _is_blocked(self, running: Sequence[Run]) -> bool:
        """Return whether its loop stands still although the time of each of its runs is over.

        Without runs it is given longer.

        If it is blocked by one of them, it names that one and ends by itself, unless even its
        threads stand still. After a time in which the worker was stopped, the runs have their grace
        period again.
        """
        now = time.monotonic()
        gap, self._looked = now - self._looked, now
        is_over = all(0 <= run.timeout < now - run.since - GRACE_SECONDS for run in running)
        if not is_over or now - self.table.last_beat < BLOCKED_SECONDS:
            self._blocked_since = None
        elif self._blocked_since is None or gap > GAP_SECONDS:
            self._blocked_since = now
        grace = GRACE_SECONDS if running else HUNG_SECONDS
        return self._blocked_since is not None and now - self._blocked_since > grace

    def _renew_in_redis(self, runs: Sequence[Run]) -> None:
        """Renew the leases, and record longer runs for RQ's pages; in the thread of the leases."""
        is_due = time.monotonic() >= self._next_renewal
        due = [run for run in runs if is_due or run.execution_id not in self._leased]
        if not due:
            return
        sent = elapsed_clock()
        limits.renew({run.job_id: run.places for run in due}, self._worker.name, self._redis)
        self._leases.renewed(due, sent)
        self._leased = {run.execution_id for run in runs}
        self._record(due)
        if is_due:
            self._next_renewal = time.monotonic() + LEASE_RENEWAL_SECONDS

    def _record(self, runs: Sequence[Run]) -> None:
        """Record runs as executions, and renew those that were."""
        now = time.monotonic()
        long = [run for run in runs if now - run.since > LONG_RUN_SECONDS]
        new = [run for run in long if run.execution_id not in self._recorded]
        record_executions(self._redis, list(map(self._execution, new)), STARTED_TTL_SECONDS)
        queues = {queue.name: queue for queue in self._worker.queues}
        with self._redis.pipeline() as pipe:
            for run in long:
                registry = queues[run.queue].started_job_registry
                self._execution(run).heartbeat(registry, STARTED_TTL_SECONDS, pipeline=pipe)
            pipe.execute()
        self._recorded.update(run.execution_id for run in new)

    def _execution(self, run: Run) -> Execution:
        return Execution(run.execution_id, run.job_id, self._redis, self._worker.name)

    # After it has exited

    def reap(self, ends: Ends) -> bool:
        """Record how its runs ended, and put jobs that have not started back on their queues.

        Returns whether it has failed without a run: the next one may, too.
        """
        self.close()
        _, status, usage = os.wait4(self.pid, 0)
        phases = self.table.runs()
        ended = {
            run: self._reason(run, status)
            for run, phase in phases.items()
            if phase is Phase.RUNNING and run not in self._closed
        }
        ends.close(ended, Status.FAILED)
        ends.settle(phases)
        self._return_unstarted(ends, phases)
        for run, phase in phases.items():
            if phase is not Phase.STARTING:
                ends.report_to_rq(run, self.pid, status, usage, is_stopped=False)
        return bool(status) and not phases

    def close(self) -> None:
        """Let go of it: it has exited, or nothing is known of it."""
        self._leases.close()
        with self._ordering:
            self.orders.close()

    def _reason(self, run: Run, status: int) -> Mapping[str, Any]:
        """Return the fields of a row that say why a run of a dead child ended."""
        culprit, function = self.table.culprit
        if self._is_killed:
            return reason(Code.LOST_WORKER_STOPPED).fields
        if self._why is Hold.UNKNOWN:
            return reason(Code.LOST_CUT_OFF, worker=self._worker.name).fields
        if culprit == run.execution_id or self._was_blocked:
            return timed_out(run)
        if culprit:
            return reason(Code.LOST_BLOCKED, function=function).fields
        return died_of(status)

    def _return_unstarted(self, ends: Ends, phases: Mapping[Run, Phase]) -> None:
        try:
            taken = [
                Taken(run.job_id, run.queue, run.execution_id, {})
                for run, phase in phases.items()
                if phase is Phase.STARTING
            ]
            if self.table.announced_step:
                taken += self._batches.repeat(self.table.announced_step).taken
            for one in taken:
                ends.return_to_queue(one)
        except RedisError as error:
            logger.warning(
                "The jobs that the child took could not be returned to their queues: %s", error
            )
