"""django-rq's command that runs several workers; its queues and its Redis are checked first."""

# ruff: noqa: N999

from importlib import import_module
from typing import Any

from django.core.management.base import CommandParser

from tasks.management.arguments import add_concurrency, check_owner, check_queues_of_worker
from tasks.management.tables import OnTables
from tasks.worker import Worker

RqCommand: Any = import_module("django_rq.management.commands.rqworker-pool").Command


class Command(OnTables, RqCommand):
    help = "Run several workers on these queues, in order of priority (default: default)."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_concurrency(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        check_queues_of_worker(args, options["worker_class"])
        check_owner()
        Worker.concurrency = options["concurrency"]  # Its workers are forks of this process.
        super().handle(*args, **options)
