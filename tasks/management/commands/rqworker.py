"""django-rq's command that runs a worker; its queues are checked first."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django_rq.management.commands import rqworker

from tasks.broker.ownership import RedisRefused
from tasks.management.arguments import check_queues_of_worker
from tasks.worker import Worker
from tasks.worker.concurrency import MOST_CONCURRENCY


class Command(rqworker.Command):
    help = "Run a worker on these queues, in order of priority (default: default)."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--concurrency",
            type=int,
            choices=range(MOST_CONCURRENCY + 1),
            metavar="N",
            help="Run up to N coroutine functions side by side, beside one plain function "
            "(default: TASKS_CONCURRENCY; 0: one at a time).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        check_queues_of_worker(args, options["worker_class"])
        Worker.concurrency = options["concurrency"]
        try:
            super().handle(*args, **options)
        except RedisRefused as error:
            raise CommandError(str(error)) from error
