"""The decorators that register a task function and record its runs."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from rq import get_current_job

from tasks import registry
from tasks.exceptions import InvalidArguments
from tasks.job import Job
from tasks.job_ids import is_recorded
from tasks.registry import DEFAULT_QUEUE, Check, Kind, NotAtAll, NotNow, TaskFunction
from tasks.runs import recorder

__all__ = ["NotAtAll", "NotNow", "background_task", "scheduled_task"]

P = ParamSpec("P")
# How many runs go on at a time, and what makes a name, of its arguments, of which.
Limit = tuple[int | None, Callable[..., object] | None]
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
    secret: Collection[str] = (),
    aliases: Iterable[str] = (),
    isolated: bool | None = None,
    max_concurrent: int | None = None,
    limit_key: Callable[..., object] | None = None,
) -> Decorator: ...
def scheduled_task(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    timeout: int | None = None,
    check: Check | None = None,
    secret: Collection[str] = (),
    aliases: Iterable[str] = (),
    isolated: bool | None = None,
    max_concurrent: int | None = None,
    limit_key: Callable[..., object] | None = None,
) -> Callable[..., Any] | Decorator:
    """Register a function for schedules and record each of its runs under its schedule.

    Use it with or without options. `name` is the registered name (default: app and function,
    such as `feeds.fetch_rss`); `queue` and `timeout` (seconds) are the defaults of its jobs. A
    run's row says `running`, then `finished` with the result (JSON) or `failed` with the
    traceback. Called directly, outside a job, it is just the function. In a job, coroutine
    functions are run to completion; a worker with `--concurrency` runs many of them side by side.

    The function's hints say how its arguments are stored as JSON, and what it is called with
    (`tasks/arguments`). `aliases` are the names that it had before: schedules and jobs made
    under them are its own.

    With `isolated=True` each run gets a process of its own, and leaves nothing behind in the
    worker's; a schedule can say otherwise, and None leaves it to the setting TASKS_ISOLATED. A
    coroutine function can't be isolated: ValueError.

    At most `max_concurrent` runs of the function go on at a time, in all workers together. With
    `limit_key`, which is called with a run's arguments as JSON, that holds for each name that it
    returns: `limit_key=lambda url: urlsplit(url).hostname`. A run that finds no place waits, and
    takes no worker meanwhile.

    `check` is called with the run's arguments before each run. It returns None if the run may
    start, `NotNow(reason)` if this occurrence is to be skipped, or `NotAtAll(reason)` if the
    schedule is to end as well; the row then says `skipped` with the reason, and the function
    isn't called. A retry that it refuses isn't made. An exception from the check fails the run.

    `secret` names parameters whose values are masked wherever a call is shown or logged. Those
    whose names say so, such as `api_token` or `password`, are masked anyway.
    """
    limit = _limit(max_concurrent, limit_key)
    return _decorate(
        func, Kind.SCHEDULED, name, queue, timeout, check, secret, aliases, isolated, limit
    )


@overload
def background_task(func: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def background_task(
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    timeout: int | None = None,
    secret: Collection[str] = (),
    aliases: Iterable[str] = (),
    isolated: bool | None = None,
    max_concurrent: int | None = None,
    limit_key: Callable[..., object] | None = None,
) -> Decorator: ...
def background_task(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    timeout: int | None = None,
    secret: Collection[str] = (),
    aliases: Iterable[str] = (),
    isolated: bool | None = None,
    max_concurrent: int | None = None,
    limit_key: Callable[..., object] | None = None,
) -> Callable[..., Any] | Decorator:
    """Register a function for background calls and record each call in its `Task`.

    The options are those of `scheduled_task`, without `check`; a function can have both
    decorators.
    """
    limit = _limit(max_concurrent, limit_key)
    return _decorate(
        func, Kind.BACKGROUND, name, queue, timeout, None, secret, aliases, isolated, limit
    )


def _decorate(
    func: Callable[..., Any] | None,
    kind: Kind,
    name: str | None,
    queue: str,
    timeout: int | None,
    check: Check | None,
    secret: Collection[str],
    aliases: Iterable[str],
    isolated: bool | None,
    limit: Limit,
) -> Callable[..., Any] | Decorator:
    if isinstance(aliases, str):
        raise TypeError(f"aliases={aliases!r} is one text: give a list of names.")
    former = frozenset(aliases)

    def decorate(func: Callable[P, R], /) -> Callable[P, R]:
        if isolated and inspect.iscoroutinefunction(getattr(func, "__wrapped__", func)):
            raise ValueError(
                f"{func.__qualname__} is a coroutine function: its runs share a process, so it "
                "can't be isolated. Leave isolated= out, or make it a plain function."
            )
        wrapped = func if hasattr(func, "task_name") else _wrap(func, name)
        task_name: str = wrapped.task_name  # type: ignore[attr-defined]
        names = _parameters(func, secret)
        registry.register(
            TaskFunction(
                task_name,
                wrapped,
                frozenset({kind}),
                queue,
                timeout,
                check,
                names,
                former,
                isolated,
                *limit,
            )
        )
        return wrapped

    return decorate if func is None else decorate(func)


def _limit(max_concurrent: int | None, limit_key: Callable[..., object] | None) -> Limit:
    """Return a limit; raises ValueError if it is none."""
    is_number = isinstance(max_concurrent, int) and not isinstance(max_concurrent, bool)
    if max_concurrent is None and limit_key is not None:
        raise ValueError("limit_key= says of which runs there are few: give max_concurrent=, too.")
    if max_concurrent is not None and (not is_number or max_concurrent < 1):
        raise ValueError(f"max_concurrent={max_concurrent!r} is not a positive whole number.")
    if limit_key is not None and (not callable(limit_key) or iscoroutinefunction(limit_key)):
        raise ValueError(f"limit_key={limit_key!r} is not a plain function of the run's arguments.")
    return max_concurrent, limit_key


def _parameters(func: Callable[..., Any], names: Collection[str]) -> frozenset[str]:
    """Return names of parameters; raises ValueError if the function has none of a name.

    A name that is misspelt would protect nothing.
    """
    if not names:
        return frozenset()
    parameters = inspect.signature(func).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = set() if takes_any else set(names) - set(parameters)
    if unknown or isinstance(names, str):
        raise ValueError(
            f"secret={names!r} must be a list of the names of parameters of {func.__qualname__}."
        )
    return frozenset(names)


def _wrap(func: Callable[P, R], name: str | None) -> Callable[P, R]:
    task_name = name or registry.default_name(func)

    @functools.wraps(func)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        job = get_current_job()
        if not (isinstance(job, Job) and job.begins_call_of(task_name)):
            return func(*args, **kwargs)
        # Only the worker calls it like this. A recorded call returns JSON, and for a coroutine
        # its result.
        if is_recorded(job.id):
            return cast(R, recorder.record(job, func, args, kwargs))
        try:
            loaded = registry.get(task_name).load_arguments(args, kwargs)
        except InvalidArguments:
            return func(*args, **kwargs)  # RQ's own interface takes anything: `rqenqueue` texts.
        return func(*loaded[0], **loaded[1])

    wrapper.task_name = task_name  # type: ignore[attr-defined]
    return wrapper
