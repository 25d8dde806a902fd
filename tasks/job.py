"""RQ's job as this project uses it: JSON payloads and registered functions."""

import json
import zlib
from collections.abc import Callable
from copy import copy
from datetime import datetime
from functools import cache
from typing import Any, Self

import rq.job
from redis import Redis
from rq.job import JobStatus, validate_job_id
from rq.serializers import JSONSerializer

from tasks import registry

# A job whose hash has only these fields doesn't need RQ's `restore`, if the rare ones are empty.
PLAIN = frozenset(
    b"data status origin description timeout result_ttl failure_ttl created_at enqueued_at meta "
    b"started_at ended_at last_heartbeat worker_name success_callback_name failure_callback_name "
    b"stopped_callback_name group_id put_back".split()
)
RARE = (b"success_callback_name", b"failure_callback_name", b"stopped_callback_name", b"group_id")
# What compressed data begins with.
ZLIB = b"\x78"
# How long Redis keeps an ended job, in seconds. The rows keep what happened; Redis only has to
# remember an id for as long as a repeated dispatch of it is likely.
RESULT_TTL = 3_600
FAILURE_TTL = 86_400


class Job(rq.job.Job):
    """An RQ job whose payload is JSON and whose function comes from the registry.

    Any other function name, or a method of an object, raises UnknownTaskFunction when the job
    is performed: a worker never imports what a payload names.
    """

    def __init__(
        self, id: str | None = None, connection: Redis | None = None, serializer: Any = None
    ) -> None:
        super().__init__(id, connection, JSONSerializer)

    # What was wrong with the hash of a job that could not be read.
    unreadable: Exception | None = None
    # The error that ended it, once its row says so.
    recorded_error: BaseException | None = None

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

    def check_callable(self) -> None:
        """Raise what is wrong with a job that can't be called: its hash, payload or function."""
        if self.unreadable is not None:
            raise self.unreadable
        self.func  # noqa: B018  (decodes the payload and asks the registry)

    @property
    def secret_values(self) -> list[str]:
        """The secrets among its arguments; none if its payload can't be read."""
        try:
            return registry.secret_values(str(self.func_name), list(self.args), dict(self.kwargs))
        except Exception:  # whatever is wrong with the payload, `check_callable` says
            return []

    @property
    def func(self) -> Callable[..., Any]:
        return registry.get(str(self.func_name)).func

    # RQ's own checks that the other is of this class, so its answer depends on the order.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, rq.job.Job) and bool(self.id == other.id)

    __hash__ = rq.job.Job.__hash__


@cache
def _blank(job_class: Any, connection: Redis) -> Any:
    """Return a job without content: RQ takes ten times longer to make one than to copy it."""
    return job_class(connection=connection)


def _number(fields: dict[bytes, bytes], name: bytes) -> int | None:
    value = fields.get(name)
    return int(value) if value else None
