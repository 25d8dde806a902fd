"""System checks: of the settings, the task functions and the stored schedules."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections, router
from django.utils.module_loading import import_string

from tasks import registry
from tasks.broker.leases import DEFAULT_LOST_AFTER, LEAST_LOST_AFTER, MOST_LOST_AFTER, is_lost_after
from tasks.models import ScheduledTask
from tasks.worker.child import MAX_MEMORY_MB, MAX_RUNS
from tasks.worker.refusals import (
    DEFAULT_UNKNOWN_AFTER,
    LEAST_UNKNOWN_AFTER,
    MOST_UNKNOWN_AFTER,
    is_unknown_after,
)

JSON_SERIALIZER = "rq.serializers.JSONSerializer"
CLASSES = {
    "JOB_CLASS": "tasks.job.Job",
    "SCHEDULER_CLASS": "tasks.scheduler.Scheduler",
    "WORKER_CLASS": "tasks.worker.Worker",
}
# How many schedules a check names.
NAMED = 10


@checks.register("tasks")
def check_queues(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require a default queue, one Redis for all queues, and JSON payloads."""
    queues: dict[str, dict[str, Any]] = getattr(settings, "RQ_QUEUES", {})
    found: list[checks.CheckMessage] = []
    if "default" not in queues:
        found.append(
            checks.Error(
                "RQ_QUEUES has no queue named “default”.",
                hint="Add it: schedules are kept on its Redis.",
                id="tasks.E001",
            )
        )
    for name, queue in queues.items():
        if queue.get("SERIALIZER") not in (JSON_SERIALIZER, "json"):
            found.append(
                checks.Error(
                    f"The payloads of queue “{name}” are not JSON.",
                    hint=f'Set RQ_QUEUES["{name}"]["SERIALIZER"] = "{JSON_SERIALIZER}".',
                    id="tasks.E002",
                )
            )
    connection_keys = ("URL", "HOST", "PORT", "DB", "UNIX_SOCKET_PATH", "SENTINELS", "MASTER_NAME")
    if len({str([queue.get(key) for key in connection_keys]) for queue in queues.values()}) > 1:
        found.append(
            checks.Error(
                "The queues are on different Redis servers or databases.",
                hint="Give all of RQ_QUEUES the same connection.",
                id="tasks.E003",
            )
        )
    return found


@checks.register("tasks")
def check_classes(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require that django-rq uses this app's job, scheduler and worker."""
    rq: dict[str, Any] = getattr(settings, "RQ", {})
    return [
        checks.Error(
            f'RQ["{key}"] is not “{path}” or a subclass: runs would not be recorded.',
            hint=f'Set RQ = {{"{key}": "{path}", …}}.',
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
            f"TASKS_LOST_AFTER is {value!r}, not a whole number of seconds from {least} to {most}.",
            hint=f"Leave it out for {DEFAULT_LOST_AFTER} seconds.",
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
            f"TASKS_UNKNOWN_AFTER is {value!r}, not a whole number of seconds "
            f"from {least} to {most}.",
            hint=f"Leave it out for {DEFAULT_UNKNOWN_AFTER} seconds.",
            id="tasks.E018",
        )
    ]


@checks.register("tasks")
def check_child(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require positive whole numbers as the limits of a worker's child."""
    limits = {
        "TASKS_CHILD_MAX_RUNS": MAX_RUNS,
        "TASKS_CHILD_MAX_MEMORY": MAX_MEMORY_MB,
    }
    return [
        checks.Error(
            f"{name} is {value!r}, not a positive whole number.",
            hint=f"Leave it out for {default}.",
            id="tasks.E006",
        )
        for name, default in limits.items()
        if type(value := getattr(settings, name, default)) is not int or value < 1
    ]


@checks.register("tasks")
def check_hints(**kwargs: Any) -> list[checks.CheckMessage]:
    """Warn of task functions whose hints can't be evaluated: arguments aren't checked by them."""
    return [
        checks.Warning(
            f"The hints of task function “{function.name}” can't be evaluated: "
            f"{function.arguments.problem}",
            hint="Import what they name where the function is defined, not for type checkers only.",
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
    alias = router.db_for_read(ScheduledTask)
    table = ScheduledTask._meta.db_table
    if alias not in (databases or ()):
        return []
    if table not in connections[alias].introspection.table_names():
        return []  # The first migration comes after this check.
    active = ScheduledTask.objects.using(alias).exclude(status=ScheduledTask.Status.DEATH)
    columns = active.only("name", "function", "args", "kwargs").order_by("pk").iterator(2000)
    unfit = ((schedule, text) for schedule in columns if (text := schedule.misfit()))
    found: list[checks.CheckMessage] = [
        checks.Warning(
            f"Schedule {schedule.pk} “{schedule.name}” can't run: {text}",
            hint="Change it or cancel it, or give the function its old name as one of its aliases.",
            id="tasks.W018",
        )
        for schedule, text in islice(unfit, NAMED)
    ]
    if more := sum(1 for _ in unfit):
        found.append(
            checks.Warning(f"… and {more} more schedules that can't run.", id="tasks.W018")
        )
    return found


def _is_a(configured: Any, path: str) -> bool:
    """Return whether a class, or the path of one, is the class at `path` or a subclass of it."""
    try:
        found = import_string(configured) if isinstance(configured, str) else configured
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, import_string(path))
