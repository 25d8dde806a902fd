"""RQ's job as this project uses it: JSON payloads and registered functions."""

import json
import logging
import zlib
from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Self, cast

import rq.job
from django.conf import settings
from django.utils.translation import gettext as _
from redis import Redis
from rq.callbacks import Callback
from rq.job import JobStatus, validate_job_id
from rq.serializers import JSONSerializer
from rq.utils import import_attribute, resolve_function_reference

from tasks import registry
from tasks.exceptions import UnknownTaskFunction
from tasks.storable import type_name

logger = logging.getLogger(__name__)

# A job whose hash has only these fields doesn't need RQ's `restore`, if the rare ones are empty.
PLAIN = frozenset(
    b"data status origin description timeout result_ttl failure_ttl created_at enqueued_at meta "
    b"started_at ended_at last_heartbeat worker_name success_callback_name failure_callback_name "
    b"stopped_callback_name group_id put_back refused_by refused_at kind limit parked".split()
)
RARE = (b"success_callback_name", b"failure_callback_name", b"stopped_callback_name", b"group_id")
# What the field `kind` of a job's hash says if it can run beside others, on an event loop.
COROUTINE = "coroutine"
# What compressed data begins with.
ZLIB = b"\x78"
# How long Redis keeps an ended job, in seconds. The rows keep what happened; Redis only has to
# remember an id for as long as a repeated dispatch of it is likely.
RESULT_TTL = 3_600
FAILURE_TTL = 86_400


class Job(rq.job.Job):
    """An RQ job whose payload is JSON and whose function and callbacks come from the registry.

    Whatever else it names, or a method of an object, raises UnknownTaskFunction when the job is
    created, and when it is performed: a worker never imports what a payload names, unless the site
    says so (TASKS_RUN_UNREGISTERED).
    """

    def __init__(
        self, id: str | None = None, connection: Redis | None = None, serializer: Any = None
    ) -> None:
        super().__init__(id, connection, JSONSerializer)

    # What was wrong with the hash of a job that could not be read.
    unreadable: Exception | None = None
    # Fields of its hash by which a step decides whether to take it: see `broker.enqueue.marks_of`.
    marks: Mapping[str, str] = MappingProxyType({})
    # The error that ended it, once its row says so.
    recorded_error: BaseException | None = None
    # Whether its function has been called.
    _has_begun = False
    # Called when its function has returned: undoes what that has changed in the process.
    restore_process: Callable[[], None] | None = None

    @classmethod
    def create(cls, func: Any, *args: Any, **kwargs: Any) -> Self:
        """Create a job as RQ does; raises UnknownTaskFunction for what it may not call."""
        job = cast(Self, super().create(func, *args, **kwargs))
        refuse_unregistered(func, *filter(None, job._callback_names))
        return job

    def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the fields of its hash."""
        fields = cast(dict[str, Any], super().to_dict(*args, **kwargs))
        return fields | dict(self.marks)

    @classmethod
    def from_fields(cls, job_id: str, fields: dict[bytes, bytes], connection: Redis) -> Self:
        """Return the job that a hash in Redis holds.

        This raises nothing: a job whose hash can't be read (R7) can't be called, and
        `check_callable` says why.
        """
        job: Self = copy(_blank(cls, connection))  # type: ignore[arg-type]
        job._id = job_id
        try:
            validate_job_id(job_id)
            if fields.keys() <= PLAIN and not any(map(fields.get, RARE)):
                job._restore_plain(fields)
            else:
                job.restore(fields)
        except Exception as error:
            job.unreadable, job.data = error, b""
        return job

    def _restore_plain(self, fields: dict[bytes, bytes]) -> None:
        """Do what `restore` does for a job without rare fields, ten times faster."""
        data = fields[b"data"]
        self.data = zlib.decompress(data) if data[:1] == ZLIB else data
        self._status = JobStatus(fields[b"status"].decode())
        self.origin = fields.get(b"origin", b"").decode()
        self.description = fields.get(b"description", b"").decode()
        self.timeout = _number(fields, b"timeout")
        self.result_ttl = _number(fields, b"result_ttl")
        self.failure_ttl = _number(fields, b"failure_ttl")
        self.created_at = datetime.fromisoformat(fields[b"created_at"].decode())
        enqueued_at = fields.get(b"enqueued_at")
        self.enqueued_at = datetime.fromisoformat(enqueued_at.decode()) if enqueued_at else None
        meta = fields.get(b"meta")
        try:
            self.meta = json.loads(meta) if meta else {}
        except ValueError:
            self.meta, self._unreadable_meta = {"unserialized": meta}, meta

    def check_callable(self, *, has_row: bool = False) -> None:
        """Raise what is wrong with a job that can't be called: its hash, payload or functions.

        The function of a job that has a row must be registered, whatever else the site runs.
        UnknownTaskFunction and InvalidArguments may be due to this process's version of the code;
        anything else is due to the job's hash or payload.
        """
        if self.unreadable is not None:
            raise self.unreadable
        if has_row:
            registry.get(str(self.func_name)).check_arguments(self.args, self.kwargs)
        else:
            self.func  # noqa: B018  (asks whether the site runs it)
        for name in filter(None, self._callback_names):
            _function(name)

    @property
    def secret_values(self) -> list[str]:
        """The secrets among its arguments; none if its payload can't be read."""
        try:
            return registry.secret_values(str(self.func_name), list(self.args), dict(self.kwargs))
        except Exception:  # whatever is wrong with the payload, `check_callable` says
            return []

    def begins_call_of(self, name: str) -> bool:
        """Return whether a call of this function, inside the job, is the job's own call of it.

        That is the first one; later ones are made by the function itself.
        """
        if self._has_begun or registry.present_name(str(self.func_name)) != name:
            return False
        self._has_begun = True
        return True

    @property
    def func(self) -> Callable[..., Any]:
        if not self.instance:
            return _function(str(self.func_name))
        if runs_unregistered():
            return cast(Callable[..., Any], super().func)
        raise _refusal(f"{type(self.instance).__qualname__}.{self.func_name}")

    @property
    def success_callback(self) -> Callable[..., Any] | None:
        return _callback(self._success_callback_name)

    @property
    def failure_callback(self) -> Callable[..., Any] | None:
        return _callback(self._failure_callback_name)

    @property
    def stopped_callback(self) -> Callable[..., Any] | None:
        return _callback(self._stopped_callback_name)

    @property
    def _callback_names(self) -> tuple[str | None, ...]:
        return (
            self._success_callback_name,
            self._failure_callback_name,
            self._stopped_callback_name,
        )

    def result_payload(self) -> bytes | None:
        """Return the result as Redis keeps it; one that isn't JSON is left out, with a warning."""
        if self._result is None:
            return None
        try:
            return self.serializer.dumps(self._result)
        except Exception:  # whatever the result's own class raises
            logger.warning(
                "Job %s has finished. Its result is left out, because it isn't JSON: %s.",
                *(self.id, type_name(self._result)),
            )
            self._result = None
            return None

    def _handle_success(self, *args: Any, **kwargs: Any) -> None:
        self.result_payload()
        super()._handle_success(*args, **kwargs)

    # RQ's own checks that the other is of this class, so its answer depends on the order.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, rq.job.Job) and bool(self.id == other.id)

    __hash__ = rq.job.Job.__hash__


