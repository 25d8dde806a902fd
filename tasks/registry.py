"""The registered task functions: the only ones that can be scheduled, enqueued or run."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from django.utils.translation import gettext as _

from tasks.exceptions import InvalidArguments, UnknownTaskFunction
from tasks.masking import MASK, is_secret_name, mask_json, secrets_in
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
    `check` is called before each run of a schedule. `secret` names parameters whose values are
    masked wherever a call is shown, in addition to those whose names say that they are secret.
    """

    name: str
    func: Callable[..., Any]
    kinds: frozenset[Kind]
    queue: str
    timeout: int | None
    check: Check | None = None
    secret: frozenset[str] = frozenset()

    @property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.func)

    @property
    def shown_signature(self) -> inspect.Signature:
        """The signature, with secret defaults masked."""
        signature = self.signature
        parameters = [
            parameter.replace(default=MASK)
            if _has_default(parameter) and self.is_secret(parameter.name)
            else parameter
            for parameter in signature.parameters.values()
        ]
        return signature.replace(parameters=parameters)

    def is_secret(self, parameter: str) -> bool:
        """Return whether the values of a parameter are masked."""
        return parameter in self.secret or is_secret_name(parameter)

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
                % {"name": self.name, "signature": self.shown_signature, "error": error},
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
            function.secret | known.secret,
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


def masked_arguments(name: str, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments of a call as they are shown, with the mask in place of each secret.

    The function need not be registered any more; then what isn't named isn't known to be secret.
    """
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        return mask_json(args), mask_json(kwargs)
    positional, named = _secrecy(name, args, kwargs)
    pairs = zip(args, positional, strict=True)
    return (
        [mask_json(value, is_secret=secret) for value, secret in pairs],
        {key: mask_json(value, is_secret=named[key]) for key, value in kwargs.items()},
    )


def secret_values(name: str, args: Any, kwargs: Any) -> list[str]:
    """Return, as texts, the secrets among the arguments of a call."""
    if not args and not kwargs:
        return []
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        return [*secrets_in(args), *secrets_in(kwargs)]
    positional, named = _secrecy(name, args, kwargs)
    pairs = [*zip(args, positional, strict=True), *((kwargs[key], named[key]) for key in kwargs)]
    return [text for value, secret in pairs for text in secrets_in(value, is_secret=secret)]


def _secrecy(
    name: str, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[bool], dict[str, bool]]:
    """Return which arguments of a call are secret as a whole."""
    function = _functions.get(name)
    if function is None:
        return [False] * len(args), {key: is_secret_name(key) for key in kwargs}
    named, rest = _positional_parameters(function.func) if args else ((), "")
    parameters = [*named[: len(args)], *[rest] * (len(args) - len(named))]
    return (
        [function.is_secret(parameter) for parameter in parameters],
        {key: function.is_secret(key) for key in kwargs},
    )


@cache
def _positional_parameters(func: Callable[..., Any]) -> tuple[tuple[str, ...], str]:
    """Return the names of positional parameters, and of the one that takes any number more."""
    parameters = inspect.signature(func).parameters.values()
    rest = [one.name for one in parameters if one.kind is one.VAR_POSITIONAL]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(one.name for one in parameters if one.kind in kinds), "".join(rest)


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


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
