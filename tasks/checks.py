"""System checks of the settings that the scheduling app relies on."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.db import connections
from django.utils.module_loading import import_string

from tasks.broker.leases import DEFAULT_LOST_AFTER, LEAST_LOST_AFTER, MOST_LOST_AFTER, is_lost_after
from tasks.database import alias
from tasks.packages import CRONTAB_HIDDEN, CRONTAB_HINT, is_crontab_hidden
from tasks.worker.child import MAX_MEMORY_MB, MAX_RUNS

VENDORS = ("postgresql", "sqlite")
JSON_SERIALIZER = "rq.serializers.JSONSerializer"
CLASSES = {
    "JOB_CLASS": "tasks.job.Job",
    "SCHEDULER_CLASS": "tasks.scheduler.Scheduler",
    "WORKER_CLASS": "tasks.worker.Worker",
}


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
def check_database(**kwargs: Any) -> list[checks.CheckMessage]:
    """Require aware times, and a database that the statements of this app are written for."""
    found: list[checks.CheckMessage] = []
    if not settings.USE_TZ:
        found.append(
            checks.Error(
                "USE_TZ is off, but the times of schedules and runs are aware.",
                hint="Set USE_TZ = True. TIME_ZONE says in which zone the admin shows times.",
                id="tasks.E007",
            )
        )
    vendor = connections[alias()].vendor
    if vendor not in VENDORS:
        found.append(
            checks.Error(
                f"The database “{alias()}”, where schedules and runs are, is {vendor}.",
                hint="Use PostgreSQL or SQLite, if need be through a database router.",
                id="tasks.E008",
            )
        )
    return found


@checks.register("tasks")
def check_packages(**kwargs: Any) -> list[checks.CheckMessage]:
    """Find modules of others that are hidden."""
    if not is_crontab_hidden():
        return []
    return [checks.Warning(CRONTAB_HIDDEN, hint=CRONTAB_HINT, id="tasks.W001")]


def _is_a(configured: Any, path: str) -> bool:
    """Return whether a class, or the path of one, is the class at `path` or a subclass of it."""
    try:
        found = import_string(configured) if isinstance(configured, str) else configured
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, import_string(path))
