"""A worker's coroutine child: one process that runs many coroutine functions side by side.

The main thread has the event loop, and does nothing that waits. The intake talks to Redis, the
group writer to the database; the live writer shows progress, the watchdog watches the loop.
"""

import asyncio
import logging
import os
import random
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import NoReturn

import rq
from django.conf import settings

from tasks import clock
from tasks.runs import reporting, shared_threads, shared_transactions
from tasks.runs.beside import Outcome, RunBeside, task_factory
from tasks.runs.group_writer import GroupWriter
from tasks.runs.log_capture import capturing_by_context
from tasks.runs.process_state import ProcessState
from tasks.runs.processes import die_with_parent
from tasks.runs.threads import Threads
from tasks.worker.child import MAX_RUNS, REFUSED_STATUS, has_grown, set_signals
from tasks.worker.intake import Begun, Intake, Report
from tasks.worker.run_table import Room, RunTable
from tasks.worker.watchdog import BEAT_SECONDS, Culprit, Watchdog

logger = logging.getLogger(__name__)

# Threads that a run need not have left behind: ours, and those of executors, which stay.
THREADS = (
    *("intake", "group writer", "live writer", "watchdog", "sentry", "asyncio"),
    shared_threads.NAME,
)
EXECUTORS = "ThreadPoolExecutor"
# What it tells its worker when it takes no more jobs and another child can.
DRAINS = "drains"


