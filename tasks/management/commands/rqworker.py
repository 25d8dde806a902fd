"""django-rq's command that runs a worker; its queues are checked first."""

from typing import Any

from django.core.management.base import CommandError
from django_rq.management.commands import rqworker

from tasks.broker.ownership import RedisRefused
from tasks.management.arguments import check_queues_of_worker


class Command(rqworker.Command):
    help = "Run a worker on these queues, in order of priority (default: default)."

    def handle(self, *args: Any, **options: Any) -> None:
        check_queues_of_worker(args, options["worker_class"])
        try:
            super().handle(*args, **options)
        except RedisRefused as error:
            raise CommandError(str(error)) from error
