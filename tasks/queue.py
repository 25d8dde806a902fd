"""The queue that django-rq is told to use, and which queues of the settings this app can use.

A site may have other queues, with another serializer or on another Redis: their jobs are RQ's own.
"""

from typing import Any

import rq.job
from django.conf import settings
from django.utils.translation import gettext as _
from django_rq.queues import DjangoRQ
from rq.serializers import JSONSerializer, resolve_serializer

from tasks.job import Job, refuse_unregistered
from tasks.registry import DEFAULT_QUEUE

# How the settings name RQ's JSON serializer.
JSON = (JSONSerializer, "json", "rq.serializers.JSONSerializer")
# What names the Redis of a queue in the settings.
CONNECTION_KEYS = (
    "URL",
    "HOST",
    "PORT",
    "DB",
    "UNIX_SOCKET_PATH",
    "SENTINELS",
    "MASTER_NAME",
    "USE_REDIS_CACHE",
)


class Queue(DjangoRQ):
    """django-rq's queue, whose jobs are JSON and call registered functions only.

    Where the settings give it another serializer, its jobs are RQ's own. A call is refused at once
    if its function isn't registered, not only when the transaction is committed.
    """

    job_class: type[rq.job.Job] = Job

    def __init__(self, name: str = DEFAULT_QUEUE, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, *args, **kwargs)
        if kwargs.get("serializer") is None:
            self.serializer = _serializer(name)
        if self.serializer is not JSONSerializer and issubclass(self.job_class, Job):
            self.job_class = rq.job.Job

    def enqueue_call(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        """Enqueue a call when the transaction is committed, or as COMMIT_MODE says.

        Raises UnknownTaskFunction if the function, or a callback, isn't registered.
        """
        if issubclass(self.job_class, Job):
            callbacks = (kwargs.get(f"on_{event}") for event in ("success", "failure", "stopped"))
            refuse_unregistered(func, *filter(None, callbacks))
        return super().enqueue_call(func, *args, **kwargs)


def why_unusable(name: str) -> str:
    """Return why this app can't use a queue, with what to do; "" if it can.

    Its payloads must be JSON, and it must be on the Redis of the default queue.
    """
    config = settings.RQ_QUEUES.get(name)
    if config is None:
        return _("There is no queue “%(queue)s”. The queues are: %(known)s.") % {
            "queue": name,
            "known": ", ".join(usable_queues()),
        }
    if not is_json(config):
        return _(
            "The payloads of queue “%(queue)s” are not JSON: set "
            'RQ_QUEUES["%(queue)s"]["SERIALIZER"] = "json", or use another queue.'
        ) % {"queue": name}
    if not is_beside_default(config):
        return _(
            "Queue “%(queue)s” is not on the Redis of the queue “default”: give it the same "
            "connection, or use another queue."
        ) % {"queue": name}
    return ""


def usable_queues() -> list[str]:
    """Return the names of the queues that this app can use, in the order of the settings."""
    return [
        name
        for name, config in settings.RQ_QUEUES.items()
        if is_json(config) and is_beside_default(config)
    ]


def is_json(config: dict[str, Any]) -> bool:
    """Return whether a queue of the settings has JSON payloads."""
    return config.get("SERIALIZER") in JSON


def is_beside_default(config: dict[str, Any]) -> bool:
    """Return whether a queue of the settings is on the Redis of the default queue."""
    default = settings.RQ_QUEUES.get(DEFAULT_QUEUE, config)
    return all(config.get(key) == default.get(key) for key in CONNECTION_KEYS)


def _serializer(name: str) -> Any:
    """Return the serializer that the settings give a queue; JSON for a queue that isn't there."""
    config: dict[str, Any] | None = settings.RQ_QUEUES.get(name)
    return JSONSerializer if config is None else resolve_serializer(config.get("SERIALIZER"))
