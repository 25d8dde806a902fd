"""The worker that django-rq is told to use: it keeps a child that runs its jobs, and monitors it.

The worker itself runs no task function, and touches no database but to ask, at its start, whose
the keys in Redis are. It tells its child when there
are jobs, renews the lease of the current run, stops the run on request, and when the child dies it
puts on the spool how that run ended.
"""

import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, ClassVar

import django.db
import rq
from redis.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from rq import worker_registration
from rq.command import parse_payload
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job_lifecycle import call_exception_handlers
from rq.serializers import JSONSerializer
from rq.suspension import WORKERS_SUSPENDED
from rq.worker import DequeueStrategy, WorkerStatus

from tasks.broker import limits
from tasks.broker.clock import ClockKeeper
from tasks.broker.in_flight import STARTED_TTL_SECONDS
from tasks.broker.keys import CONCURRENCY_FIELD, HEARTBEAT_TTL_FIELD, explain, is_wrong_type
from tasks.broker.leases import LEASE_RENEWAL_SECONDS, LEASE_SECONDS
from tasks.broker.ownership import Ownership, RedisRefused
from tasks.clock import elapsed_clock
from tasks.job import Job
from tasks.job_ids import is_recorded
from tasks.models import ScheduledTaskInstance
from tasks.outages import database_outage, redis_outage
from tasks.reasons import Code, reason
from tasks.runs.lease import Hold
from tasks.runs.process_state import signals
from tasks.runs.processes import fork
from tasks.runs.timeout import Deadline
from tasks.worker.child import REFUSED_STATUS, start
from tasks.worker.concurrency import PLAIN, coroutines_at_a_time
from tasks.worker.coroutine_keeper import CoroutineKeeper
from tasks.worker.doorbell import Doorbell
from tasks.worker.ends import Ends, died_of, timed_out
from tasks.worker.lease import LeaseKeeper
from tasks.worker.overtime import Overtime
from tasks.worker.queues import Finished, Queues, Taken, record_executions
from tasks.worker.shared_state import Run, SharedState

logger = logging.getLogger(__name__)

Status = ScheduledTaskInstance.Status

# How often the worker monitors the current run.
MONITOR_INTERVAL_SECONDS = min(1.0, LEASE_SECONDS / 6)
# How often the worker looks whether others wait for a run that takes longer than those before it.
LOOK_INTERVAL_SECONDS = 0.05
# How often the worker sends a heartbeat.
HEARTBEAT_INTERVAL_SECONDS = 10.0
# How often it asks again while one of its queues is held.
HOLD_POLL_SECONDS = 1.0
# How long the worker waits before it retries what has failed.
RETRY_SECONDS = 1.0
# A child that has taken no step so long after its fork never will: what another thread of its
# worker held at that moment, such as the lock of an import, nobody releases in the child.
HUNG_SECONDS = 30.0
# Why a run is ended.
ENDINGS = {
    Hold.STOPPED: "its row says that it is to be stopped.",
    Hold.CLOSED: "its row says that it was closed meanwhile.",
    Hold.UNKNOWN: "it has no lease, and neither Redis nor the database can be reached.",
}


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """The process that runs the jobs: its id, the connection to it, and the state it shares.

    `since` is when it was forked, by `time.monotonic`.
    """

    pid: int
    orders: Connection
    shared: SharedState
    since: float


