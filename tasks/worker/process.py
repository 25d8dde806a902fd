"""The worker that django-rq is told to use: keeps a child that runs its jobs, and vouches for it.

The worker itself touches no database and runs no task function. It tells its child when there
is work, renews the lease of the run that is going on, stops it on request, and when the child
dies it puts on the spool how its run ended.
"""

import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import django.db
import rq
from django.utils import timezone
from redis.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from rq import worker_registration
from rq.command import parse_payload
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job_lifecycle import call_exception_handlers
from rq.serializers import JSONSerializer
from rq.worker import DequeueStrategy, WorkerStatus

from tasks.broker.keys import explain, is_wrong_type, lease_key, started_key
from tasks.broker.leases import LEASE_RENEWAL_SECONDS, LEASE_SECONDS, renew_lease
from tasks.job import Job
from tasks.runs import spool
from tasks.runs.timeout import Deadline
from tasks.worker.child import STARTED_TTL, start
from tasks.worker.doorbell import Doorbell
from tasks.worker.queues import Queues, Taken, record_execution
from tasks.worker.shared_state import Board, Run

logger = logging.getLogger(__name__)

# How often the worker looks after a run that is going on, in seconds.
LOOK = 1.0
# A run that goes on for this long after its timeout is killed, in seconds.
GRACE = 5.0
# How often the worker says that it is alive, in seconds.
HEARTBEAT = 10.0


@dataclass(frozen=True, slots=True)
class Child:
    """The process that runs the jobs: its id, the line to it, and its board."""

    pid: int
    orders: Connection
    board: Board


