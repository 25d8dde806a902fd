"""The connection to Redis, and whether Redis and the workers are available."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import django_rq
from django.conf import settings
from django.utils.translation import gettext as _
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, TimeoutError
from redis.retry import Retry

from tasks.broker.keys import PROBE_KEY, explain

# How long a page waits for an answer of Redis, in seconds: who looks at it is told instead.
PAGE_PATIENCE_SECONDS = 0.5
PROBE_LIFETIME_SECONDS = 60
T = TypeVar("T")


@dataclass
class _Page:
    """Whether Redis has failed to answer in time while this page was made; what has been read."""

    has_waited: bool = False
    read: dict[str, Any] = field(default_factory=dict)


_page: ContextVar[_Page | None] = ContextVar("page", default=None)


@contextmanager
def in_a_hurry() -> Iterator[None]:
    """Wait no longer than `PAGE_PATIENCE_SECONDS` for Redis inside a `with` block.

    Once an answer has not come within that time, each further command raises RedisError at once,
    also in blocks inside it.
    """
    token = _page.set(_page.get() or _Page())
    try:
        yield
    finally:
        _page.reset(token)


def once_a_page(name: str, read: Callable[[], T]) -> T:
    """Return what `read` returns, which is asked only once while a page is made `in_a_hurry`.

    Elsewhere it is asked each time. What it raises isn't kept.
    """
    page = _page.get()
    if page is None:
        return read()
    if name not in page.read:
        page.read[name] = read()
    found: T = page.read[name]
    return found


def connect() -> Redis:
    """Return this process's connection to the Redis of the queues.

    There is only one (and another for pages): RQ keeps every connection that a job was enqueued
    with.
    """
    return open_connection(is_hurried=_page.get() is not None)


@cache
def open_connection(is_hurried: bool) -> Redis:
    """Open the connection that `connect` returns: the patient one, or that of pages."""
    connection = django_rq.get_connection()
    if is_hurried:
        pool = connection.connection_pool
        pool.connection_class = _hurried(pool.connection_class)
        connection.set_retry(_Once())
    return connection


def _hurried(connection_class: Any) -> Any:
    """Return a class of connections that never wait longer than a page does.

    The pool's own arguments don't hold: RQ's workers raise the timeout among them.
    """

    class Hurried(connection_class):
        def __init__(self, **kwargs: Any) -> None:
            names = ("socket_timeout", "socket_connect_timeout")
            super().__init__(**kwargs | dict.fromkeys(names, PAGE_PATIENCE_SECONDS))

    return Hurried


class _Once(Retry):
    """Tries a command once, and not at all once a page has waited for Redis in vain."""

    def __init__(self) -> None:
        super().__init__(NoBackoff(), 0)

    def call_with_retry(self, do: Callable[[], Any], *args: Any, **options: Any) -> Any:
        page = _page.get()
        if page is None:
            return super().call_with_retry(do, *args, **options)
        if page.has_waited:
            raise TimeoutError(_("it has not answered in time"))
        try:
            return super().call_with_retry(do, *args, **options)
        except TimeoutError:
            page.has_waited = True
            raise


def redis_obstacle() -> str | None:
    """Return why Redis is unavailable, None if it answers and takes writes."""
    redis = connect()
    try:
        redis.set(PROBE_KEY, 1, ex=PROBE_LIFETIME_SECONDS)
    except RedisError as error:
        return explain(error, redis, settings.RQ_QUEUES)
    return None
