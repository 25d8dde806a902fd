"""A worker's child: one process that runs job after job, and that a single job can take down.

It keeps its imports and its database connection from run to run, which is what a fork for each
job would cost. What a run leaves behind is cleared away, and the process is replaced when it is due
for recycling: after many runs, when it has grown, after a timeout, or when a run has left a thread
or a transaction behind.
"""

import contextvars
import logging
import os
import random
import resource
import signal
import sys
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NoReturn

import django.db
from django.conf import settings
from redis.exceptions import RedisError, ResponseError
from rq.executions import Execution
from rq.job import Retry
from rq.queue import Queue
from rq.timeouts import JobTimeoutException
from rq.worker import BaseWorker, DequeueStrategy

from tasks import clock
from tasks.broker import limits
from tasks.broker.clock import refresh
from tasks.broker.in_flight import STARTED_TTL_SECONDS
from tasks.broker.keys import explain, is_wrong_type
from tasks.broker.leases import LEASE_SECONDS
from tasks.broker.ownership import Ownership, RedisRefused
from tasks.clock import elapsed_clock
from tasks.database import alias
from tasks.job import Job
from tasks.job_ids import is_recorded
from tasks.masking import hiding
from tasks.models import ScheduledTask
from tasks.outages import redis_outage
from tasks.reasons import Reason
from tasks.runs import holds, recorder, reporting, spool
from tasks.runs.connections import roll_back_since, state
from tasks.runs.isolation import await_exits, is_isolated
from tasks.runs.log_capture import ready_to_capture
from tasks.runs.process_state import ProcessState
from tasks.runs.processes import die_with_parent, ending_copies
from tasks.runs.timeout import Deadline
from tasks.runs.writer import writer
from tasks.worker.pace import MOST_AT_A_TIME, Pace
from tasks.worker.queues import LEFT_TO_RQ, Batch, Finished, Queues, Taken
from tasks.worker.refusals import OF_OTHER_CODE, obstacle_to, refuse
from tasks.worker.shared_state import Run, SharedState
from tasks.worker.usable import UnusableQueues

logger = logging.getLogger(__name__)

OnDisconnect = ScheduledTask.OnDisconnect

# A child is replaced after this many runs, or once it has used this much memory.
MAX_RUNS = 10_000
MAX_MEMORY_MB = 512
# How long it runs jobs before it reports to its worker.
BATCH_SECONDS = 1.0
# How old its reading of Redis's clock may become: each step that takes a job also reads it.
CLOCK_AGE_SECONDS = 1.0
# A job that was taken ahead longer ago than this is not begun: others may take it for lost.
MAX_AHEAD_SECONDS = LEASE_SECONDS / 3
# With which status a child exits that must not use this Redis any more.
REFUSED_STATUS = 77