class CoroutineChild:
    """Runs as many coroutine functions at a time as it has room for, in the process just forked.

    If it is due for recycling it drains: it takes no more jobs, tells its worker, which forks
    another child for them, lets its runs end, and exits.
    """

    def __init__(self, worker: rq.Worker, table: RunTable, room: Room, orders: Connection) -> None:
        self._table, self._room, self._orders = table, room, orders
        # The threads that no run has left behind.
        self._threads = set(threading.enumerate())
        self._writer = GroupWriter()
        self._shared_threads = shared_threads.SharedThreads()
        self._shared_transactions = shared_transactions.SharedTransactions()
        self._intake = Intake(
            worker,
            table,
            room,
            self._writer,
            self._begin,
            self._tell_that_it_drains,
            self._tell_that_all_is_over,
        )
        # What runs, by the job's id, and the tasks in which it does.
        self._runs: dict[str, tuple[Begun, RunBeside]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._process_state = ProcessState()
        # The functions that have run since this process was last as its code had it at the start.
        self._functions: set[str] = set()
        self._count = 0
        self._is_draining = False
        # How many functions are called now.
        self._calling = 0

    async def serve(self, *, burst: bool = False) -> None:
        """Run jobs until told to stop, or until this process has drained.

        An order is the id of a job that is to be stopped. With `burst` it returns when there are
        no jobs.
        """
        self._loop = asyncio.get_running_loop()
        self._loop.set_task_factory(task_factory)
        self._loop.set_default_executor(Threads(self._room.concurrency))
        shared_threads.share(self._shared_threads)
        shared_transactions.share(self._shared_transactions)
        self._over = asyncio.Event()
        clock.keep_fresh(lambda: None)  # Each step reads it; the loop waits for nothing.
        with capturing_by_context():
            self._process_state.remember()
            self._loop.add_reader(self._orders.fileno(), self._read_order)
            watchdog = Watchdog(self._loop, self._table, self._find)
            self._intake.ends_when_idle = burst
            self._intake.start()
            self._beat()
            await self._over.wait()
            watchdog.close()
            self._loop.remove_reader(self._orders.fileno())
        self._shared_transactions.close()
        self._shared_threads.close()
        self._writer.close()

    @property
    def is_refused(self) -> bool:
        """Whether the keys in Redis have become another database's."""
        return self._intake.is_refused

    def _tell_that_it_drains(self) -> None:
        with suppress(OSError):  # The worker has just died.
            self._orders.send(DRAINS)

    def _tell_that_all_is_over(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)

    def _read_order(self) -> None:
        try:
            job_id = self._orders.recv()
        except (EOFError, OSError):
            self._loop.remove_reader(self._orders.fileno())
            self._intake.close()
            return
        if job_id in self._runs:
            self._runs[job_id][1].stop()
        else:
            logger.warning("Job %s isn't running here, so it isn't stopped.", job_id)

    def _beat(self) -> None:
        """Say that the loop has come round, and do what is to be done from time to time."""
        self._table.beat()
        if self._table.is_stop_requested:
            self._intake.close()
        elif has_grown():
            self._drain("it has grown")
        stuck = [entry for entry in self._runs.values() if entry[1].is_stuck]
        if stuck and len(stuck) == len(self._runs):
            self._give_up(stuck)
        self._loop.call_later(BEAT_SECONDS, self._beat)

    def _drain(self, why: str) -> None:
        """Have another process take the jobs that come, while all that runs here ends."""
        if not self._is_draining:
            self._is_draining = True
            logger.info("The coroutine child takes no more jobs and is replaced: %s.", why)
            self._intake.drain()

    def _find(self, task: "asyncio.Task[object] | None") -> Culprit | None:
        """Return the run to which a task of asyncio belongs."""
        for begun, run in list(self._runs.values()):
            if run.has(task):
                return begun.run, run
        return None

    # Runs

    def _begin(self, begun: Sequence[Begun]) -> None:
        """Begin to carry out jobs; called by the intake's thread."""
        if begun:
            self._loop.call_soon_threadsafe(self._begin_all, begun)

    def _begin_all(self, begun: Sequence[Begun]) -> None:
        for one in begun:
            task = self._loop.create_task(self._carry_out(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, begun: Begun) -> None:
        job, table = begun.job, self._table
        run = RunBeside(
            job,
            begun.run.timeout,
            self._writer,
            prepare=self._prepare,
            clear_away=self._clear_away,
            on_start=partial(table.start, begun.run),
            on_end=partial(table.finish, begun.run),
            on_stuck=partial(self._on_stuck, job.id),
        )
        self._runs[job.id] = begun, run
        self._functions.add(str(job.func_name))
        self._count += 1
        if self._count >= getattr(settings, "TASKS_CHILD_MAX_RUNS", MAX_RUNS):
            self._drain(f"it has run {self._count:,}")
        error: BaseException | None
        try:
            outcome = await run.run()
            error = run.error
        except Exception as raised:
            outcome, error = Outcome.FAILED, raised
        del self._runs[job.id]
        self._intake.report(Report(begun, outcome, clock.now(), error))

    def _prepare(self) -> None:
        """Prepare the context in which a function is called."""
        self._process_state.remember()
        self._calling += 1

    def _clear_away(self) -> None:
        """Undo what functions have left behind that would affect others, if none is called now."""
        self._calling -= 1
        if self._calling == 0:
            self._restore()

    def _restore(self) -> None:
        """Undo what the functions have changed in this process, now that none of them runs."""
        names = "”, “".join(sorted(self._functions))
        self._functions.clear()
        if not self._process_state.restore(names):
            self._drain("what a run has changed in it can't be undone")
        elif self._has_other_threads():
            self._drain("a run has left a thread behind")

    def _has_other_threads(self) -> bool:
        """Return whether a function has left a thread behind."""
        others = set(threading.enumerate()) - self._threads
        return any(not thread.name.startswith((*THREADS, EXECUTORS)) for thread in others)

    def _on_stuck(self, job_id: str) -> None:
        logger.warning(
            "Job %s goes on although it was cancelled: it ends with its process, when all that "
            "runs beside it has ended.",
            job_id,
        )
        self._drain("a run of it can't be ended alone")

    def _give_up(self, stuck: Sequence[tuple[Begun, RunBeside]]) -> NoReturn:
        """Write how the runs ended that can't be ended, and exit with them.

        Meanwhile the loop stands still, so none of them goes on. One whose row doesn't say
        `running` is left to the worker.
        """
        with_row = [(begun, run) for begun, run in stuck if run.has_row]
        for begun, run in with_row:
            outcome = run.give_up()
            self._intake.report(Report(begun, outcome, clock.now(), run.error))
        self._intake.finish_without(len(stuck) - len(with_row))
        self._writer.close()
        _exit(0)


def start(
    worker: rq.Worker, table: RunTable, room: Room, orders: Connection, *, burst: bool
) -> NoReturn:
    """Become the coroutine child of a worker, in the process that was just forked."""
    parent = os.getppid()
    os.setpgrp()
    random.seed()
    set_signals()
    die_with_parent(parent)
    try:
        child = CoroutineChild(worker, table, room, orders)
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(child.serve(burst=burst))
            _exit(REFUSED_STATUS if child.is_refused else 0)
    except BaseException:
        logger.exception("The coroutine child of worker %s ends.", worker.name)
    finally:
        os._exit(1)


def _exit(status: int) -> NoReturn:
    reporting.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
