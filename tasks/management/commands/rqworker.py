"""django-rq's command that runs a worker; its queues are checked first."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django_rq.management.commands import rqworker

from tasks.broker.ownership import RedisRefused
from tasks.management.arguments import add_concurrency, check_queues_of_worker
from tasks.management.tables import OnTables
from tasks.worker import Worker


class Command(OnTables, rqworker.Command):
    help = "Run a worker on these queues, in order of priority (default: default)."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_concurrency(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        check_queues_of_worker(args, options["worker_class"])
        Worker.concurrency = options["concurrency"]
        try:
            super().handle(*args, **options)
        except RedisRefused as error:
            raise CommandError(str(error)) from error
