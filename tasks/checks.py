"""System checks: of the settings, the task functions and the stored schedules."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from tasks import registry
from tasks.broker.leases import DEFAULT_LOST_AFTER, LEAST_LOST_AFTER, MOST_LOST_AFTER, is_lost_after
from tasks.database import alias
from tasks.ledger.retention import MAX_CALLS, keep_calls
from tasks.models import MAX_KEEP_DAYS, ScheduledTask
from tasks.packages import CRONTAB_HIDDEN, CRONTAB_HINT, is_crontab_hidden
from tasks.queue import is_beside_default, is_json, why_unusable
from tasks.registry import DEFAULT_QUEUE
from tasks.storable import LEAST_MAX_RESULT, MAX_RESULT
from tasks.worker.child import MAX_MEMORY_MB, MAX_RUNS
from tasks.worker.concurrency import MOST_CONCURRENCY, is_concurrency
from tasks.worker.refusals import (
    DEFAULT_UNKNOWN_AFTER,
    LEAST_UNKNOWN_AFTER,
    MOST_UNKNOWN_AFTER,
    is_unknown_after,
)

VENDORS = ("postgresql", "sqlite")
JSON_SERIALIZER = "rq.serializers.JSONSerializer"
CLASSES = {
    "JOB_CLASS": "tasks.job.Job",
    "QUEUE_CLASS": "tasks.queue.Queue",
    "SCHEDULER_CLASS": "tasks.scheduler.Scheduler",
    "WORKER_CLASS": "tasks.worker.Worker",
}
# How many schedules a check names.
NAMED = 10
NEITHER = gettext_lazy("%(setting)s is %(value)r, neither True nor False.")
NOT_SECONDS = gettext_lazy(
    "%(setting)s is %(value)r, not a whole number of seconds from %(least)s to %(most)s."
)
LEAVE_OUT = gettext_lazy("Leave it out for %(default)s.")


@checks.register("tasks")
def check_queues(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require a default queue; one Redis, JSON and our class for all queues that this app uses.

    It uses the default queue and those that registered functions name. Others may be anything.
    """
    queues: dict[str, dict[str, Any]] = getattr(settings, "RQ_QUEUES", {})
    found: list[checks.CheckMessage] = []
    if "default" not in queues:
        found.append(
            checks.Error(
                _("RQ_QUEUES has no queue named “default”."),
                hint=_("Add it: schedules are kept on its Redis."),
                id="tasks.E001",
            )
        )
    used = {DEFAULT_QUEUE, *registry.used_queues()} & queues.keys()
    for name in sorted(used):
        if not is_json(queues[name]):
            found.append(
                checks.Error(
                    _("The payloads of queue “%(queue)s” are not JSON.") % {"queue": name},
                    hint=_('Set RQ_QUEUES["%(queue)s"]["SERIALIZER"] = "%(path)s".')
                    % {"queue": name, "path": JSON_SERIALIZER},
                    id="tasks.E002",
                )
            )
        if not is_beside_default(queues[name]):
            found.append(
                checks.Error(
                    _("Queue “%(queue)s” is on another Redis server or database than “default”.")
                    % {"queue": name},
                    hint=_("Give both the same connection, or use another queue."),
                    id="tasks.E003",
                )
            )
    return found


