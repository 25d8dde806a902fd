"""How a worker keeps the lease on its current run, and gives the run up when it can't.

It renews in Redis. If it doesn't get through, it renews at the database, where it also learns
whether the run was closed meanwhile. `tasks.broker.leases` has the times. Nothing here blocks the
worker: a thread talks to Redis, and the database is asked in a process of its own, which can be
killed whatever it hangs in, and leaves no connection behind that the next child would share.
"""

import logging
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

import django.db
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker.leases import LAST_CHANCE, LEASE_SECONDS, RENEWAL_AT_DATABASE_AFTER
from tasks.clock import elapsed_clock
from tasks.database import alias
from tasks.outages import database_outage, redis_outage
from tasks.runs import lease
from tasks.runs.lease import Hold
from tasks.runs.processes import die_with_parent, end_process, fork
from tasks.worker.shared_state import Run

logger = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What becomes of a run, by the age of its lease."""

    GO_ON = "go on"
    RENEW_AT_DATABASE = "renew at the database"
    SUSPEND = "suspend"
    END = "end"


def judge(age: float, suspended_for: float | None, *, goes_on: bool) -> Verdict:
    """Return what becomes of a run whose lease was renewed `age` seconds ago.

    `suspended_for` is in seconds, None if it isn't suspended; `goes_on` is its schedule's policy.
    """
    if age < RENEWAL_AT_DATABASE_AFTER:
        return Verdict.GO_ON
    if age < LEASE_SECONDS or goes_on:
        return Verdict.RENEW_AT_DATABASE
    if suspended_for is None or suspended_for < LAST_CHANCE:
        return Verdict.SUSPEND
    return Verdict.END


@dataclass(slots=True)
class Lease:
    """A worker's lease on a run; its times are by `elapsed_clock`."""

    run: Run
    renewed: float
    suspended: float | None = None

    def renew(self, sent: float) -> None:
        """Count a renewal in Redis, unless it came too late.

        Then the run may have been closed before it, which only its row can tell.
        """
        if sent - self.renewed < LEASE_SECONDS:
            self.renewed = max(self.renewed, sent)


class LeaseKeeper:
    """Keeps the lease on a worker's current run."""

    def __init__(self, renew_in_redis: Callable[[Run], None], worker_name: str) -> None:
        self._renew_in_redis = renew_in_redis
        self._worker_name = worker_name
        self._lease: Lease | None = None
        self._inquiry: Inquiry | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._renewal: Future[None] | None = None

    @property
    def is_suspending(self) -> bool:
        """Whether the child is suspended because the lease of its run is over."""
        return self._lease is not None and self._lease.suspended is not None

    def renewed(self, run: Run, sent: float) -> None:
        """Note that a renewal in Redis, sent at this time by `elapsed_clock`, has succeeded."""
        current = self._lease
        if current is not None and current.run.execution_id == run.execution_id:
            current.renew(sent)

    def keep(self, run: Run, pid: int, *, is_running: bool) -> Hold | None:
        """Renew the lease of a run; return why the run has to be ended, None if it goes on.

        `pid` is the child that runs it, which is suspended while its lease is over. A run that
        `is_running` by its row can be closed by others; the others are only renewed.
        """
        if self._lease is None or self._lease.run.execution_id != run.execution_id:
            self.forget(pid)
            self._lease = Lease(run, run.leased)
        self._renew(run)
        if not is_running:
            self._resume(pid)
            return None
        hold = self._answer(self._lease)
        if hold is Hold.STOPPED or (hold is Hold.CLOSED and not run.goes_on):
            return hold
        return self._judge(self._lease, pid)

    def forget(self, pid: int | None = None) -> None:
        """Have no run; the child with this id goes on if it is suspended."""
        if pid is not None:
            self._resume(pid)
        self._lease = None
        if self._inquiry is not None:
            self._inquiry.end()
            self._inquiry = None

    def _resume(self, pid: int) -> None:
        """Have a suspended child go on whose run has ended just before."""
        if self._lease is not None and self._lease.suspended is not None:
            self._lease.suspended = None
            send(pid, signal.SIGCONT)

    def _judge(self, held: Lease, pid: int) -> Hold | None:
        now = elapsed_clock()
        suspended_for = None if held.suspended is None else now - held.suspended
        verdict = judge(now - held.renewed, suspended_for, goes_on=held.run.goes_on)
        if verdict is Verdict.END:
            return Hold.UNKNOWN
        if verdict is Verdict.SUSPEND:
            if held.suspended is None:
                held.suspended = now
                logger.warning("Job %s is suspended: its lease is over.", held.run.job_id)
            send(pid, signal.SIGSTOP)
        elif held.suspended is not None:
            held.suspended = None
            logger.warning("Job %s goes on: it has a lease again.", held.run.job_id)
            send(pid, signal.SIGCONT)
        if verdict is not Verdict.GO_ON and self._inquiry is None:
            self._inquiry = Inquiry(held.run.job_id, self._worker_name)
        return None

    def _answer(self, held: Lease) -> Hold | None:
        """Return what the database says about the run, None if it hasn't answered yet."""
        inquiry = self._inquiry
        hold = None if inquiry is None else inquiry.answer()
        if inquiry is not None and hold is not None:
            self._inquiry = None
            if hold is Hold.UNKNOWN:
                database_outage.report("it has not renewed a lease in time")
            if hold is Hold.HELD:
                database_outage.worked()
                held.renewed = max(held.renewed, inquiry.sent)
        return hold

    def _renew(self, run: Run) -> None:
        """Renew in Redis, in the thread, unless it still waits for Redis."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "leases")
        if self._renewal is None or self._renewal.done():
            self._renewal = self._thread.submit(self._try_to_renew, run)

    def _try_to_renew(self, run: Run) -> None:
        try:
            self._renew_in_redis(run)
        except RedisError as error:
            redis_outage.report(error)
        except Exception:
            logger.exception("The lease of job %s could not be renewed.", run.job_id)
        else:
            redis_outage.worked()


class Inquiry:
    """Asks the database to renew a lease, in a process of its own.

    `sent` is when it began, by `elapsed_clock`.
    """

    def __init__(self, job_id: str, worker_name: str) -> None:
        django.db.connections[alias()]  # Loads the driver here, for all of them.
        self.sent = elapsed_clock()
        parent = os.getpid()
        self._pid = fork()
        if self._pid == 0:
            _inquire(parent, job_id, worker_name)

    def answer(self) -> Hold | None:
        """Return the answer, None if there is none yet. It takes `LAST_CHANCE` at most."""
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return Hold(code) if code in list(Hold) else Hold.UNKNOWN
        if elapsed_clock() - self.sent >= LAST_CHANCE:
            self.end()
            return Hold.UNKNOWN
        return None

    def end(self) -> None:
        """Kill the process."""
        end_process(self._pid)


def _inquire(parent: int, job_id: str, worker_name: str) -> NoReturn:
    """Renew a lease at the database and exit with the answer, in the process just forked."""
    hold = Hold.UNKNOWN
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent(parent)
        clock.keep_fresh(lambda: None)  # Redis is out of reach: its last reading holds.
        hold = lease.renew(job_id, worker_name)
    except django.db.Error as error:
        logger.debug("The lease of job %s can't be renewed at the database: %s", job_id, error)
    except BaseException:
        logger.exception("The lease of job %s can't be renewed at the database.", job_id)
    finally:
        os._exit(hold)


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to the process group of a child."""
    with suppress(ProcessLookupError):  # It may just have exited.
        os.killpg(pid, number)
