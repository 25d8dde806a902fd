"""The decorators that register a task function and record its runs."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from rq import get_current_job

from tasks import registry
from tasks.job import Job
from tasks.job_ids import is_recorded
from tasks.registry import DEFAULT_QUEUE, Check, Kind, NotAtAll, NotNow, TaskFunction
from tasks.runs import recorder
from tasks.runs.progress import is_recording

__all__ = ["NotAtAll", "NotNow", "background_task", "scheduled_task"]

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """What `scheduled_task(…)` returns: it takes a function and keeps its type."""

    def __call__(self, func: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def scheduled_task(func: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def scheduled_task(
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    timeout: int | None = None,
    check: Check | None = None,
    isolated: bool | None = None,
) -> Decorator: ...
def scheduled_task(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    timeout: int | None = None,
    check: Check | None = None,
    isolated: bool | None = None,
) -> Callable[..., Any] | Decorator:
    """Register a function for schedules and record each of its runs under its schedule.

    Use it with or without options. `name` is the registered name (default: app and function,
    such as `feeds.fetch_rss`); `queue` and `timeout` (seconds) are the defaults of its jobs. A
    run's row says `running`, then `finished` with the result (JSON) or `failed` with the
    traceback. Called directly, outside a job, it is just the function. In a job, coroutine
    functions are run to completion.

    With `isolated=True` each run gets a process of its own, and leaves nothing behind in the
    worker's; a schedule can say otherwise, and None leaves it to the setting TASKS_ISOLATED.

    `check` is called with the run's arguments before each run. It returns None if the run may
    start, `NotNow(reason)` if this occurrence is to be skipped, or `NotAtAll(reason)` if the
    schedule is to end as well; the row then says `skipped` with the reason, and the function
    isn't called. A retry that it refuses isn't made. An exception from the check fails the run.
    """
    return _decorate(func, Kind.SCHEDULED, name, queue, timeout, check, isolated)


@overload
def background_task(func: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def background_task(
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    timeout: int | None = None,
    isolated: bool | None = None,
) -> Decorator: ...
def background_task(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    timeout: int | None = None,
    isolated: bool | None = None,
) -> Callable[..., Any] | Decorator:
    """Register a function for background calls and record each call in its `Task`.

    The options are those of `scheduled_task`, without `check`; a function can have both
    decorators.
    """
    return _decorate(func, Kind.BACKGROUND, name, queue, timeout, isolated=isolated)


def _decorate(
    func: Callable[..., Any] | None,
    kind: Kind,
    name: str | None,
    queue: str,
    timeout: int | None,
    check: Check | None = None,
    isolated: bool | None = None,
) -> Callable[..., Any] | Decorator:
    def decorate(func: Callable[P, R], /) -> Callable[P, R]:
        wrapped = func if hasattr(func, "task_name") else _wrap(func, name)
        task_name: str = wrapped.task_name  # type: ignore[attr-defined]
        registry.register(
            TaskFunction(task_name, wrapped, frozenset({kind}), queue, timeout, check, isolated)
        )
        return wrapped

    return decorate if func is None else decorate(func)


def _wrap(func: Callable[P, R], name: str | None) -> Callable[P, R]:
    task_name = name or registry.default_name(func)

    @functools.wraps(func)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        job = get_current_job()
        if isinstance(job, Job) and _is_call_of(job, task_name):
            # Returns JSON, and for a coroutine its result: only the worker calls it in a job.
            return cast(R, recorder.record(job, func, args, kwargs))
        return func(*args, **kwargs)

    wrapper.task_name = task_name  # type: ignore[attr-defined]
    return wrapper


def _is_call_of(job: Job, task_name: str) -> bool:
    """Return whether this call is the job itself, and not a call that the job makes."""
    return is_recorded(job.id) and job.func_name == task_name and not is_recording()
