"""The registered task functions: the only ones that can be scheduled, enqueued or run."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from tasks.exceptions import InvalidArguments, UnknownTaskFunction
from tasks.storable import MAX_DEPTH, NUL_ESCAPE, canonical_json, is_deeper

DEFAULT_QUEUE = "default"


class Kind(StrEnum):
    """What a task function may be used for."""

    SCHEDULED = "scheduled"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class NotNow:
    """A check's answer: this occurrence doesn't run; its row says `skipped` with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotAtAll:
    """A check's answer: this occurrence doesn't run, and its schedule ends."""

    reason: str


Answer = NotNow | NotAtAll
Check = Callable[..., Answer | Awaitable[Answer | None] | None]


@dataclass(frozen=True, slots=True)
class TaskFunction:
    """A registered function with the defaults of its jobs.

    `queue` is the queue its jobs go to; `timeout` is in seconds, None for the queue's own.
    `check` is called before each run of a schedule. `isolated` says whether each run gets a
    process of its own, None if the setting TASKS_ISOLATED does.
    """

    name: str
    func: Callable[..., Any]
    kinds: frozenset[Kind]
    queue: str
    timeout: int | None
    check: Check | None = None
    isolated: bool | None = None

    @property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.func)

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.func) or "").partition("\n")[0]

    def check_arguments(self, args: Any, kwargs: Any) -> None:
        """Raise InvalidArguments unless the function can be called with this JSON."""
        _check_json(args, kwargs)
        signature = self.signature
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(
                _("%(name)s%(signature)s can't be called with these arguments: %(error)s.")
                % {"name": self.name, "signature": signature, "error": error},
                _field_at_fault(signature, args, kwargs),
            ) from error


_functions: dict[str, TaskFunction] = {}


def default_name(func: Callable[..., Any]) -> str:
    """Name a function after its app: `feeds.tasks.fetch_rss` becomes `feeds.fetch_rss`."""
    return f"{func.__module__.removesuffix('.tasks')}.{func.__name__}"


def register(function: TaskFunction) -> None:
    """Add a task function; adding the same function again adds to its kinds.

    Raises ValueError if another function already has the name: a programming error.
    """
    known = _functions.get(function.name)
    if known is not None:
        if known.func.__qualname__ != function.func.__qualname__ or (
            known.func.__module__ != function.func.__module__
        ):
            raise ValueError(f"Two task functions are named {function.name!r}: give one a name=.")
        function = TaskFunction(
            function.name,
            function.func,
            known.kinds | function.kinds,
            known.queue if function.queue == DEFAULT_QUEUE else function.queue,
            function.timeout or known.timeout,
            function.check or known.check,
            known.isolated if function.isolated is None else function.isolated,
        )
    _functions[function.name] = function


def get(name: str) -> TaskFunction:
    """Return the task function with this name; raises UnknownTaskFunction."""
    try:
        return _functions[name]
    except KeyError:
        raise UnknownTaskFunction(
            _("No task function is registered as “%(name)s”. Registered: %(known)s.")
            % {"name": name, "known": ", ".join(sorted(_functions)) or _("none")}
        ) from None


def has_check(name: str) -> bool:
    """Return whether a registered function of this name has a check."""
    function = _functions.get(name)
    return function is not None and function.check is not None


def is_isolated(name: str) -> bool | None:
    """Return whether the runs of a function get processes of their own, None if it doesn't say."""
    function = _functions.get(name)
    return None if function is None else function.isolated


def resolve(task_func: Callable[..., Any] | str, kind: Kind) -> TaskFunction:
    """Return the registered function for a name or a decorated function.

    Raises UnknownTaskFunction if it isn't registered, or not for this kind of use.
    """
    name = task_func if isinstance(task_func, str) else getattr(task_func, "task_name", None)
    if name is None:
        raise UnknownTaskFunction(
            _("%(func)r is not a task function: decorate it with @%(decorator)s.")
            % {"func": task_func, "decorator": f"{kind}_task"}
        )
    function = get(name)
    if kind not in function.kinds:
        raise UnknownTaskFunction(
            _("“%(name)s” is not registered for this use: decorate it with @%(decorator)s too.")
            % {"name": name, "decorator": f"{kind}_task"}
        )
    return function


def names(kind: Kind) -> list[str]:
    """Return the names of all functions for this kind of use, sorted."""
    return sorted(name for name, function in _functions.items() if kind in function.kinds)


def _field_at_fault(signature: inspect.Signature, args: list[Any], kwargs: dict[str, Any]) -> str:
    """Return which arguments don't fit: `args` or `kwargs`; `args` if some are missing."""
    for field, positional, named in (("args", args, {}), ("kwargs", args, kwargs)):
        try:
            signature.bind_partial(*positional, **named)
        except TypeError:
            return field
    return "args"


def _check_json(args: Any, kwargs: Any) -> None:
    if not isinstance(args, list):
        raise InvalidArguments(_("Positional arguments must be a JSON list, such as [1, 2]."))
    if not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
        raise InvalidArguments(_("Named arguments must be a JSON object with text keys."), "kwargs")
    if is_deeper(args) or is_deeper(kwargs):
        text = _("Arguments can be nested at most %(depth)d levels deep.") % {"depth": MAX_DEPTH}
        raise InvalidArguments(text)
    text = canonical_json([args, kwargs])
    if NUL_ESCAPE.search(text):
        raise InvalidArguments(_("Arguments can't contain the NUL character."))
