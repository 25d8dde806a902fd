"""How django-rq's pages and statistics read jobs: as their queues do.

Where they don't say how, RQ reads with pickle and imports callbacks by their paths. A job that
somebody has put into Redis would run code in the web server as soon as a page shows it.
"""

from contextlib import suppress
from typing import Any

import django_rq.cron_views
import django_rq.utils
import django_rq.views
import rq.job
from redis import Redis
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.executions import Execution
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import as_text
from rq.worker import Worker

from tasks.queue import Queue


class PageJob(rq.job.Job):
    """RQ's job, which is read as JSON unless another serializer is named."""

    def __init__(
        self, id: str | None = None, connection: Redis | None = None, serializer: Any = None
    ) -> None:
        super().__init__(id, connection, serializer or JSONSerializer)


class PageRegistry(StartedJobRegistry):
    """The started jobs of a queue; those that it finds abandoned are read as their queue does."""

    def __init__(self, name: str, connection: Redis) -> None:
        super().__init__(queue=Queue(name, connection=connection))
        self.job_class = self.get_queue().job_class

    def get_queue(self) -> Queue:
        return Queue(self.name, connection=self.connection)


class PageExecution(Execution):
    """An execution whose job is read as its queue does."""

    @property
    def job(self) -> rq.job.Job:
        if self._job is None:
            key = rq.job.Job.key_for(self.job_id)
            origin = as_text(self.connection.hget(key, "origin") or "")
            queue = Queue(origin, connection=self.connection)
            self._job = queue.job_class.fetch(
                self.job_id, connection=self.connection, serializer=queue.serializer
            )
        return self._job


class PageWorker(Worker):
    """A worker whose jobs are read as their queues do, and may have ended meanwhile."""

    def get_current_job(self) -> rq.job.Job | None:
        """Return one of the jobs that it runs; None if there is none that can be read."""
        for execution in self.get_current_executions():
            with suppress(NoSuchJobError, DeserializationError):
                job = PageExecution(execution.id, execution.job_id, self.connection).job
                if job.func_name:  # It is read when it is asked for.
                    return job
        return None


def install() -> None:
    """Have django-rq's pages, commands and statistics use these classes."""
    for module, name, of_pages in (
        (django_rq.views, "Job", PageJob),
        (django_rq.cron_views, "Job", PageJob),
        (django_rq.views, "Worker", PageWorker),
        (django_rq.views, "StartedJobRegistry", PageRegistry),
        (django_rq.utils, "StartedJobRegistry", PageRegistry),
        (django_rq.utils, "Execution", PageExecution),
    ):
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name}: this django-rq is another one.")
        setattr(module, name, of_pages)
