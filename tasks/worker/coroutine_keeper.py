"""Keeps a worker's coroutine child: forks it, monitors it, and records what died with it."""

import logging
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import django.db
import rq
from redis.exceptions import RedisError
from rq.executions import Execution

from tasks.broker import limits
from tasks.broker.in_flight import STARTED_TTL_SECONDS
from tasks.broker.leases import LEASE_RENEWAL_SECONDS, LEASE_SECONDS
from tasks.clock import elapsed_clock
from tasks.job import COROUTINE
from tasks.models import ScheduledTaskInstance
from tasks.reasons import Code, reason
from tasks.runs.lease import Hold
from tasks.runs.process_state import signals
from tasks.runs.processes import fork
from tasks.worker.batches import Batches
from tasks.worker.coroutine_child import start
from tasks.worker.ends import Ends, died_of, timed_out
from tasks.worker.many_leases import ManyLeases, Verdicts
from tasks.worker.overtime import GAP_SECONDS, GRACE_SECONDS
from tasks.worker.queues import Taken, record_executions
from tasks.worker.run_table import Phase, RunTable
from tasks.worker.shared_state import Run

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status

# How often the child is monitored.
MONITOR_INTERVAL_SECONDS = min(1.0, LEASE_SECONDS / 6)
# How long to wait before the next child if one has died without a run: the next one may too.
RETRY_SECONDS = 1.0
# Runs that take longer than this are recorded as executions, so that RQ's pages show them.
LONG_RUN_SECONDS = 1.0
# A child whose loop hasn't come round for so long is blocked.
BLOCKED_SECONDS = 2.0
# If it is and has no run, it hangs: what another thread of its worker held at its fork, such as
# the lock of an import, nobody releases in the child.
HUNG_SECONDS = 30.0


@dataclass(slots=True)
class Child:
    """A coroutine child: its process, the connection to it, its table and its leases."""

    pid: int
    orders: Connection
    table: RunTable
    leases: ManyLeases


