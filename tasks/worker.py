"""The worker that django-rq is told to use: vouches for its runs, and says how they died."""

import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import django.db
import rq
from django.utils import timezone
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job as RqJob
from rq.job import JobStatus
from rq.queue import Queue
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from tasks import recording, rescue, spool
from tasks.deadline import Deadline
from tasks.job import Job, is_template

logger = logging.getLogger(__name__)


class Worker(rq.Worker):
    """RQ's worker with leases: as long as it lives, its run is vouched for.

    Payloads are JSON and functions come from the registry, whatever the command line says. The
    process that forks never touches the database. What its work-horse can't write any more, it
    puts on the spool.
    """

    death_penalty_class = Deadline
    job_class = Job
    log_result_lifespan = False

    def __init__(self, queues: Any, name: str | None = None, **kwargs: Any) -> None:
        name = name or f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(2)}"
        kwargs["serializer"] = JSONSerializer
        kwargs["job_class"] = Job
        kwargs["job_monitoring_interval"] = rescue.LEASE_RENEWAL
        super().__init__(queues, name, **kwargs)

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        super().bootstrap(*args, **kwargs)
        logger.info("Worker %s started on %s.", self.name, ", ".join(self.queue_names()))

    def execute_job(self, job: RqJob, queue: Queue) -> None:
        """Run a job in a work-horse; an outage of Redis meanwhile doesn't end the worker."""
        if is_template(job.id):
            self._put_template_back(job, queue)
            return
        try:
            super().execute_job(job, queue)
        except RedisError as error:
            logger.warning("Redis was away while job %s ran: %s", job.id, error)
            self.executions.clear()
            self._wait_for_redis()

    # RQ's loop ends at the first command that fails. These go on instead, when Redis is back (R8).

    def check_for_suspension(self, burst: bool) -> None:
        self._when_redis_is_there(super().check_for_suspension, burst)

    def run_maintenance_tasks(self) -> None:
        self._when_redis_is_there(super().run_maintenance_tasks)

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[RqJob, Queue] | None:
        dequeue = super().dequeue_job_and_maintain_ttl
        found: tuple[RqJob, Queue] | None = self._when_redis_is_there(
            dequeue, timeout, max_idle_time
        )
        return found

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        try:
            super().heartbeat(timeout, pipeline)
        except RedisError as error:
            logger.warning("Worker %s could not report that it is alive: %s", self.name, error)

    def set_shutdown_requested_date(self) -> None:
        try:
            super().set_shutdown_requested_date()
        except RedisError as error:
            logger.warning("Worker %s could not note that it stops: %s", self.name, error)

    def _when_redis_is_there(self, step: Callable[..., Any], *args: Any) -> Any:
        while True:
            try:
                return step(*args)
            except RedisError as error:
                logger.warning("Worker %s waits for Redis: %s", self.name, error)
                self._wait_for_redis()

    def _put_template_back(self, job: RqJob, queue: Queue) -> None:
        """Leave a template, which somebody has put on a queue, as it was."""
        logger.warning("Job %s is a schedule's template and isn't run: use “run now”.", job.id)
        job.set_status(JobStatus.SCHEDULED)
        queue.intermediate_queue.remove(job.id)

    def _wait_for_redis(self) -> None:
        """Wait until Redis answers; a request to stop ends the waiting by StopRequested."""
        self._state = WorkerStatus.IDLE
        while not self._stop_requested:
            try:
                self.connection.ping()
                return
            except RedisError:
                time.sleep(1)
        raise StopRequested

    def prepare_execution(self, job: RqJob) -> Execution:
        rescue.renew_lease(self.connection, job.id, self.name)
        return super().prepare_execution(job)

    def maintain_heartbeats(self, job: RqJob, execution: Execution) -> None:
        """Renew the lease of the run that is going on, from outside of its process."""
        try:
            rescue.renew_lease(self.connection, job.id, self.name)
            super().maintain_heartbeats(job, execution)
        except RedisError as error:
            logger.warning("The lease of job %s could not be renewed: %s", job.id, error)

    def monitor_work_horse(self, job: RqJob, queue: Queue, execution: Execution) -> None:
        super().monitor_work_horse(job, queue, execution)
        self.connection.delete(rescue.lease_key(job.id))

    def fork_work_horse(self, job: RqJob, queue: Queue) -> None:
        """Fork without any open database connection, which the two would share."""
        django.db.connections.close_all()
        super().fork_work_horse(job, queue)

    def main_work_horse(self, job: RqJob, queue: Queue) -> None:
        threading.Thread(target=_die_with_parent, args=(os.getppid(),), daemon=True).start()
        super().main_work_horse(job, queue)

    def perform_job(self, job: RqJob, queue: Queue, execution: Execution) -> bool:
        """Run a job in the work-horse; one that can't even be called has a record too."""
        try:
            job.func  # noqa: B018  (decodes the payload and asks the registry)
        except Exception as error:
            recording.record_uncallable(cast(Job, job), error)
        return super().perform_job(job, queue, execution)

    def handle_work_horse_killed(
        self, job: RqJob, retpid: Any, ret_val: int | None, rusage: Any
    ) -> None:
        """Put on the spool that the run ended with its process."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)
        self._spool(job.id, "failed", f"Lost: its process {_how_it_ended(ret_val)}.")

    def _handle_stopped_job(self, job: RqJob, queue: Queue, execution: Execution) -> None:
        self._spool(job.id, "canceled", "Stopped on request.")
        super()._handle_stopped_job(job, queue, execution)

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop at once, taking the work-horse down; its run is closed as such."""
        job_ids = [execution.job_id for execution in self.executions.values()]
        try:
            super().request_force_stop(signum, frame)
        except SystemExit:
            for job_id in job_ids:
                self._spool(job_id, "failed", "Lost: its worker was stopped.")
            raise

    def _spool(self, job_id: str, status: str, reason: str) -> None:
        try:
            spool.push(self.connection, job_id, status, reason=reason, ended=timezone.now())
            self.connection.delete(rescue.lease_key(job_id))
        except RedisError as error:
            logger.warning("The end of job %s could not be noted: %s", job_id, error)


def _how_it_ended(ret_val: int | None) -> str:
    if ret_val is None:
        return "vanished"
    if os.WIFSIGNALED(ret_val):
        return f"was killed by signal {os.WTERMSIG(ret_val)}"
    return f"exited with status {os.waitstatus_to_exitcode(ret_val)}"


def _die_with_parent(parent: int) -> None:
    """End this work-horse when its worker is gone: nobody vouches for its run any more."""
    while os.getppid() == parent:
        time.sleep(1)
    logger.error("The worker is gone; its work-horse goes too.")
    sys.stderr.flush()
    os._exit(1)
