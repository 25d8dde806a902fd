"""django-rq's command that runs several workers; its queues and its Redis are checked first."""

# ruff: noqa: N999

from importlib import import_module
from typing import Any

from tasks.management.arguments import check_owner, check_queues_of_worker

RqCommand: Any = import_module("django_rq.management.commands.rqworker-pool").Command


class Command(RqCommand):
    help = "Run several workers on these queues, in order of priority (default: default)."

    def handle(self, *args: Any, **options: Any) -> None:
        check_queues_of_worker(args, options["worker_class"])
        check_owner()
        super().handle(*args, **options)