class Child:
    """Runs the jobs of a worker's queues, in the process that the worker has forked.

    `kind` is the kind of job that it takes, "" for any.
    """

    def __init__(self, worker: BaseWorker, shared: SharedState, kind: str = "") -> None:
        self._worker = worker
        self._shared = shared
        self._redis = worker.connection
        self._ownership = Ownership(self._redis)
        self._queues = Queues(self._redis, worker.key, worker.name, STARTED_TTL_SECONDS, kind)
        self._queue_by_name = {queue.name: queue for queue in worker.queues}
        # The jobs that were taken and aren't begun. And those that returned, with what is to be
        # reported of them to Redis.
        self._ahead: deque[Taken] = deque()
        self._unreported: list[tuple[Job, Finished]] = []
        # Those of them on which others depend: a step leaves their end to RQ.
        self._left: list[tuple[Job, Finished]] = []
        self._pace = Pace()
        # Whether nothing is begun before what has returned is reported.
        self._is_full = False
        self._connections = state()
        self._process_state = ProcessState()
        self._is_restored = True
        self._runs = 0
        # Whether the worker may be the one that listens to its queues: before its first job.
        self._has_listened = False
        # Whether another process should take over.
        self.is_due_for_recycling = False
        self._unusable = UnusableQueues(self._redis, self._queue_by_name)
        # The queues from which no job is taken, as the database last said.
        self._held = holds.UNKNOWN

    @property
    def held_queues(self) -> list[str]:
        """The queues of this worker from which it takes no job for now."""
        return self._held.among(self._queue_by_name)

    def serve(self, orders: Connection) -> NoReturn:
        """Run jobs whenever the worker says so, until the worker closes the connection.

        An order is how many jobs to run at most, 0 for any number. The answer is how many were
        run, whether Redis answers, whether this process ends now, and which queues are held.
        """
        writer.witness = self._shared
        clock.keep_fresh(partial(refresh, self._redis), CLOCK_AGE_SECONDS)
        threads = _count_threads() + 1  # with the one that shows progress
        while not self.is_due_for_recycling:
            try:
                limit = orders.recv()
            except EOFError:
                break
            ran, redis_answers = self.work_off(limit)
            self.is_due_for_recycling |= _count_threads() > threads or has_grown()
            orders.send((ran, redis_answers, self.is_due_for_recycling, self.held_queues))
        reporting.flush()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    def work_off(self, limit: int = 0) -> tuple[int, bool]:
        """Run jobs while there are any, up to `limit` of them, for about `BATCH_SECONDS`.

        Returns how many ran, and False if Redis became unavailable. Raises RedisRefused, before it
        takes a job, if the keys in Redis have become another database's.
        """
        stop_at = time.monotonic() + BATCH_SECONDS
        ran = 0
        self._has_listened = True
        try:
            self._ownership.check_now_and_then()
            self._spool_kept_end()
            self._held = holds.read_again(self._held)
            if self._unusable:
                self._unusable.check()
            while taken := self.next_job(self._room(ran, limit, stop_at)):
                self.run(taken)
                ran += 1
        except RedisRefused:
            raise
        except RedisError as error:
            redis_outage.report(explain(error, self._redis, self._queue_by_name))
            return ran, False
        finally:
            self._queues.rest()
            writer.catch_up(self._redis)
            self._shared.clear_run()
        redis_outage.worked()
        return ran, True

    def _spool_kept_end(self) -> None:
        """Put the end of a run on the spool that neither the database nor Redis has taken yet."""
        end = self._shared.end
        if end is not None and not writer.keeps_end:
            spool.push(self._redis, end["job_id"], end["status"], **end["values"])
            self._shared.forget_end()

    def _room(self, ran: int, limit: int, stop_at: float) -> int:
        """Return how many jobs may still be taken at most."""
        if self._must_end or time.monotonic() >= stop_at:
            return 0
        in_order = self._worker._dequeue_strategy in (None, DequeueStrategy.DEFAULT)
        most = MOST_AT_A_TIME if in_order else 1
        return min(most, limit - ran) if limit else most

    @property
    def _must_end(self) -> bool:
        """Whether no further job is to be begun."""
        return self.is_due_for_recycling or self._shared.is_stop_requested

    def next_job(self, room: int) -> Taken | None:
        """Return the next of the jobs that were taken; if there is none, take up to `room`.

        The step that takes them reports those that have returned. Returns None if there is no next
        one. Raises RedisError; those that returned are then still to be reported.
        """
        if self._ahead and (taken := self._next_of_ahead()):
            return taken
        self._end_those_left()
        if not self._unreported and not room:
            return None
        number = min(room, self._pace.next(time.monotonic()))
        self._take(number)
        if self._left and not self._ahead and number:
            self._end_those_left()
            self._take(number)  # The jobs that depended on them are on their queues now.
        self._pace.took(len(self._ahead), time.monotonic())
        self._end_those_left()
        if not self._ahead:
            return None
        self._worker.reorder_queues(self._queue_by_name[self._ahead[-1].queue])
        self._shared.begin()
        return self._ahead.popleft()

    def _next_of_ahead(self) -> Taken | None:
        """Return the next job that was taken ahead, None if they aren't to be begun here."""
        age = elapsed_clock() - self._ahead[0].leased
        if self._must_end or self._is_full or age > MAX_AHEAD_SECONDS:
            while self._ahead:
                self._queues.give_back(self._ahead[-1])
                self._ahead.pop()
            self._shared.give_back()
        elif self._shared.begin():
            return self._ahead.popleft()
        self._ahead.clear()
        return None

    def _step(self, number: int) -> Batch:
        """Have Redis take a step; queues that turn out to be unusable are left out."""
        finished = [one for _, one in self._unreported[self._shared.reported :]]
        while True:
            self._shared.announce_step(self._queues.step_id)
            try:
                usable = self._usable_queues() if number else []
                batch = self._queues.step(finished, usable, number, hand_over=self._has_listened)
                break
            except ResponseError as error:
                if not (is_wrong_type(error) and self._unusable.check()):
                    raise
        self._shared.record_step(batch.taken)
        self._has_listened = False
        for template in batch.templates:
            logger.warning(
                "Job %s is a schedule's template and isn't run: use “run now”.", template
            )
        return batch

    def _take(self, number: int) -> None:
        """Report the jobs that returned, and take up to `number` others."""
        batch = self._step(number)
        self._ahead.extend(batch.taken)
        self._left += [one for one in self._unreported if one[0].id in batch.left_to_rq]
        self._unreported, self._is_full = [], False

    def _end_those_left(self) -> None:
        """End jobs that returned, and on which others depend, as RQ does."""
        while self._left:
            job, finished = self._left[0]
            queue = self._queue_by_name[finished.queue]
            execution = self._execution(job.id, finished.execution_id)
            self._worker.handle_job_success(job, queue, queue.started_job_registry, execution)
            limits.release(job.id, self._redis)
            del self._left[0]

    def _usable_queues(self) -> list[str]:
        names = [queue.name for queue in self._worker._ordered_queues]
        held = self.held_queues
        return [name for name in names if name not in self._unusable and name not in held]

    def run(self, taken: Taken) -> None:
        """Run one job. Its row records how it ended, RQ's registries with the next step."""
        job = Job.from_fields(taken.job_id, taken.fields, self._redis)
        # For a run with a row, the recorder hides them.
        with ending_copies(), hiding([] if is_recorded(job.id) else job.secret_values):
            self._run(job, taken)

    def _run(self, job: Job, taken: Taken) -> None:
        queue = self._queue_by_name[taken.queue]
        job.origin, job.worker_name, job.started_at = queue.name, self._worker.name, clock.now()
        execution = self._execution(job.id, taken.execution_id)
        timeout = int(job.timeout or queue._default_timeout or Queue.DEFAULT_TIMEOUT)
        meta = job.meta if isinstance(job.meta, dict) else {}
        goes_on = meta.get("on_disconnect") == OnDisconnect.CONTINUE
        places = limits.places_of(taken.fields.get(b"limit"))
        times = time.monotonic(), taken.leased
        self._shared.take(Run(job.id, execution.id, queue.name, timeout, *times, goes_on, places))
        self._runs += 1
        await_exits()
        obstacle = obstacle_to(job)
        why = None
        if isinstance(obstacle, OF_OTHER_CODE):
            why = self._refuse(taken, obstacle)
            if why is None:
                return
        elif b"refused_by" in taken.fields:
            self._redis.hdel(job.key, "refused_by", "refused_at")
        try:
            value = contextvars.copy_context().run(self._perform, job, timeout, obstacle, why)
        except BaseException:
            self._let_rq_end(job, self._worker._finalize_failure, queue, execution, sys.exc_info())
            return
        finally:
            self._clear_away(job)
        if isinstance(value, Retry) or any(taken.fields.get(name) for name in LEFT_TO_RQ):
            self._let_rq_end(job, self._end_by_rq, queue, execution, value)
            return
        job.ended_at = clock.now()
        finished = Finished(
            job.id,
            execution.id,
            queue.name,
            job.get_result_ttl(self._worker.default_result_ttl),
            "" if is_recorded(job.id) else b64encode(job.result_payload() or b"").decode(),
            job.started_at.timestamp(),
            job.ended_at.timestamp(),
        )
        self._unreported.append((job, finished))
        self._is_full = not self._shared.keep_finished(finished)

    def _end_by_rq(self, job: Job, queue: Queue, execution: Execution, value: Any) -> None:
        """End a job that returned as RQ does; if its success callback raises, the job fails."""
        if isinstance(value, Retry):
            self._worker._finalize_success(job, queue, execution, value)
            return
        try:
            self._worker._finalize_success(job, queue, execution, value)
        except BaseException:
            self._worker._finalize_failure(job, queue, execution, sys.exc_info())

    def _let_rq_end(self, job: Job, end: Callable[..., Any], *args: Any) -> None:
        """End a job by RQ's own code, which calls the job's callbacks."""
        self._restore_process(job)
        self._is_restored = False
        with hiding(job.secret_values):  # RQ logs the error of a run that was closed meanwhile.
            end(job, *args)
        limits.release(job.id, self._redis)
        self._restore_process(job)

    def _refuse(self, taken: Taken, obstacle: Exception) -> Reason | None:
        """Put a job that this code can't call back for others; return why it fails instead."""
        why = refuse(taken, obstacle, self._queues)
        if why is None:
            self._shared.clear_run()
        return why

    def _perform(
        self, job: Job, timeout: int, obstacle: Exception | None, why: Reason | None
    ) -> Any:
        """Call the job's function under its deadline; record it, too, if it can't be called."""
        if obstacle is not None:
            recorder.record_uncallable(job, obstacle, why)
            raise obstacle
        self._process_state.remember()
        self._is_restored = False
        job.restore_process = partial(self._restore, str(job.func_name))
        recorded = is_recorded(job.id)
        if not recorded:
            writer.catch_up(self._redis)
            self._shared.start()
        for connection in django.db.connections.all(initialized_only=True):
            # As Django does before a request: the connection may have been dropped meanwhile. The
            # claim of a recorded run checks the connection that it uses.
            is_checked = recorded and connection.alias == alias()
            if not is_checked and not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
        deadline = Deadline(timeout, JobTimeoutException, job_id=job.id)
        try:
            with deadline:
                if not recorded and is_isolated(job):
                    return recorder.perform_apart(job, deadline)
                return job.perform()
        finally:
            self.is_due_for_recycling |= deadline.fired

    def _execution(self, job_id: str, execution_id: str) -> Execution:
        return Execution(execution_id, job_id, self._redis, self._worker.name)

    def _restore_process(self, job: Job) -> None:
        """Undo what a job has changed in this process, unless that has been done."""
        if not self._is_restored and job.restore_process is not None:
            job.restore_process()

    def _restore(self, function: str) -> None:
        self.is_due_for_recycling |= not self._process_state.restore(function)
        self._is_restored = True

    def _clear_away(self, job: Job) -> None:
        """Undo what a function has left behind that would affect the next run."""
        self._restore_process(job)
        for connection in django.db.connections.all(initialized_only=True):
            if connection.errors_occurred and not connection.in_atomic_block:
                connection.close()
        max_runs = getattr(settings, "TASKS_CHILD_MAX_RUNS", MAX_RUNS)
        left_open = roll_back_since(self._connections)
        self.is_due_for_recycling |= left_open or self._runs >= max_runs


