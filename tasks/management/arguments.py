"""Reads the arguments of commands: a schedule, a time, names of queues."""

import logging
from argparse import ArgumentTypeError
from collections.abc import Iterable
from datetime import datetime, time

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import Error
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django_rq.workers import get_worker_class
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker.connection import connect
from tasks.broker.ownership import RedisRefused, ownership
from tasks.models import ScheduledTask
from tasks.queue import why_unusable
from tasks.scheduler import Scheduler
from tasks.worker import Worker
from tasks.worker.concurrency import MOST_CONCURRENCY

logger = logging.getLogger(__name__)

# A database's largest id.
MAX_ID = 2**63 - 1


def add_concurrency(parser: CommandParser) -> None:
    """Add the option that says how many coroutine functions a worker runs side by side."""
    parser.add_argument(
        "--concurrency",
        type=_concurrency,
        metavar="N",
        help="Each worker runs up to N coroutine functions side by side, beside one plain function "
        "(default: TASKS_CONCURRENCY; 0: one at a time).",
    )


def _concurrency(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MOST_CONCURRENCY:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MOST_CONCURRENCY:,}")
    return int(text)


def find_schedule(text: str) -> ScheduledTask:
    """Return the schedule with this id, or else with this name. Raises CommandError."""
    if text.isascii() and text.isdigit() and int(text) <= MAX_ID:
        found = ScheduledTask.objects.filter(pk=int(text)).first()
        if found is not None:
            return found
    named = list(ScheduledTask.objects.filter(name=text.replace("\0", "")).order_by("pk")[:10])
    if not named:
        raise CommandError(
            _("There is no schedule with the id or name “%(text)s”.") % {"text": text}
        )
    if len(named) > 1:
        ids = ", ".join(str(schedule.pk) for schedule in named)
        raise CommandError(
            _("Several schedules have the name “%(text)s”: give one of the ids %(ids)s.")
            % {"text": text, "ids": ids}
        )
    return named[0]


def parse_time(text: str, *, is_end: bool = False) -> datetime:
    """Return an aware datetime; without a time zone it is in the site's. Raises CommandError.

    A date means the beginning of that day; as the end of a range it means the end of the day, and
    today means now.
    """
    try:
        day = parse_date(text)
        if day is not None and is_end:
            is_today = day == timezone.localdate(clock.now())
            end = timezone.make_aware(datetime.combine(day, time.max))
            return clock.now() if is_today else end
        found = datetime.combine(day, time()) if day is not None else parse_datetime(text)
        if found is not None:
            return timezone.make_aware(found) if timezone.is_naive(found) else found
    except (ValueError, OverflowError):
        pass
    raise CommandError(
        _("“%(text)s” is not a valid time: write 2026-01-31, or 2026-01-31T06:30:00+01:00.")
        % {"text": text}
    )


def check_queues(names: Iterable[str]) -> None:
    """Raise CommandError for a queue that isn't in the settings."""
    for name in names:
        if name not in settings.RQ_QUEUES:
            raise CommandError(
                _("There is no queue “%(queue)s”. The queues are: %(known)s.")
                % {"queue": name, "known": ", ".join(settings.RQ_QUEUES)}
            )


def check_queue_of_scheduler(name: str) -> None:
    """Raise CommandError for a queue on which a scheduler of the class in the settings can't be."""
    check_queues([name])
    configured = settings.RQ.get("SCHEDULER_CLASS")
    found = import_string(configured) if isinstance(configured, str) else configured
    if found is not None and issubclass(found, Scheduler) and (why := why_unusable(name)):
        raise CommandError(why)


def check_queues_of_worker(names: Iterable[str], worker_class: str | None) -> None:
    """Raise CommandError for a queue that a worker of this class can't serve.

    `worker_class` is the path of a class, None for the one in the settings.
    """
    names = list(names)
    check_queues(names)
    if not issubclass(get_worker_class(worker_class), Worker):
        return
    for name in names:
        if why := why_unusable(name):
            command = f"manage.py rqworker --worker-class rq.Worker --job-class rq.job.Job {name}"
            raise CommandError(
                _("%(why)s RQ's own worker can serve it: %(command)s.")
                % {"why": why, "command": command}
            )


def check_owner() -> None:
    """Raise CommandError if the keys in Redis are another database's (R16).

    While Redis or the database is unavailable that isn't known: workers check it again.
    """
    try:
        ownership(connect()).check()
    except RedisRefused as error:
        raise CommandError(str(error)) from error
    except (RedisError, Error) as error:
        logger.warning("Whose the keys in Redis are isn't known yet: %s", error)
