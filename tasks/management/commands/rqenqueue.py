"""django-rq's command that enqueues a call; its queue and its function are checked first."""

from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django_rq.management.commands import rqenqueue

from tasks.exceptions import TasksError
from tasks.management.arguments import check_queues
from tasks.management.tables import OnTables


class Command(OnTables, rqenqueue.Command):
    help = "Enqueue a call of a registered function, with texts as its arguments."

    def handle(self, *args: Any, **options: Any) -> None:
        check_queues([options["queue"]])
        if not args:
            raise CommandError(_("Name the function to call, and then its arguments."))
        try:
            super().handle(*args, **options)
        except TasksError as error:
            raise CommandError(str(error)) from error