def start(worker: BaseWorker, shared: SharedState, orders: Connection, kind: str) -> NoReturn:
    """Become the child of a worker, in the process that was just forked."""
    parent = os.getppid()
    os.setpgrp()
    random.seed()
    set_signals()
    die_with_parent(parent)
    try:
        with ready_to_capture():
            Child(worker, shared, kind).serve(orders)
    except RedisRefused:
        os._exit(REFUSED_STATUS)  # The worker finds out why, and says so.
    except BaseException:
        logger.exception("The child of worker %s ends.", worker.name)
    finally:
        os._exit(1)


def set_signals() -> None:
    """Leave it to the worker to end this process: a signal to the whole group ends no run.

    The signals are caught, not ignored: what a task function starts would inherit that.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _do_nothing)


def _do_nothing(signum: int, frame: FrameType | None) -> None:
    pass


def _count_threads() -> int:
    """Count the threads of this process without those by which Sentry sends its reports."""
    return sum(not thread.name.startswith("sentry") for thread in threading.enumerate())


def has_grown() -> bool:
    """Return whether this process has ever exceeded its memory limit."""
    unit = 1 if sys.platform == "darwin" else 1024
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return size > getattr(settings, "TASKS_CHILD_MAX_MEMORY", MAX_MEMORY_MB) * 2**20
