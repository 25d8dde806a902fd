"""django-rq's command that runs a scheduler; its queue is checked first."""

from typing import Any

from django.core.management.base import CommandError
from django_rq.management.commands import rqscheduler

from tasks.broker.ownership import RedisRefused
from tasks.management.arguments import check_queue_of_scheduler
from tasks.management.tables import OnTables


class Command(OnTables, rqscheduler.Command):
    help = "Run a scheduler, which puts what is due on its queue. Several may run: one leads."

    def handle(self, *args: Any, **options: Any) -> None:
        check_queue_of_scheduler(options["queue"])
        try:
            super().handle(*args, **options)
        except RedisRefused as error:
            raise CommandError(str(error)) from error