class CoroutineKeeper:
    """Keeps a coroutine child of up to `concurrency` runs at a time.

    `start` has a thread keep it until `request_stop`; `work_off` does so here while there are jobs.
    """

    def __init__(self, worker: rq.Worker, concurrency: int) -> None:
        self._worker, self.concurrency = worker, concurrency
        self._redis = worker.connection
        self._batches = Batches(
            self._redis, worker.key, worker.name, STARTED_TTL_SECONDS, COROUTINE
        )
        self._ends = Ends(worker, self._batches)
        self._child: Child | None = None
        self._ordering = threading.Lock()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="coroutine keeper")
        self._is_stop_requested = self._is_killed = False
        # Of the present child: whether it was killed because it was blocked; why else all of its
        # runs are ended, and those that others have closed.
        self._was_blocked = False
        self._why: Hold | None = None
        self._closed: set[Run] = set()
        self._blocked_since: float | None = None
        self._looked = 0.0
        # The executions that were recorded, and when leases are renewed next.
        self._recorded: set[str] = set()
        self._leased: set[str] = set()
        self._next_renewal = 0.0

    # What the worker does with it

    def start(self) -> None:
        """Keep a child, in a thread, until told to stop.

        The first one is forked here, before the thread: what another thread imports at the moment
        of a fork, the child could never import.
        """
        self._fork()
        self._thread.start()

    def work_off(self) -> bool:
        """Have a child run jobs while there are any; return whether there were."""
        if self._is_stop_requested:
            return False
        child = self._fork(burst=True)
        self._follow(child)
        return bool(child.table.taken)

    def request_stop(self) -> None:
        """Request that no further job be taken; may be called by a signal's handler."""
        self._is_stop_requested = True
        child = self._child
        if child is not None:
            child.table.request_stop()

    def end(self) -> None:
        """Wait until all runs have ended, once that was requested."""
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join()
        self._try_to_spool()

    def kill(self) -> None:
        """Kill the child with its runs, which their rows will record."""
        self._is_killed = True
        self.request_stop()
        self._kill()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def running(self) -> int:
        """How many runs go on."""
        child = self._child
        return 0 if child is None else len(child.table.runs())

    @property
    def is_busy(self) -> bool:
        """Whether any run goes on."""
        return self.running > 0

    def stop_run(self, job_id: str) -> bool:
        """Stop the run of this job, and only that; return whether it runs here."""
        child = self._child
        if child is None or job_id not in {run.job_id for run in child.table.runs()}:
            return False
        with self._ordering, suppress(OSError):  # The child may just have died.
            child.orders.send(job_id)
        return True

    # The child

    def _keep(self) -> None:
        while self._child is not None or not self._is_stop_requested:
            try:
                self._follow(self._child or self._fork())
            except Exception:
                logger.exception("The coroutine child of worker %s is lost.", self._worker.name)
                self._kill()
                self._child = None
                time.sleep(RETRY_SECONDS)

    def _fork(self, *, burst: bool = False) -> Child:
        """Fork a child with all database connections closed, or both processes would use them."""
        django.db.connections.close_all()
        signals()  # Finding them takes a while: the children inherit the list.
        ours, theirs = Pipe()
        # Runs that have ended are in it until that is reported, while others may have started.
        table = RunTable(2 * self.concurrency)
        pid = fork()
        if pid == 0:
            ours.close()
            start(self._worker, table, theirs, self.concurrency, burst=burst)
        theirs.close()
        self._why, self._blocked_since, self._was_blocked = None, None, False
        self._closed.clear()
        self._recorded.clear()
        leases = ManyLeases(pid, self._renew_in_redis, self._worker.name)
        child = self._child = Child(pid, ours, table, leases)
        if self._is_stop_requested:
            table.request_stop()
        return child

    def _follow(self, child: Child) -> None:
        """Monitor a child until it has exited, and record what died with it."""
        while not _has_exited(child.pid):
            if child.orders.poll(MONITOR_INTERVAL_SECONDS) and not _has_exited(child.pid):
                # It has closed its end, and is exiting.
                time.sleep(MONITOR_INTERVAL_SECONDS / 10)
            self._monitor(child)
        self._reap(child)

    def _monitor(self, child: Child) -> None:
        """Keep the leases of its runs, and kill it if it is blocked for too long."""
        self._try_to_spool()
        phases = child.table.runs()
        closable = [run for run, phase in phases.items() if phase is Phase.RUNNING]
        self._obey(child, child.leases.keep(list(phases), closable))
        if not self._was_blocked and self._is_blocked(child, closable):
            self._was_blocked = True
            logger.warning(
                "The coroutine child ignores the timeouts of all its runs: killed."
                if closable
                else "The coroutine child hangs without a run: it is replaced."
            )
            self._kill()

    def _obey(self, child: Child, verdicts: Verdicts) -> None:
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
            self._kill()

    def _is_blocked(self, child: Child, running: Sequence[Run]) -> bool:
        """Return whether its loop stands still although the time of each of its runs is over.

        Without runs it is given longer.

        If it is blocked by one of them, it names that one and ends by itself, unless even its
        threads stand still. After a time in which the worker was stopped, the runs have their grace
        period again.
        """
        now = time.monotonic()
        gap, self._looked = now - self._looked, now
        is_over = all(0 <= run.timeout < now - run.since - GRACE_SECONDS for run in running)
        if not is_over or now - child.table.last_beat < BLOCKED_SECONDS:
            self._blocked_since = None
        elif self._blocked_since is None or gap > GAP_SECONDS:
            self._blocked_since = now
        grace = GRACE_SECONDS if running else HUNG_SECONDS
        return self._blocked_since is not None and now - self._blocked_since > grace

    def _kill(self) -> None:
        child = self._child
        if child is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)  # It may hang before it has a group.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    def _renew_in_redis(self, runs: Sequence[Run]) -> None:
        """Renew the leases, and record longer runs for RQ's pages; in the thread of the leases."""
        is_due = time.monotonic() >= self._next_renewal
        due = [run for run in runs if is_due or run.execution_id not in self._leased]
        child = self._child
        if not due or child is None:
            return
        sent = elapsed_clock()
        limits.renew({run.job_id: run.places for run in due}, self._worker.name, self._redis)
        child.leases.renewed(due, sent)
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

    def _reap(self, child: Child) -> None:
        """Record how a child's runs ended; return jobs that have not started to their queues."""
        self._child = None
        child.leases.close()
        with self._ordering:
            child.orders.close()
        _, status, usage = os.wait4(child.pid, 0)
        phases = child.table.runs()
        ended = {
            run: self._reason(child, run, status)
            for run, phase in phases.items()
            if phase is Phase.RUNNING and run not in self._closed
        }
        self._ends.close(ended, Status.FAILED)
        self._ends.settle(phases)
        self._return_unstarted(child, phases)
        for run, phase in phases.items():
            if phase is not Phase.STARTING:
                self._ends.report_to_rq(run, child.pid, status, usage, is_stopped=False)
        if status and not phases:
            time.sleep(RETRY_SECONDS)

    def _reason(self, child: Child, run: Run, status: int) -> Mapping[str, Any]:
        """Return the fields of a row that say why a run of a dead child ended."""
        culprit, function = child.table.culprit
        if self._is_killed:
            return reason(Code.LOST_WORKER_STOPPED).fields
        if self._why is Hold.UNKNOWN:
            return reason(Code.LOST_CUT_OFF, worker=self._worker.name).fields
        if culprit == run.execution_id or self._was_blocked:
            return timed_out(run)
        if culprit:
            return reason(Code.LOST_BLOCKED, function=function).fields
        return died_of(status)

    def _return_unstarted(self, child: Child, phases: Mapping[Run, Phase]) -> None:
        try:
            taken = [
                Taken(run.job_id, run.queue, run.execution_id, {})
                for run, phase in phases.items()
                if phase is Phase.STARTING
            ]
            if child.table.announced_step:
                taken += self._batches.all_taken_by(child.table.announced_step)
            for one in taken:
                self._ends.return_to_queue(one)
        except RedisError as error:
            logger.warning(
                "The jobs that the child took could not be returned to their queues: %s", error
            )

    def _try_to_spool(self) -> None:
        with suppress(RedisError):  # They are kept.
            self._ends.spool()


def _has_exited(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
