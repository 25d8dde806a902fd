"""Keeps a worker's coroutine children: forks them, monitors them, and reaps those that died."""

import concurrent.futures
import logging
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait

import django.db
import rq
from redis.exceptions import RedisError

from tasks.broker.in_flight import STARTED_TTL_SECONDS
from tasks.broker.keys import COROUTINES_FIELDS
from tasks.broker.leases import LEASE_SECONDS
from tasks.job import COROUTINE
from tasks.runs.process_state import signals
from tasks.runs.processes import fork
from tasks.worker.batches import Batches
from tasks.worker.coroutine_child import start
from tasks.worker.ends import Ends
from tasks.worker.kept_child import KeptChild
from tasks.worker.run_table import Room, RunTable

logger = logging.getLogger(__name__)

# How often the children are monitored, and one that is exiting.
MONITOR_INTERVAL_SECONDS = min(1.0, LEASE_SECONDS / 6)
EXIT_INTERVAL_SECONDS = MONITOR_INTERVAL_SECONDS / 10
# How long to wait before the next child if one has died without a run: the next one may too.
RETRY_SECONDS = 1.0
# For how long the end of what the keeper's threads do is waited for, before a fork.
QUIET_SECONDS = 0.5
# How many children there are at a time at most: the one that takes jobs, and those that drain.
MOST_CHILDREN = len(COROUTINES_FIELDS)