@checks.register("tasks", checks.Tags.database)
def check_queues_of_schedules(
    databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Warn of schedules on queues that this app can't use.

    It doesn't refuse them, or one of them would keep a deploy from migrating the database.
    """
    database = alias()
    if database not in (databases or ()):
        return []
    if ScheduledTask._meta.db_table not in connections[database].introspection.table_names():
        return []  # The first migration comes after this check.
    alive = ScheduledTask.objects.using(database).exclude(status=ScheduledTask.Status.DEATH)
    names: dict[str, str] = {}
    for queue, name in alive.order_by("-pk").values_list("queue", "name").iterator():
        names[queue] = name
    return [
        checks.Warning(
            why,
            hint=_("Schedule “%(name)s” is on this queue.") % {"name": names[queue]},
            id="tasks.W031",
        )
        for queue in sorted(names)
        if (why := why_unusable(queue))
    ]


@checks.register("tasks")
def check_run_unregistered(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require a plain yes or no: what runs depends on it."""
    value = getattr(settings, "TASKS_RUN_UNREGISTERED", False)
    if isinstance(value, bool):
        return []
    return [
        checks.Error(
            NEITHER % {"setting": "TASKS_RUN_UNREGISTERED", "value": value},
            hint=_("Leave it out unless the site has plain RQ jobs."),
            id="tasks.E030",
        )
    ]


@checks.register("tasks")
def check_classes(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require that django-rq uses this app's job, scheduler and worker."""
    rq: dict[str, Any] = getattr(settings, "RQ", {})
    return [
        checks.Error(
            _(
                'RQ["%(key)s"] is not “%(path)s” or a subclass: runs would not be recorded, or '
                "anything could run."
            )
            % {"key": key, "path": path},
            hint=_('Set RQ = {"%(key)s": "%(path)s", …}.') % {"key": key, "path": path},
            id="tasks.E004",
        )
        for key, path in CLASSES.items()
        if not _is_a(rq.get(key), path)
    ]


@checks.register("tasks")
def check_lost_after(**kwargs: Any) -> list[checks.CheckMessage]:
    """Let a lease be renewed several times before its run counts as lost."""
    value = getattr(settings, "TASKS_LOST_AFTER", DEFAULT_LOST_AFTER)
    if is_lost_after(value):
        return []
    least, most = LEAST_LOST_AFTER, MOST_LOST_AFTER
    return [
        checks.Error(
            NOT_SECONDS
            % {"setting": "TASKS_LOST_AFTER", "value": value, "least": least, "most": most},
            hint=_("Leave it out for %(default)s seconds.") % {"default": DEFAULT_LOST_AFTER},
            id="tasks.E005",
        )
    ]


@checks.register("tasks")
def check_unknown_after(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require a time after which a job fails that no worker knows."""
    value = getattr(settings, "TASKS_UNKNOWN_AFTER", DEFAULT_UNKNOWN_AFTER)
    if is_unknown_after(value):
        return []
    least, most = LEAST_UNKNOWN_AFTER, MOST_UNKNOWN_AFTER
    return [
        checks.Error(
            NOT_SECONDS
            % {"setting": "TASKS_UNKNOWN_AFTER", "value": value, "least": least, "most": most},
            hint=_("Leave it out for %(default)s seconds.") % {"default": DEFAULT_UNKNOWN_AFTER},
            id="tasks.E018",
        )
    ]


@checks.register("tasks")
def check_concurrency(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require a number of coroutine functions that a worker runs side by side."""
    value = getattr(settings, "TASKS_CONCURRENCY", 0)
    if is_concurrency(value):
        return []
    return [
        checks.Error(
            _("%(setting)s is %(value)r, not a whole number from 0 to %(most)s.")
            % {"setting": "TASKS_CONCURRENCY", "value": value, "most": MOST_CONCURRENCY},
            hint=LEAVE_OUT % {"default": 0},
            id="tasks.E032",
        )
    ]


@checks.register("tasks")
def check_keep_calls(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require days and a number that are positive: what isn't kept is deleted."""
    try:
        keep_calls()
    except ValueError:
        wanted = _(
            "%(setting)s is %(value)r: give a mapping with “days” from 1 to %(days)d, "
            "“number” from 1 to %(number)d, or both."
        )
        shown = wanted % {
            "setting": "TASKS_KEEP_CALLS",
            "value": settings.TASKS_KEEP_CALLS,
            "days": MAX_KEEP_DAYS,
            "number": MAX_CALLS,
        }
        return [checks.Error(shown, hint=_("Leave it out to keep all."), id="tasks.E031")]
    return []


@checks.register("tasks")
def check_child(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require positive whole numbers as the limits of a worker's child."""
    limits = {
        "TASKS_CHILD_MAX_RUNS": MAX_RUNS,
        "TASKS_CHILD_MAX_MEMORY": MAX_MEMORY_MB,
    }
    return [
        checks.Error(
            _("%(setting)s is %(value)r, not a positive whole number.")
            % {"setting": name, "value": value},
            hint=LEAVE_OUT % {"default": default},
            id="tasks.E006",
        )
        for name, default in limits.items()
        if type(value := getattr(settings, name, default)) is not int or value < 1
    ]


@checks.register("tasks")
def check_database(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require aware times, and a database that the statements of this app are written for."""
    found: list[checks.CheckMessage] = []
    if not settings.USE_TZ:
        found.append(
            checks.Error(
                _("USE_TZ is off, but the times of schedules and runs are aware."),
                hint=_("Set USE_TZ = True. TIME_ZONE says in which zone the admin shows times."),
                id="tasks.E007",
            )
        )
    vendor = connections[alias()].vendor
    if vendor not in VENDORS:
        found.append(
            checks.Error(
                _("The database “%(alias)s”, where schedules and runs are, is %(vendor)s.")
                % {"alias": alias(), "vendor": vendor},
                hint=_("Use PostgreSQL or SQLite, if need be through a database router."),
                id="tasks.E008",
            )
        )
    return found


@checks.register("tasks")
def check_hints(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of task functions whose hints can't be evaluated: arguments aren't checked by them."""
    return [
        checks.Warning(
            _("The hints of task function “%(name)s” can't be evaluated: %(problem)s")
            % {"name": function.name, "problem": function.arguments.problem},
            hint=_(
                "Import what they name where the function is defined, not for type checkers only."
            ),
            id="tasks.W017",
        )
        for function in registry.functions()
        if function.arguments.problem
    ]


@checks.register("tasks", checks.Tags.database)
def check_schedules(
    databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Warn of stored schedules that can't run: function gone, or arguments that it doesn't take.

    It doesn't refuse them, or one of them would keep a deploy from migrating the database.
    """
    database = alias()
    table = ScheduledTask._meta.db_table
    if database not in (databases or ()):
        return []
    if table not in connections[database].introspection.table_names():
        return []  # The first migration comes after this check.
    active = ScheduledTask.objects.using(database).exclude(status=ScheduledTask.Status.DEATH)
    columns = active.only("name", "function", "args", "kwargs").order_by("pk").iterator(2000)
    unfit = ((schedule, text) for schedule in columns if (text := schedule.misfit()))
    found: list[checks.CheckMessage] = [
        checks.Warning(
            _("Schedule %(pk)s “%(name)s” can't run: %(why)s")
            % {"pk": schedule.pk, "name": schedule.name, "why": text},
            hint=_(
                "Change it or cancel it, or give the function its old name as one of its aliases."
            ),
            id="tasks.W018",
        )
        for schedule, text in islice(unfit, NAMED)
    ]
    if more := sum(1 for _one in unfit):
        text = ngettext(
            "… and %(n)d more schedule that can't run.",
            "… and %(n)d more schedules that can't run.",
            more,
        )
        found.append(checks.Warning(text % {"n": more}, id="tasks.W018"))
    return found


@checks.register("tasks")
def check_packages(**kwargs: Any) -> list[checks.CheckMessage]:
    """Find modules of others that are hidden."""
    if not is_crontab_hidden():
        return []
    return [checks.Warning(CRONTAB_HIDDEN, hint=CRONTAB_HINT, id="tasks.W001")]


@checks.register("tasks")
def check_max_result(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require a limit for results in which the description of a larger one has room."""
    value = getattr(settings, "TASKS_MAX_RESULT", MAX_RESULT)
    if type(value) is int and value >= LEAST_MAX_RESULT:
        return []
    return [
        checks.Error(
            _("%(setting)s is %(value)r, not a whole number of bytes from %(least)s on.")
            % {"setting": "TASKS_MAX_RESULT", "value": value, "least": LEAST_MAX_RESULT},
            hint=LEAVE_OUT % {"default": MAX_RESULT},
            id="tasks.E021",
        )
    ]


@checks.register("tasks")
def check_isolated(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require a clear answer to whether runs get processes of their own."""
    value = getattr(settings, "TASKS_ISOLATED", False)
    if isinstance(value, bool):
        return []
    return [
        checks.Error(
            NEITHER % {"setting": "TASKS_ISOLATED", "value": value},
            hint=LEAVE_OUT % {"default": False},
            id="tasks.E022",
        )
    ]


def _is_a(configured: Any, path: str) -> bool:
    """Return whether a class, or the path of one, is the class at `path` or a subclass of it."""
    try:
        found = import_string(configured) if isinstance(configured, str) else configured
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, import_string(path))