class Worker(rq.Worker):
    """RQ's worker with a child that stays, and with leases on its runs.

    Payloads are JSON and functions come from the registry, whatever the command line says.
    """

    death_penalty_class = Deadline
    job_class = Job
    log_result_lifespan = False
    # How many coroutine functions the workers of this process run at a time, each in a second
    # child; 0: none, they run one at a time in the only one. None: as TASKS_CONCURRENCY says.
    concurrency: ClassVar[int | None] = None

    def __init__(self, queues: Any, name: str | None = None, **kwargs: Any) -> None:
        name = name or f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(2)}"
        kwargs["serializer"] = JSONSerializer
        kwargs["job_class"] = Job
        super().__init__(queues, name, **kwargs)
        for queue in self.queues:
            # Others make them too: RQ's pool of workers, with RQ's own job class and with pickle.
            queue.job_class, queue.serializer = Job, JSONSerializer
            # What a worker enqueues again waits for its turn, whatever the settings say.
            queue._is_async = True
        self._child: ChildProcess | None = None
        self._ownership = Ownership(self.connection)
        self._doorbell = Doorbell(self.connection, self.name, self.queue_names())
        self._child_queues = Queues(self.connection, self.key, self.name, STARTED_TTL_SECONDS)
        number = coroutines_at_a_time() if self.concurrency is None else self.concurrency
        self._coroutines = CoroutineKeeper(self, number) if number else None
        self._keeper = LeaseKeeper(lambda run: self._renew_lease(run), self.name)
        # What its child had taken ahead, and had finished, when the worker took that over.
        self._taken_over: tuple[list[Taken], list[Finished]] = [], []
        # The thread that gives that back: Redis may hang, and the run's lease is to be kept.
        self._relief: ThreadPoolExecutor | None = None
        self._settling: Future[None] | None = None
        # The run that was going on at the last look.
        self._seen: Run | None = None
        # A child is suspended by one thread at a time.
        self._suspending = threading.Lock()
        # The job that is ended because it has no lease any more, and what the database said.
        self._given_up: tuple[str, Hold] | None = None
        self._ends = Ends(self, self._child_queues)
        self._is_waiting = False
        # The queues that are held, as the child has last read.
        self._held: set[str] = set()
        self._next_heartbeat = 0.0
        self._next_renewal = 0.0
        self._overtime = Overtime()
        self._clock = ClockKeeper(self.connection, f"Worker {self.name}")

    # The loop

    def work(
        self,
        burst: bool = False,
        logging_level: str | None = None,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy = DequeueStrategy.DEFAULT,
    ) -> bool:
        """Run jobs until told to stop, as RQ's worker does; return whether there were any.

        With `burst` it returns when the queues are empty, with `max_jobs` after that many jobs,
        with `max_idle_time` after that many seconds without one. Raises RedisRefused if the keys in
        Redis are another database's, at the start or later.
        """
        self._until_redis_answers(self._check_ownership)
        self._until_redis_answers(self.bootstrap, logging_level, date_format, log_format)
        logger.info("Worker %s started on %s.", self.name, ", ".join(self.queue_names()))
        self._dequeue_strategy = dequeue_strategy
        if max_jobs:
            self._coroutines = None  # One child counts the jobs.
        if with_scheduler:
            self._start_scheduler(burst, logging_level, date_format, log_format)
        self._install_signal_handlers()
        if self._coroutines is not None and not burst:
            self._coroutines.start()
        try:
            return self._work(burst, max_jobs or 0, max_idle_time) > 0
        finally:
            try:
                self._end_child()
                if self._coroutines is not None:
                    self._coroutines.end()
            finally:  # A second signal ends it at once.
                self._deregister()

    def _work(self, burst: bool, max_jobs: int, max_idle_time: int | None) -> int:
        ran, idle_since = 0, time.monotonic()
        try:
            while not self._stop_requested:
                self._until_redis_answers(self._do_maintenance, burst)
                now_ran = self._run_jobs(max_jobs and max_jobs - ran)
                ran += now_ran
                if max_jobs and ran >= max_jobs:
                    break
                if now_ran:
                    idle_since = time.monotonic()
                if burst:
                    if not now_ran and not self._work_off_coroutines():
                        break
                elif not self._wait_for_jobs(idle_since, max_idle_time):
                    break
        except StopRequested:
            pass
        return ran

    def _work_off_coroutines(self) -> bool:
        """Have the coroutine child run all jobs that there are; return whether there were any."""
        return self._coroutines is not None and self._coroutines.work_off()

    @property
    def kind(self) -> str:
        """The kind of the jobs that the plain child runs, "" for all."""
        return "" if self._coroutines is None else PLAIN

    def _check_ownership(self) -> None:
        """Raise RedisRefused unless the keys in Redis are this database's (R16)."""
        while not self._stop_requested:
            try:
                self._ownership.check()
                return
            except django.db.Error as error:
                database_outage.report(error)
                time.sleep(RETRY_SECONDS)
            finally:
                django.db.connections.close_all()

    def _do_maintenance(self, burst: bool) -> None:
        """Do what is due from time to time, between jobs."""
        self._ends.spool()
        self._settle_taken_over()
        if self.connection.exists(WORKERS_SUSPENDED):  # RQ asks with a heartbeat each time.
            self.check_for_suspension(burst)
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()
        self._send_heartbeat()

    def _wait_for_jobs(self, idle_since: float, max_idle_time: int | None) -> bool:
        """Wait for a while, or until there may be a job; False if it was idle for too long."""
        timeout = HOLD_POLL_SECONDS if self._held else HEARTBEAT_INTERVAL_SECONDS
        if max_idle_time is not None and not (self._coroutines and self._coroutines.is_busy):
            left = idle_since + max_idle_time - time.monotonic()
            if left <= 0:
                return False
            timeout = min(timeout, left)
        self._until_redis_answers(self._wait, timeout)
        return True

    def _wait(self, timeout: float) -> None:
        is_busy = self._coroutines is not None and self._coroutines.is_busy
        self.set_state(WorkerStatus.BUSY if is_busy else WorkerStatus.IDLE)
        self._is_waiting = True
        try:
            if not self._stop_requested:
                self._doorbell.wait(timeout, self._held)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            # The child logs which queue can't be used, and serves the others.
            time.sleep(RETRY_SECONDS)
        finally:
            self._is_waiting = False

    def _until_redis_answers(self, step: Callable[..., Any], *args: Any) -> Any:
        """Call `step`, and retry it until Redis answers (R8).

        Raises StopRequested if the worker is told to stop meanwhile.
        """
        while True:
            try:
                answer = step(*args)
            except RedisRefused:
                raise
            except RedisError as error:
                redis_outage.report(explain(error, self.connection, self.queue_names()))
            else:
                redis_outage.worked()
                return answer
            self._wait_for_redis()

    def _wait_for_redis(self) -> None:
        while not self._stop_requested:
            time.sleep(RETRY_SECONDS)
            try:
                self.connection.ping()
                return
            except RedisError:
                continue
        raise StopRequested

    def register_birth(self) -> None:
        """Register this worker only once: later steps of its start may have to be retried."""
        if self.birth_date is None:
            super().register_birth()

    def _send_heartbeat(self) -> None:
        """Send a heartbeat, and read the clock, if that is due."""
        if time.monotonic() >= self._next_heartbeat:
            self._clock.keep()
            self.heartbeat()
            self._next_heartbeat = time.monotonic() + HEARTBEAT_INTERVAL_SECONDS

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Send a heartbeat; register again if Redis has lost this worker."""
        super().heartbeat(timeout, pipeline)
        # From it and what is left of it the admin tells how long this worker has been silent; RQ's
        # 8 minutes stay, since a worker that is only cut off may know a job that others refuse.
        redis = self.connection if pipeline is None else pipeline
        coroutines = self._coroutines
        told: dict[Any, Any] = {
            HEARTBEAT_TTL_FIELD: timeout or self.worker_ttl + 60,
            CONCURRENCY_FIELD: coroutines.concurrency if coroutines else 0,
        }
        redis.hset(self.key, mapping=told)
        if (
            pipeline is None
            and self.birth_date is not None
            and not self.connection.hexists(self.key, "birth")
        ):
            self.connection.hset(self.key, mapping=self.serialize())
            running = coroutines.running if coroutines is not None else None
            if running:  # Its children say so again when they next take or end a run.
                self.connection.hset(self.key, mapping=dict[Any, Any](running))
            worker_registration.register(self)

    def _deregister(self) -> None:
        try:
            self._doorbell.close()
            self._clock.withdraw()
            self._ends.spool()
            self.teardown()
        except RedisError as error:
            logger.warning("Worker %s could not be deregistered: %s", self.name, error)

    # Requests to stop

    def _shutdown(self) -> None:
        """Stop after the current run; at once if there is none."""
        self._stop_requested = True
        if self._child is not None:
            self._child.shared.request_stop()
        if self._coroutines is not None:
            self._coroutines.request_stop()
        if self._is_waiting:
            raise StopRequested

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop at once and kill the current run, which its row will record."""
        child = self._child
        try:
            super().request_force_stop(signum, frame)
        except SystemExit:
            if child is not None:
                self._note_end(child, reason(Code.LOST_WORKER_STOPPED).fields)
                self._return_unstarted(child)
                self._child = None
            if self._coroutines is not None:
                self._coroutines.kill()
            raise

    def handle_exception(self, job: rq.job.Job, *exc_info: Any) -> None:
        """Call RQ's exception handlers; log the traceback unless a run's row has it."""
        if isinstance(job, Job) and job.recorded_error is exc_info[1] is not None:
            call_exception_handlers(self._exc_handlers, job, *exc_info)
        else:
            super().handle_exception(job, *exc_info)

    @property
    def connection_timeout(self) -> int:
        """How many seconds a command waits for its answer: none of them blocks."""
        return max(LEASE_SECONDS // 3, 2)

    @property
    def horse_pid(self) -> int:
        return 0 if self._child is None else self._child.pid

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Carry out a command sent through RQ's interface (in a thread)."""
        payload = parse_payload(message)
        if payload["command"] in ("stop-job", "stop-execution"):
            job_id = payload.get("job_id", "")
            if self._coroutines is None or not self._coroutines.stop_run(job_id):
                self._stop_run(job_id)
        else:
            super().handle_payload(message)

    def _stop_run(self, job_id: str) -> None:
        """Kill the child if it runs this job: it is suspended while that is checked."""
        child = self._child
        if child is None:
            return
        # It may die and be reaped meanwhile; then there is nothing to stop.
        with suppress(ProcessLookupError, ChildProcessError), self._suspended(child):
            run = child.shared.run
            if run is not None and run.job_id == job_id:
                self._stopped_job_id = job_id
                os.killpg(child.pid, signal.SIGKILL)
            else:
                logger.warning("Job %s isn't running here, so it isn't stopped.", job_id)

    @contextmanager
    def _suspended(self, child: ChildProcess) -> Iterator[None]:
        """Suspend a child inside the block; nobody else does so meanwhile.

        Raises ProcessLookupError or ChildProcessError if it is gone.
        """
        with self._suspending:
            os.kill(child.pid, signal.SIGSTOP)
            try:
                # The signal takes effect a moment later.
                os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                yield
            finally:
                os.kill(child.pid, signal.SIGCONT)

    # The child

    def _run_jobs(self, limit: int) -> int:
        """Have the child run jobs; return how many it ran.

        It reports after a second, or when the queues are empty; if it has died, it is reaped.
        """
        child = self._child = self._child or self._fork()
        self._state = WorkerStatus.BUSY
        try:
            child.orders.send(limit)
            monitored = time.monotonic()
            while not child.orders.poll(LOOK_INTERVAL_SECONDS):
                self._relieve(child)
                if time.monotonic() - monitored >= MONITOR_INTERVAL_SECONDS:
                    self._monitor(child)
                    monitored = time.monotonic()
            self._keeper.forget()
            ran, redis_answers, is_due_for_recycling, held = child.orders.recv()
            self._held = set(held)
        except (EOFError, OSError):
            self._reap(child)
            return 1
        finally:
            self._state = WorkerStatus.IDLE
        if is_due_for_recycling:
            self._end_child()
        if not redis_answers:
            self._wait_for_redis()
        return int(ran)

    def _fork(self) -> ChildProcess:
        """Fork the child with all database connections closed, or both processes would use them."""
        django.db.connections.close_all()
        signals()  # Finding them takes a while: the children inherit the list.
        ours, theirs = Pipe()
        shared = SharedState()
        pid = fork(self.connection)
        if pid == 0:
            ours.close()
            start(self, shared, theirs, self.kind)
        theirs.close()
        return ChildProcess(pid, ours, shared, time.monotonic())

    def _monitor(self, child: ChildProcess) -> None:
        """Keep the lease of the current run; kill a child that hangs, or ignores a timeout."""
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise EOFError  # A process that it has started may keep its end of the pipe open.
        run = child.shared.run
        if run is None:
            self._keeper.forget(child.pid)
            if not child.shared.has_begun and time.monotonic() - child.since > HUNG_SECONDS:
                logger.warning("The child hangs since its start: it is replaced.")
                os.kill(child.pid, signal.SIGKILL)
            return
        if self._overtime.is_over(run, time.monotonic()):
            logger.warning("Job %s ignores its timeout and is killed.", run.job_id)
            self._overtime.killed = run.execution_id
            self.kill_horse()
        self._keep_lease(child, run)
        self._overtime.look_away(time.monotonic())

    def _relieve(self, child: ChildProcess) -> None:
        """Take over what waits for a run that takes longer than those before it.

        What the child has taken ahead goes back to its queue, and what it has finished is reported.
        """
        run, seen = child.shared.run, self._seen
        self._seen = run
        if self._settling is not None and not self._settling.done():
            return
        if run is not None and run == seen and child.shared.are_others_waiting:
            self._take_over(child)
        if run is not None and any(self._taken_over):
            self._relief = self._relief or ThreadPoolExecutor(1, "relief")
            self._settling = self._relief.submit(self._try_to_settle, run)

    def _try_to_settle(self, run: Run) -> None:
        """Give back and report what was taken over, in the thread; what is left stays."""
        try:
            self._child_queues.note_running(run.job_id, run.execution_id)
            self._settle()
        except RedisError as error:
            redis_outage.report(error)
        except Exception:
            logger.exception("What waits for job %s can't be given back now.", run.job_id)

    def _take_over(self, child: ChildProcess) -> None:
        """Suspend the child for a moment: it may just be beginning the next job."""
        if self._keeper.is_suspending:
            return
        with self._suspended(child):
            if not child.shared.announced_step:
                ahead, finished = child.shared.take_over()
                self._taken_over[0].extend(ahead)
                self._taken_over[1].extend(finished)

    def _settle_taken_over(self) -> None:
        """Give back and report what was taken over, once the thread has done its part.

        Raises RedisError, and what is left stays.
        """
        if self._settling is not None:
            wait([self._settling])
        self._settle()

    def _settle(self) -> None:
        ahead, finished = self._taken_over
        self._ends.give_back(ahead)
        ahead.clear()
        self._ends.report(finished)
        finished.clear()

    def _keep_lease(self, child: ChildProcess, run: Run) -> None:
        """Keep the lease of a run; end the run if that isn't possible, or if others ended it."""
        can_be_lost = child.shared.is_running and is_recorded(run.job_id)
        why = self._keeper.keep(run, child.pid, is_running=can_be_lost)
        if why is None or child.shared.run != run:
            return
        logger.warning("Job %s is ended: %s", run.job_id, ENDINGS[why])
        self._given_up = run.job_id, why
        if why is Hold.STOPPED:
            self._stopped_job_id = run.job_id
        self.kill_horse()

    def _renew_lease(self, run: Run) -> None:
        execution = self.executions.get(run.execution_id)
        if execution is None:
            execution = self._execution(run)
            self.executions = {execution.id: execution}
            record_executions(self.connection, [execution], STARTED_TTL_SECONDS)
        elif time.monotonic() < self._next_renewal:
            return
        sent = elapsed_clock()
        limits.renew({run.job_id: run.places}, self.name, self.connection)
        self._keeper.renewed(run, sent)
        registry = self._queue(run).started_job_registry
        with self.connection.pipeline() as pipe:
            execution.heartbeat(registry, STARTED_TTL_SECONDS, pipeline=pipe)
            pipe.execute()
        self._next_renewal = time.monotonic() + LEASE_RENEWAL_SECONDS
        self._send_heartbeat()

    def _execution(self, run: Run) -> Execution:
        return Execution(run.execution_id, run.job_id, self.connection, self.name)

    def _queue(self, run: Run) -> Any:
        return next(queue for queue in self.queues if queue.name == run.queue)

    def _end_child(self) -> None:
        """Have the idle child exit, and wait for it."""
        child, self._child = self._child, None
        if child is not None:
            child.orders.close()
            os.waitpid(child.pid, 0)
            self._return_unstarted(child)  # If Redis hadn't answered it.

    def _reap(self, child: ChildProcess) -> None:
        """Record how the child and its run ended; return a job not yet started to its queue."""
        self._child = None
        self._keeper.forget()
        child.orders.close()
        _, status, usage = os.wait4(child.pid, 0)
        run = child.shared.run
        self._note_end(child, self._reason(run, status))
        self._return_unstarted(child)
        if run is not None and child.shared.has_started:
            is_stopped = self._stopped_job_id == run.job_id
            self._ends.report_to_rq(run, child.pid, status, usage, is_stopped=is_stopped)
        self._stopped_job_id = self._given_up = None
        if run is None and os.waitstatus_to_exitcode(status) == REFUSED_STATUS:
            self._until_redis_answers(self._check_ownership)
        if run is None:
            time.sleep(RETRY_SECONDS)  # It died without a run; the next one may too.

    def _reason(self, run: Run | None, status: int) -> Mapping[str, Any]:
        """Return the fields of a row that say why the run of a dead child ended."""
        if run is not None and self._stopped_job_id == run.job_id:
            return reason(Code.STOPPED).fields
        if run is not None and self._given_up == (run.job_id, Hold.UNKNOWN):
            return reason(Code.LOST_CUT_OFF, worker=self.name).fields
        if run is not None and self._overtime.killed == run.execution_id:
            return timed_out(run)
        return died_of(status)

    def _note_end(self, child: ChildProcess, fields: Mapping[str, Any]) -> None:
        """Spool the end that the dead child had kept, and the reason why its current run ended."""
        run, end = child.shared.run, child.shared.end
        if end is not None:
            self._ends.keep(end["job_id"], end["status"], end["values"])
        is_ended = run is not None and end is not None and end["job_id"] == run.job_id
        if run is not None and self._given_up == (run.job_id, Hold.CLOSED):
            is_ended = True  # Its row says how, and is no longer this worker's.
        if run is not None and child.shared.is_running and not is_ended:
            stopped = self._stopped_job_id == run.job_id
            self._ends.close({run: fields}, Status.CANCELED if stopped else Status.FAILED)
        self._ends.settle([] if run is None else [run])

    def _return_unstarted(self, child: ChildProcess) -> None:
        """Return the jobs that a dead child took but did not start; report those that finished."""
        shared = child.shared
        try:
            self._settle_taken_over()
            if shared.announced_step:
                finished = shared.unreported
                batch = self._child_queues.repeat(shared.announced_step, finished)
                self._ends.conclude(finished, batch.left_to_rq)
                unstarted = batch.taken
            else:
                self._ends.report(shared.unreported)
                self._ends.give_back(shared.ahead)
                unstarted = self._begun_but_not_started(shared)
            for taken in reversed(unstarted):
                if taken.job_id != self._stopped_job_id:
                    self._ends.return_to_queue(taken)
        except RedisError as error:
            logger.warning(
                "What the child took or finished could not be put right in Redis: %s", error
            )

    def _begun_but_not_started(self, shared: SharedState) -> list[Taken]:
        begun, run = shared.begun, shared.run
        if begun is None:
            return []
        is_started = (
            run is not None and run.execution_id == begun.execution_id and shared.has_started
        )
        return [] if is_started else [begun]