class Worker(rq.Worker):
    """RQ's worker with a child that stays, and with leases on its runs.

    Payloads are JSON and functions come from the registry, whatever the command line says.
    """

    death_penalty_class = Deadline
    job_class = Job
    log_result_lifespan = False

    def __init__(self, queues: Any, name: str | None = None, **kwargs: Any) -> None:
        name = name or f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(2)}"
        kwargs["serializer"] = JSONSerializer
        kwargs["job_class"] = Job
        super().__init__(queues, name, **kwargs)
        self._child: Child | None = None
        self._doorbell = Doorbell(self.connection, self.queue_keys())
        self._taking = Queues(self.connection, self.key, self.name, STARTED_TTL)
        self._waits = False
        self._next_heartbeat = 0.0

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

        `burst` ends when the queues are empty; `max_jobs` after so many jobs; `max_idle_time`
        after so many seconds without one.
        """
        self._when_redis_is_there(self.bootstrap, logging_level, date_format, log_format)
        logger.info("Worker %s started on %s.", self.name, ", ".join(self.queue_names()))
        self._dequeue_strategy = dequeue_strategy
        if with_scheduler:
            self._start_scheduler(burst, logging_level, date_format, log_format)
        self._install_signal_handlers()
        try:
            return self._work(burst, max_jobs or 0, max_idle_time) > 0
        finally:
            self._end_child()
            self._doorbell.close()
            self._deregister()

    def _work(self, burst: bool, max_jobs: int, max_idle_time: int | None) -> int:
        ran, idle_since = 0, time.monotonic()
        try:
            while not self._stop_requested:
                self._when_redis_is_there(self._look_around, burst)
                now_ran = self._run_jobs(max_jobs and max_jobs - ran)
                ran += now_ran
                if max_jobs and ran >= max_jobs:
                    break
                if now_ran:
                    idle_since = time.monotonic()
                elif burst or not self._wait_for_jobs(idle_since, max_idle_time):
                    break
        except StopRequested:
            pass
        return ran

    def _look_around(self, burst: bool) -> None:
        """Do what has to be done now and then, between jobs."""
        self.check_for_suspension(burst)
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()
        self._beat()

    def _wait_for_jobs(self, idle_since: float, max_idle_time: int | None) -> bool:
        """Wait until there may be a job, or for a while; False when it was idle for too long."""
        timeout = HEARTBEAT
        if max_idle_time is not None:
            left = idle_since + max_idle_time - time.monotonic()
            if left <= 0:
                return False
            timeout = min(timeout, left)
        self._when_redis_is_there(self._wait, timeout)
        return True

    def _wait(self, timeout: float) -> None:
        self.set_state(WorkerStatus.IDLE)
        self._waits = True
        try:
            if not self._stop_requested:
                self._doorbell.wait(timeout)
        except ResponseError as error:
            if not is_wrong_type(error):
                raise
            time.sleep(LOOK)  # The child says which queue can't be used, and serves the others.
        finally:
            self._waits = False

    def _when_redis_is_there(self, step: Callable[..., Any], *args: Any) -> Any:
        """Take a step, again and again until Redis answers (R8).

        A request to stop ends the waiting by StopRequested.
        """
        while True:
            try:
                return step(*args)
            except RedisError as error:
                text = explain(error, self.connection, self.queue_names())
                logger.warning("Worker %s waits for Redis: %s", self.name, text)
            self._wait_for_redis()

    def _wait_for_redis(self) -> None:
        while not self._stop_requested:
            time.sleep(1)
            try:
                self.connection.ping()
                return
            except RedisError:
                continue
        raise StopRequested

    def register_birth(self) -> None:
        """Register this worker, once: the rest of a start may have to be tried again."""
        if self.birth_date is None:
            super().register_birth()

    def _beat(self) -> None:
        if time.monotonic() >= self._next_heartbeat:
            self.heartbeat()
            self._next_heartbeat = time.monotonic() + HEARTBEAT

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Say that this worker is alive, in full if Redis has forgotten it."""
        super().heartbeat(timeout, pipeline)
        if (
            pipeline is None
            and self.birth_date is not None
            and not self.connection.hexists(self.key, "birth")
        ):
            self.connection.hset(self.key, mapping=self.serialize())
            worker_registration.register(self)

    def _deregister(self) -> None:
        try:
            self.teardown()
        except RedisError as error:
            logger.warning("Worker %s could not say that it stops: %s", self.name, error)

    # Requests to stop

    def _shutdown(self) -> None:
        """Stop after the run that is going on; at once if there is none."""
        self._stop_requested = True
        if self._child is not None:
            self._child.board.ask_to_stop()
        if self._waits:
            raise StopRequested

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop at once, taking the run down; its row says so."""
        child = self._child
        try:
            super().request_force_stop(signum, frame)
        except SystemExit:
            if child is not None:
                self._note_end(child, "Lost: its worker was stopped.")
                self._put_back(child)
                self._child = None
            raise

    def handle_exception(self, job: rq.job.Job, *exc_info: Any) -> None:
        """Call RQ's exception handlers; log a traceback unless a run's row has it."""
        if isinstance(job, Job) and job.recorded_error is exc_info[1] is not None:
            call_exception_handlers(self._exc_handlers, job, *exc_info)
        else:
            super().handle_exception(job, *exc_info)

    @property
    def connection_timeout(self) -> int:
        """For how long a command waits for its answer, in seconds: none of them blocks."""
        return LEASE_SECONDS

    @property
    def horse_pid(self) -> int:
        return 0 if self._child is None else self._child.pid

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Obey a command sent by RQ's interface (in a thread)."""
        payload = parse_payload(message)
        if payload["command"] in ("stop-job", "stop-execution"):
            self._stop_run(payload.get("job_id", ""))
        else:
            super().handle_payload(message)

    def _stop_run(self, job_id: str) -> None:
        """Kill the child if it runs this job: it is held while that is looked at."""
        child = self._child
        if child is None:
            return
        # Meanwhile it may die and be buried; then there is nothing to stop.
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGSTOP)
            run = child.board.run
            if run is not None and run.job_id == job_id:
                self._stopped_job_id = job_id
                os.killpg(child.pid, signal.SIGKILL)
            else:
                logger.warning("Job %s isn't running here, so it isn't stopped.", job_id)
                os.kill(child.pid, signal.SIGCONT)

    # The child

    def _run_jobs(self, limit: int) -> int:
        """Have the child run jobs; return how many it ran.

        It hands back after a second, when the queues are empty, or when it has died.
        """
        child = self._child = self._child or self._fork()
        self._state = WorkerStatus.BUSY
        try:
            child.orders.send(limit)
            while not child.orders.poll(LOOK):
                self._monitor(child)
            ran, redis_is_there, is_due_for_recycling = child.orders.recv()
        except (EOFError, OSError):
            self._reap(child)
            return 1
        finally:
            self._state = WorkerStatus.IDLE
        if is_due_for_recycling:
            self._end_child()
        if not redis_is_there:
            self._wait_for_redis()
        return int(ran)

    def _fork(self) -> Child:
        """Fork the child, without any open database connection, which the two would share."""
        django.db.connections.close_all()
        ours, theirs = Pipe()
        board = Board()
        pid = os.fork()
        if pid == 0:
            ours.close()
            start(self, board, theirs)
        theirs.close()
        return Child(pid, ours, board)

    def _monitor(self, child: Child) -> None:
        """Vouch for the run that is going on; kill it if it ignores its timeout."""
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            raise EOFError  # What it has started may keep its end of the line open.
        run = child.board.run
        if run is None:
            return
        if run.timeout >= 0 and time.time() > run.since + run.timeout + GRACE:
            logger.warning("Job %s ignores its timeout and is killed.", run.job_id)
            self.kill_horse()
        try:
            self._renew_lease(run)
        except RedisError as error:
            logger.warning("The lease of job %s could not be renewed: %s", run.job_id, error)

    def _renew_lease(self, run: Run) -> None:
        execution = self.executions.get(run.execution_id)
        if execution is None:
            execution = self._execution(run)
            self.executions = {execution.id: execution}
            record_execution(self.connection, execution, STARTED_TTL)
        elif timezone.now().timestamp() < (
            execution.last_heartbeat.timestamp() + LEASE_RENEWAL_SECONDS
        ):
            return
        renew_lease(self.connection, run.job_id, self.name)
        registry = self._queue(run).started_job_registry
        with self.connection.pipeline() as pipe:
            execution.heartbeat(registry, STARTED_TTL, pipeline=pipe)
            pipe.execute()
        self._beat()

    def _execution(self, run: Run) -> Execution:
        return Execution(run.execution_id, run.job_id, self.connection, self.name)

    def _queue(self, run: Run) -> Any:
        return next(queue for queue in self.queues if queue.name == run.queue)

    def _end_child(self) -> None:
        """Let the child go, which has nothing to do, and wait until it is gone."""
        child, self._child = self._child, None
        if child is not None:
            child.orders.close()
            os.waitpid(child.pid, 0)
            self._put_back(child)  # What it was given, if it never got the answer.

    def _reap(self, child: Child) -> None:
        """Note how the child died, and with it its run; what it had not started is put back."""
        self._child = None
        child.orders.close()
        _, status, usage = os.wait4(child.pid, 0)
        run = child.board.run
        self._note_end(child, self._reason(run, status))
        self._put_back(child)
        if run is not None and child.board.is_running:
            try:
                self._tell_rq(run, child.pid, status, usage)
            except RedisError as error:
                logger.warning("RQ could not be told of the end of job %s: %s", run.job_id, error)
        self._stopped_job_id = None
        if run is None:
            time.sleep(1)  # It died of itself, and the next one may as well.

    def _reason(self, run: Run | None, status: int) -> str:
        if run is not None and self._stopped_job_id == run.job_id:
            return "Stopped on request."
        if run is not None and 0 <= run.timeout < time.time() - run.since - GRACE:
            return (
                "Failed for: JobTimeoutException: Task exceeded maximum timeout value "
                f"({run.timeout} seconds)"
            )
        return f"Lost: its process {_how_it_ended(status)}."

    def _note_end(self, child: Child, reason: str) -> None:
        """Put on the spool what the dead child's board says, and that its run has ended so."""
        run, end = child.board.run, child.board.end
        try:
            if end is not None:
                values = end["values"]
                spool.push(self.connection, end["job_id"], end["status"], **values)
            if run is None:
                return
            is_ended = end is not None and end["job_id"] == run.job_id
            if child.board.is_running and not is_ended:
                stopped = self._stopped_job_id == run.job_id
                status = "canceled" if stopped else "failed"
                spool.push(self.connection, run.job_id, status, reason=reason, ended=timezone.now())
            self.connection.delete(lease_key(run.job_id))
        except RedisError as error:
            logger.warning("The end of a run could not be noted: %s", error)

    def _put_back(self, child: Child) -> None:
        """Put the job that the dead child took, and did not start, back on its queue.

        Its function has not been called. If its row says `running` already, or another job has
        claimed it meanwhile, it is refused when it is taken again (R2).
        """
        try:
            taken = self._unstarted(child.board)
            if taken is None or taken.job_id == self._stopped_job_id:
                return
            self.executions.pop(taken.execution_id, None)
            if self._taking.put_back(taken):
                logger.warning("Job %s was not started and is on its queue again.", taken.job_id)
        except RedisError as error:
            logger.warning("What the child had taken could not be put back: %s", error)

    def _unstarted(self, board: Board) -> Taken | None:
        run = board.run
        if board.asked:
            return self._taking.taken_by(board.asked)
        if run is None or board.is_running:
            return None
        return Taken(run.job_id, run.queue, run.execution_id, {})

    def _tell_rq(self, run: Run, pid: int, status: int, usage: Any) -> None:
        """End the dead run's job in RQ's registries, with RQ's handlers, if they don't know yet."""
        if (
            self.connection.zscore(started_key(run.queue), f"{run.job_id}:{run.execution_id}")
            is None
        ):
            return
        fields: Any = self.connection.hgetall(Job.key_for(run.job_id))
        job = Job.from_fields(run.job_id, fields, self.connection)
        if job.unreadable is not None:
            return
        job.ended_at = timezone.now()
        queue, execution = self._queue(run), self._execution(run)
        self.executions.pop(run.execution_id, None)
        if self._stopped_job_id == run.job_id:
            self._handle_stopped_job(job, queue, execution)
            return
        self.handle_work_horse_killed(job, pid, status, usage)
        text = f"Work-horse terminated unexpectedly: it {_how_it_ended(status)}."
        self.handle_job_failure(job, queue=queue, exc_string=text, execution=execution)


def _how_it_ended(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was killed by signal {os.WTERMSIG(status)}"
    return f"exited with status {os.waitstatus_to_exitcode(status)}"
