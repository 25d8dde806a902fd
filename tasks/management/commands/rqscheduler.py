"""django-rq's command that runs a scheduler; its queue is checked first."""

from typing import Any

from django_rq.management.commands import rqscheduler

from tasks.management.arguments import check_queue_of_scheduler


class Command(rqscheduler.Command):
    help = "Run a scheduler, which puts what is due on its queue. Several may run: one leads."

    def handle(self, *args: Any, **options: Any) -> None:
        check_queue_of_scheduler(options["queue"])
        super().handle(*args, **options)