class CoroutineKeeper:
    """Keeps coroutine children of up to `concurrency` runs at a time, in all of them together.

    One of them takes jobs. When it drains, a successor is forked, which has as much room as its
    runs leave. `start` has a thread keep them until `request_stop`; `work_off` does so here while
    there are jobs.
    """

    def __init__(self, worker: rq.Worker, concurrency: int) -> None:
        self._worker, self.concurrency = worker, concurrency
        self._redis = worker.connection
        steps = Batches(self._redis, worker.key, worker.name, STARTED_TTL_SECONDS, COROUTINE)
        self._ends = Ends(worker, steps)
        # Those that haven't been reaped, the newest last; other threads read it.
        self.children: tuple[KeptChild, ...] = ()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="coroutine keeper")
        # What waits for Redis has a thread: the leases of those that go on must be kept meanwhile.
        self._reaper = ThreadPoolExecutor(1, "reaper of coroutine children")
        self._reaping: dict[KeptChild, Future[None]] = {}
        self._tidying: Future[None] | None = None
        # The numbers of children that are gone, of which the worker's hash may still tell.
        self._gone: set[int] = set()
        self._next_fork = 0.0
        self._is_stop_requested = self._is_killed = False

    # What the worker does with it

    def start(self) -> None:
        """Keep children, in a thread, until told to stop.

        The first one is forked here, before the thread: what another thread imports at the moment
        of a fork, the child could never import.
        """
        self._fork()
        self._thread.start()

    def work_off(self) -> bool:
        """Have children run jobs while there are any; return whether there were."""
        if self._is_stop_requested:
            return False
        tables = [self._fork(burst=True).table]
        while self.children:
            self._follow()
            if self.children and self._is_successor_due():
                tables.append(self._fork(burst=True).table)
        return any(table.taken for table in tables)

    def request_stop(self) -> None:
        """Request that no further job be taken; may be called by a signal's handler."""
        self._is_stop_requested = True
        for child in self.children:
            child.table.request_stop()

    def end(self) -> None:
        """Wait until all runs have ended, once that was requested."""
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join()
        while self.children:  # Killed in burst mode, in which no thread reaps them.
            self._follow()
        self._reaper.shutdown()
        self._tidy_up()

    def kill(self) -> None:
        """Kill the children with their runs, which their rows will record."""
        self._is_killed = True
        self.request_stop()
        for child in self.children:
            child.kill_with_worker()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def running(self) -> dict[str, int]:
        """How many runs go on in each child, by the field of the worker's hash for it."""
        return {
            COROUTINES_FIELDS[child.table.number]: child.table.slots_taken
            for child in self.children
        }

    @property
    def is_busy(self) -> bool:
        """Whether any run goes on."""
        return any(self.running.values())

    def stop_run(self, job_id: str) -> bool:
        """Stop the run of this job, and only that; return whether it runs here."""
        return any(child.stop_run(job_id) for child in self.children)

    # The children

    def _keep(self) -> None:
        while self.children or not self._is_stop_requested:
            if self._is_successor_due():
                self._try_to_fork()
            self._follow()

    def _is_successor_due(self) -> bool:
        """Return whether no child takes jobs, and another one can."""
        return (
            not self._is_stop_requested
            and all(child.is_draining for child in self.children)
            and len(self.children) < MOST_CHILDREN
            and time.monotonic() >= self._next_fork
        )

    def _try_to_fork(self) -> None:
        try:
            self._fork()
        except Exception:
            logger.exception("Worker %s can't fork a coroutine child.", self._worker.name)
            self._next_fork = time.monotonic() + RETRY_SECONDS

    def _fork(self, *, burst: bool = False) -> KeptChild:
        """Fork a child with all database connections closed, or both processes would use them."""
        django.db.connections.close_all()
        signals()  # Finding them takes a while: the children inherit the list.
        self._let_threads_end()
        older = self.children
        numbers = {child.table.number for child in older}
        number = min(set(range(MOST_CHILDREN)) - numbers)
        room = Room(self.concurrency, [child.table for child in older])
        ours, theirs = Pipe()
        # Runs that have ended are in it until that is reported, while others may have started.
        table = RunTable(2 * self.concurrency, number)
        pid = fork(self._redis)
        if pid == 0:
            with suppress(OSError):
                for one in (ours, *(child.orders for child in older)):
                    one.close()
            start(self._worker, table, room, theirs, burst=burst)
        theirs.close()
        self._gone.discard(number)
        child = KeptChild(self._worker, pid, ours, table)
        self.children = (*older, child)
        if self._is_stop_requested:
            table.request_stop()
        if self._is_killed:
            child.kill_with_worker()
        return child

    def _let_threads_end(self) -> None:
        """Let end what the keeper's threads do: what they hold at a fork, the child could not have.

        If they wait for Redis, that isn't waited for.
        """
        renewals = [child.renewal for child in self.children]
        work = [*renewals, self._tidying, *self._reaping.values()]
        concurrent.futures.wait([one for one in work if one is not None], QUIET_SECONDS)

    def _follow(self) -> None:
        """Wait until there may be something to do, and monitor each child; reap those that died."""
        self._wait()
        if self._tidying is None or self._tidying.done():
            self._tidying = self._reaper.submit(self._tidy_up)
        for child in self.children:
            try:
                self._follow_one(child)
            except Exception:
                logger.exception("A coroutine child of worker %s is lost.", self._worker.name)
                child.kill()
                self._remove(child)
                with suppress(OSError):
                    child.close()
                self._next_fork = time.monotonic() + RETRY_SECONDS

    def _wait(self) -> None:
        """Wait until a child says something, or for a while."""
        alive = [child for child in self.children if not child.is_exiting]
        is_brief = len(alive) < len(self.children)
        interval = EXIT_INTERVAL_SECONDS if is_brief else MONITOR_INTERVAL_SECONDS
        by_orders = {child.orders: child for child in alive}
        if not alive:
            time.sleep(EXIT_INTERVAL_SECONDS)
        for orders in wait(list(by_orders), interval) if alive else ():
            by_orders[orders].read()  # type: ignore[index]

    def _follow_one(self, child: KeptChild) -> None:
        reaping = self._reaping.get(child)
        if reaping is None and child.has_exited:
            child.is_exiting = True
            self._reaping[child] = self._reaper.submit(self._reap, child)
        elif reaping is None:
            child.monitor()
        elif reaping.done():
            reaping.result()
            self._remove(child)

    def _reap(self, child: KeptChild) -> None:
        """Record what died with a child; in the reaper's thread."""
        if child.reap(self._ends):
            self._next_fork = time.monotonic() + RETRY_SECONDS

    def _remove(self, child: KeptChild) -> None:
        """Forget a child; the others have its room."""
        child.table.vacate()
        self._reaping.pop(child, None)
        self.children = tuple(one for one in self.children if one is not child)
        self._gone.add(child.table.number)

    def _tidy_up(self) -> None:
        """Write what couldn't be written while Redis was unavailable; in the reaper's thread."""
        with suppress(RedisError):  # It is kept.
            self._ends.spool()
            self._forget(tuple(self._gone))

    def _forget(self, gone: Iterable[int]) -> None:
        """Have the worker's hash say nothing of children that are gone."""
        for number in gone:
            self._redis.hdel(self._worker.key, COROUTINES_FIELDS[number])
            self._gone.discard(number)
