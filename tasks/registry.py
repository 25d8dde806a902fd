"""The registered task functions: the only ones that can be scheduled, enqueued or run."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

from django.db import Error
from django.utils.translation import gettext as _

from tasks.argument_types import StoredInstance
from tasks.arguments import Arguments, arguments_of
from tasks.exceptions import InvalidArguments, UnknownTaskFunction
from tasks.masking import MASK, is_secret_name, mask_json, secrets_in
from tasks.storable import (
    MAX_DEPTH,
    NUL_ESCAPE,
    canonical_json,
    clean_text,
    is_deeper,
    message_of,
    type_name,
)

DEFAULT_QUEUE = "default"
# How many characters of what a `limit_key` returns are kept.
LIMIT_KEY_LENGTH = 100


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
    `aliases` are names that it had before: rows and jobs that still have them are its own.
    `isolated` says whether each run gets a process of its own, None if the setting TASKS_ISOLATED
    does. Of the function, or of those of its runs for which `limit_key` returns the same, no more
    than `max_concurrent` go on at a time.
    """

    name: str
    func: Callable[..., Any]
    kinds: frozenset[Kind]
    queue: str
    timeout: int | None
    check: Check | None = None
    secret: frozenset[str] = frozenset()
    aliases: frozenset[str] = frozenset()
    isolated: bool | None = None
    max_concurrent: int | None = None
    limit_key: Callable[..., object] | None = None

    @property
    def path(self) -> str:
        """The name that RQ gives it: its module and its qualified name."""
        return f"{self.func.__module__}.{self.func.__qualname__}"

    @property
    def is_coroutine(self) -> bool:
        """Whether it is a coroutine function: many of its runs can go on in one process."""
        return inspect.iscoroutinefunction(getattr(self.func, "__wrapped__", self.func))

    @property
    def arguments(self) -> Arguments:
        """What it takes, and how that is stored."""
        return arguments_of(self.func)

    @property
    def signature(self) -> inspect.Signature:
        return self.arguments.signature

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

    def store_arguments(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return arguments as the JSON that is stored; they may be given as that already.

        Raises InvalidArguments if they aren't what the function takes.
        """
        stored = self._stored(args, kwargs)
        _check_json(*stored)
        return stored

    def limit(self, args: Any, kwargs: Any) -> str:
        """Return, for a call with this stored JSON, how many may run at a time, and of which.

        That is a number, a space, and a name that they share; "" if any number may. Raises
        InvalidArguments if the function's `limit_key` fails.
        """
        if self.max_concurrent is None:
            return ""
        if self.limit_key is None:
            return f"{self.max_concurrent} {self.name}"
        try:
            key = clean_text(str(self.limit_key(*args, **kwargs)))[:LIMIT_KEY_LENGTH]
            key = " ".join(key.split())
        except Error:  # It may read rows, and the database may be unavailable: that will pass.
            raise
        except Exception as error:
            raise InvalidArguments(
                _("The limit_key of “%(name)s” fails for these arguments: %(error)s.")
                % {"name": self.name, "error": message_of(error) or type_name(error)}
            ) from error
        return f"{self.max_concurrent} {self.name}:{key}"

    def check_arguments(self, args: Any, kwargs: Any) -> None:
        """Raise InvalidArguments unless the function can be called with this stored JSON."""
        self._stored(args, kwargs)

    def load_arguments(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return stored arguments as the function takes them: an id becomes an object.

        Raises InvalidArguments if they don't fit, or if such an object is gone.
        """
        return self.arguments.load(args, kwargs, self.is_secret)

    def instances(self, args: Any, kwargs: Any) -> list[StoredInstance]:
        """Return the instances of models that stored arguments name by their primary keys.

        Raises InvalidArguments if the arguments don't fit.
        """
        return list(self.arguments.instances(*self._stored(args, kwargs)))

    def _stored(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        _check_containers(args, kwargs)
        try:
            _bind(self.func, len(args), tuple(kwargs))
        except TypeError as error:
            raise InvalidArguments(
                _("%(name)s%(signature)s can't be called with these arguments: %(error)s.")
                % {"name": self.name, "signature": self.shown_signature, "error": error},
                _field_at_fault(self.signature, args, kwargs),
            ) from error
        try:
            return self.arguments.store(args, kwargs, self.is_secret)
        except RecursionError:
            raise _too_deep() from None


@lru_cache(maxsize=5_000)
def _bind(func: Callable[..., Any], number: int, names: tuple[str, ...]) -> None:
    """Raise TypeError unless a function takes so many arguments and these names, of any value."""
    arguments_of(func).signature.bind(*[None] * number, **dict.fromkeys(names))


_functions: dict[str, TaskFunction] = {}
# The present name of each function by the names that it had before.
_aliases: dict[str, str] = {}
# The registered names of functions by their paths.
_names: dict[str, str] = {}


def default_name(func: Callable[..., Any]) -> str:
    """Name a function after its app: `feeds.tasks.fetch_rss` becomes `feeds.fetch_rss`."""
    return f"{func.__module__.removesuffix('.tasks')}.{func.__name__}"


def register(function: TaskFunction) -> None:
    """Add a task function; adding the same function again adds to its kinds and aliases.

    Raises ValueError if another function already has the name, or one of the aliases, as its name,
    as its path or as an alias: a programming error.
    """
    _refuse_ambiguous(function)
    for name in (function.name, function.path):
        other = find(name)
        if other is not None and other.path != function.path:
            raise ValueError(f"Two task functions are named {name!r}: give one a name=.")
    known = _functions.get(function.name)
    if known is not None:
        function = TaskFunction(
            function.name,
            function.func,
            known.kinds | function.kinds,
            known.queue if function.queue == DEFAULT_QUEUE else function.queue,
            function.timeout or known.timeout,
            function.check or known.check,
            function.secret | known.secret,
            known.aliases | function.aliases,
            known.isolated if function.isolated is None else function.isolated,
            function.max_concurrent or known.max_concurrent,
            function.limit_key or known.limit_key,
        )
    _functions[function.name] = function
    _names.setdefault(function.path, function.name)
    _aliases.update(dict.fromkeys(function.aliases, function.name))


def _refuse_ambiguous(function: TaskFunction) -> None:
    """Raise ValueError if a name would stand for two functions."""
    if function.name in _aliases:
        raise ValueError(f"{function.name!r} is an alias of {_aliases[function.name]!r} already.")
    for alias in function.aliases:
        owner = alias if alias in _functions else _aliases.get(alias, function.name)
        if owner != function.name or alias == function.name:
            raise ValueError(f"{alias!r} can't be an alias of {function.name!r}: {owner!r} has it.")


def find(name: str) -> TaskFunction | None:
    """Return the task function with this name or alias, or at this path, as RQ names functions."""
    return _functions.get(present_name(name))


def used_queues() -> dict[str, str]:
    """Return the queues that registered functions name, each with the first of these functions."""
    queues: dict[str, str] = {}
    for name, function in sorted(_functions.items()):
        queues.setdefault(function.queue, name)
    return queues


def get(name: str) -> TaskFunction:
    """Return the task function with this name, alias or path; raises UnknownTaskFunction."""
    function = find(name)
    if function is None:
        raise UnknownTaskFunction(
            _("No task function is registered as “%(name)s”. Registered: %(known)s.")
            % {"name": name, "known": ", ".join(sorted(_functions)) or _("none")}
        )
    return function


def present_name(name: str) -> str:
    """Return the name of the function that has, or had, this name or path; else the name itself."""
    if name in _functions:
        return name
    return _aliases.get(name) or _names.get(name, name)


def has_check(name: str) -> bool:
    """Return whether a registered function of this name has a check."""
    function = find(name)
    return function is not None and function.check is not None


def is_isolated(name: str) -> bool | None:
    """Return whether the runs of a function get processes of their own, None if it doesn't say."""
    function = find(name)
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


def functions() -> list[TaskFunction]:
    """Return all task functions, in order of their names."""
    return [function for _name, function in sorted(_functions.items())]


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
    function = find(name)
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


def _check_containers(args: Any, kwargs: Any) -> None:
    if not isinstance(args, list):
        raise InvalidArguments(_("Positional arguments must be a JSON list, such as [1, 2]."))
    if not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
        raise InvalidArguments(_("Named arguments must be a JSON object with text keys."), "kwargs")


def _check_json(args: list[Any], kwargs: dict[str, Any]) -> None:
    if is_deeper(args) or is_deeper(kwargs):
        raise _too_deep()
    text = canonical_json([args, kwargs])
    if NUL_ESCAPE.search(text):
        raise InvalidArguments(_("Arguments can't contain the NUL character."))


def _too_deep() -> InvalidArguments:
    text = _("Arguments can be nested at most %(depth)d levels deep.") % {"depth": MAX_DEPTH}
    return InvalidArguments(text)