def runs_unregistered() -> bool:
    """Return whether the site runs plain RQ jobs too, whose functions are named by their paths."""
    return getattr(settings, "TASKS_RUN_UNREGISTERED", False) is True


def refuse_unregistered(*functions: Any) -> None:
    """Raise UnknownTaskFunction for the first of these functions that no job may call.

    Each is given as RQ takes it: a function, a method, a path or a callback. Nothing is imported.
    """
    if runs_unregistered():
        return
    for function in functions:
        of = function.func if isinstance(function, Callback) else function
        instance, name = resolve_function_reference(of)
        if instance is not None:
            raise _refusal(f"{type(instance).__qualname__}.{name}")
        if registry.find(name) is None:
            raise _refusal(name)


def _function(name: str) -> Callable[..., Any]:
    """Return the function that a job names, which is imported only if the site says so."""
    function = registry.find(name)
    if function is not None:
        return function.func
    if runs_unregistered():
        return import_attribute(name)
    raise _refusal(name)


def _callback(name: str | None) -> Callable[..., Any] | None:
    """Return a callback: the function itself, because RQ refuses coroutine functions here."""
    if not name:
        return None
    found = _function(name)
    return getattr(found, "__wrapped__", found) if registry.find(name) else found


def _refusal(name: str) -> UnknownTaskFunction:
    return UnknownTaskFunction(
        _(
            "“%(name)s” is not a registered task function: decorate it with @background_task, in "
            "the module “tasks” of an app, or set TASKS_RUN_UNREGISTERED = True to run plain RQ "
            "jobs."
        )
        % {"name": name}
    )


@cache
def _blank(job_class: Any, connection: Redis) -> Any:
    """Return a job without content: RQ takes ten times longer to make one than to copy it."""
    return job_class(connection=connection)


def _number(fields: dict[bytes, bytes], name: bytes) -> int | None:
    value = fields.get(name)
    return int(value) if value else None
