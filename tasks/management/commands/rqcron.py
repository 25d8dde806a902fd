"""django-rq's command that enqueues jobs at times from a file: as JSON, and only registered ones.

They have no rows and no ledger: schedules have.
"""

import logging
from typing import Any

import django_rq
from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django_rq.cron import DjangoCronScheduler
from django_rq.management.commands import rqcron
from rq import cron_job_registry
from rq.cron import CronJob
from rq.defaults import DEFAULT_CRON_JOB_HISTORY_LIMIT, DEFAULT_CRON_JOB_HISTORY_TTL

from tasks import clock
from tasks.exceptions import TasksError
from tasks.job import Job, refuse_unregistered
from tasks.management.arguments import check_owner, check_queues
from tasks.management.tables import OnTables


class CronScheduler(DjangoCronScheduler):
    """RQ's cron scheduler, whose jobs go to the queues of the settings, as these define them.

    RQ's own makes its queues without them: pickle, and anything that can be imported.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Why jobs of the file can't be registered: RQ would log these and go on without them.
        self.refusals: list[str] = []

    def register(  # type: ignore[override]
        self, func: Any, queue_name: str, *args: Any, **kwargs: Any
    ) -> CronJob | None:
        """Register a function as RQ does; note why if it is refused."""
        try:
            check_queues([queue_name])
            if issubclass(django_rq.get_queue(queue_name).job_class, Job):
                refuse_unregistered(func)
            return super().register(func, queue_name, *args, **kwargs)
        except (CommandError, TasksError, ValueError, TypeError) as error:
            self.refusals.append(str(error))
            return None

    def enqueue_jobs(self) -> list[CronJob]:
        """Enqueue the jobs that are due, and keep RQ's history of them."""
        time, due = clock.now(), [job for job in self.get_jobs() if job.should_run()]
        for job in due:
            self._enqueue(job)
            job.set_enqueue_time(time)
        return due

    def _enqueue(self, cron_job: CronJob) -> None:
        name = cron_job.queue_name
        queue = django_rq.get_queue(name, commit_mode="auto", connection=self.connection)
        call: Any = cron_job.func
        job = queue.enqueue(
            call, args=cron_job.args, kwargs=cron_job.kwargs, **cron_job.job_options
        )
        assert job.enqueued_at is not None
        enqueued = job.enqueued_at.timestamp()
        key = cron_job.job_history_key
        with self.connection.pipeline() as pipe:
            pipe.zadd(key, {job.id: enqueued})
            pipe.zremrangebyrank(key, 0, -(DEFAULT_CRON_JOB_HISTORY_LIMIT + 1))
            pipe.expire(key, DEFAULT_CRON_JOB_HISTORY_TTL)
            cron_job_registry.add(cron_job.name, pipe, enqueue_timestamp=enqueued)
            pipe.execute()
        self.log.info("Enqueued job %s of “%s” to queue %s", job.id, cron_job.name, queue.name)


class Command(OnTables, rqcron.Command):
    help = "Enqueue jobs at the times that a file defines, by RQ's cron scheduler (without rows)."

    def handle(self, *args: Any, **options: Any) -> None:
        check_owner()
        scheduler = CronScheduler(logging_level=getattr(logging, options["logging_level"]))
        path = options["config_path"]
        try:
            scheduler.load_config_from_file(path)
        except Exception as error:  # whatever the file raises
            raise CommandError(str(error)) from error
        if scheduler.refusals:
            raise CommandError(" ".join(scheduler.refusals))
        if not scheduler.get_jobs():
            raise CommandError(
                _("“%(path)s” registers no jobs: call rq.cron.register in it.") % {"path": path}
            )
        self.stdout.write(
            _("The cron scheduler starts with %(number)d jobs.")
            % {"number": len(scheduler.get_jobs())}
        )
        scheduler.start()
