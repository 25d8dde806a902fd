"""django-rq's command that runs a worker; its queues are checked first."""

from typing import Any

from django_rq.management.commands import rqworker

from tasks.management.arguments import check_queues_of_worker


class Command(rqworker.Command):
    help = "Run a worker on these queues, in order of priority (default: default)."

    def handle(self, *args: Any, **options: Any) -> None:
        check_queues_of_worker(args, options["worker_class"])
        super().handle(*args, **options)
