"""What a task function changes in its process, and how the next run is kept from it (R14).

`PIECES` is the table of what is restored; `docs/architecture.md` has the same one for people. What
has no row there, such as module globals, caches and open files, stays: `isolated` gives a run a
process of its own.
"""

import asyncio
import decimal
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import time
import warnings
import weakref
from _signal import getsignal  # type: ignore[import-not-found]  # 20 times as fast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.dispatch import Signal

from tasks.runs.thread_locals import ThreadLocals

logger = logging.getLogger(__name__)

# SIGALRM is the deadline's; the other two can't be handled.
_UNTOUCHED = {signal.SIGALRM, signal.SIGKILL, signal.SIGSTOP}
SIGNALS = tuple(int(number) for number in signal.valid_signals() - _UNTOUCHED if number < 32)
TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
LIMITS = tuple(
    getattr(resource, f"RLIMIT_{name}")
    for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK")
    if hasattr(resource, f"RLIMIT_{name}")
)
SYS_NAMES = ("stdin", "stdout", "stderr", "excepthook", "unraisablehook", "displayhook")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a process's state: its name, and how it is read and restored."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]


class ProcessState:
    """The state of this process when its code had started, to which each run is to return."""

    def __init__(self) -> None:
        self._before: list[tuple[Piece, Any]] = []
        self._decimal: decimal.Context | None = None
        # The functions that have changed something, each with the name of the piece.
        self.told: set[tuple[str, str]] = set()

    def remember(self) -> None:
        """Note the state, the first time that this is called: before the first run.

        Every time, the calling context gets a copy of the decimal context, which is an object that
        a function can change in place.
        """
        if self._decimal is None:
            self._decimal = decimal.getcontext().copy()
            self._before = [(piece, _copied(piece.read())) for piece in pieces()]
        decimal.setcontext(self._decimal.copy())

    def restore(self, function: str) -> bool:
        """Restore what a function has changed; return False if some of it can't be restored.

        Then another process must take over before the next run.
        """
        if self._is_as_before():
            return True
        changed = [(piece, before) for piece, before in self._before if not _is(piece, before)]
        errors = [_restore(piece, before) for piece, before in changed]
        lost = [
            f"{piece.name} ({error})" if error else piece.name
            for (piece, before), error in zip(changed, errors, strict=True)
            if not _is(piece, before)
        ]
        self._tell(function, [piece.name for piece, _ in changed])
        if lost:
            logger.warning(
                "“%s” changed what can't be restored in its process, which is replaced: %s.",
                *(function, ", ".join(lost)),
            )
        return not lost

    def _is_as_before(self) -> bool:
        """Return whether all of it is what it was; a second look says what isn't."""
        try:
            return [piece.read() for piece, _ in self._before] == [old for _, old in self._before]
        except Exception:  # whatever an object raises that the function has put there
            return False

    def _tell(self, function: str, names: list[str]) -> None:
        """Log what a function has changed, once for each function and piece."""
        new = [name for name in names if (function, name) not in self.told]
        self.told.update((function, name) for name in new)
        if new:
            logger.info(
                "“%s” changed the state of its process, which was restored: %s.",
                *(function, ", ".join(new)),
            )


def _copied(value: Any) -> Any:
    """Return a copy of what was read, which doesn't change when the state does."""
    if isinstance(value, tuple):
        return tuple(map(_copied, value))
    return value.copy() if type(value) in (dict, list) else value


def _is(piece: Piece, before: Any) -> bool:
    try:
        return bool(piece.read() == before)
    except Exception:  # whatever an object raises that the function has put there
        return False


def _restore(piece: Piece, before: Any) -> Exception | None:
    """Restore a piece; return what kept that from being done."""
    try:
        piece.restore(before)
    except Exception as error:
        return error
    return None


def pieces() -> list[Piece]:
    """Return the table of what is restored after each run."""
    receivers, log_levels, thread_locals = _Receivers(), _LogLevels(), ThreadLocals()
    return [
        Piece("environment variables", _environment, _set_environment),
        Piece("time zone of the process", lambda: (time.tzname, time.timezone), _set_zone),
        Piece("working directory", _directory, _set_directory),
        Piece("file mode mask (umask)", _umask, os.umask),
        Piece("user and group", _user, _set_user),
        Piece("locale", _locale, lambda old: locale.setlocale(locale.LC_ALL, old)),
        Piece("default socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
        Piece("import path (sys.path)", lambda: sys.path, _set_path),
        Piece("standard streams and hooks", _sys, _set_sys),
        Piece("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        Piece("tracing and profiling", _tracing, _set_tracing),
        Piece("garbage collector", _gc, _set_gc),
        Piece("warning filters", lambda: warnings.filters, _set_filters),
        Piece("logging levels and root handlers", log_levels.read, log_levels.restore),
        Piece("priority (nice)", _priority, _set_priority),
        Piece("blocked signals", _blocked, _set_blocked),
        Piece("signal handlers", _handlers, _set_handlers),
        Piece("timers", _timers, _set_timers),
        Piece("resource limits", _limits, _set_limits),
        Piece("event loop policy", asyncio.get_event_loop_policy, asyncio.set_event_loop_policy),
        Piece("receivers of Django's signals", receivers.read, receivers.restore),
        Piece("Django settings", _settings, _set_settings),
        Piece("thread-locals", thread_locals.read, thread_locals.restore),
    ]


def _environment() -> Any:
    return os.environ, os.environ._data  # type: ignore[attr-defined]


def _set_environment(before: Any) -> None:
    os.environ, values = before
    for name in os.environb.keys() - values.keys():
        del os.environb[name]
    for name, value in values.items():
        os.environb[name] = value
    time.tzset()


def _set_zone(before: Any) -> None:
    time.tzset()


def _directory() -> str:
    """Return the working directory; a process whose own has been deleted gets another one."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        os.chdir("/")
        return "/"


def _set_directory(before: str) -> None:
    os.chdir(before)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _user() -> tuple[int, ...]:
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid()


def _set_user(before: tuple[int, ...]) -> None:
    os.seteuid(before[1])
    os.setegid(before[3])


def _locale() -> str:
    return locale.setlocale(locale.LC_ALL)


def _set_path(before: list[str]) -> None:
    sys.path = before.copy()


def _sys() -> tuple[Any, ...]:
    return tuple([getattr(sys, name) for name in SYS_NAMES])


def _set_sys(before: tuple[Any, ...]) -> None:
    for name, value in zip(SYS_NAMES, before, strict=True):
        setattr(sys, name, value)


def _tracing() -> Any:
    return sys.gettrace(), sys.getprofile()


def _set_tracing(before: Any) -> None:
    sys.settrace(before[0])
    sys.setprofile(before[1])


def _gc() -> Any:
    return gc.isenabled(), gc.get_threshold(), gc.get_debug()


def _set_gc(before: Any) -> None:
    is_enabled, threshold, debug = before
    gc.set_threshold(*threshold)
    gc.set_debug(debug)
    if is_enabled:
        gc.enable()
    else:
        gc.disable()


def _set_filters(before: list[Any]) -> None:
    with warnings.catch_warnings():
        pass  # It drops what Python has cached of the filters.
    warnings.filters[:] = before  # type: ignore[index]


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def _set_priority(before: int) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, before)


def _blocked() -> set[Any]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _set_blocked(before: set[Any]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handlers() -> list[Any]:
    return [getsignal(number) for number in SIGNALS]


def _set_handlers(before: list[Any]) -> None:
    for number, handler in zip(SIGNALS, before, strict=True):
        if handler is not None and getsignal(number) is not handler:
            signal.signal(number, handler)


def _timers() -> list[bool]:
    return [signal.getitimer(timer)[0] > 0 for timer in TIMERS]


def _set_timers(before: list[bool]) -> None:
    for timer in TIMERS:
        signal.setitimer(timer, 0)


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(limit) for limit in LIMITS]


def _set_limits(before: list[tuple[int, int]]) -> None:
    errors = []
    for limit, values in zip(LIMITS, before, strict=True):
        try:
            resource.setrlimit(limit, values)
        except (ValueError, OSError) as error:
            errors.append(error)
            hard = resource.getrlimit(limit)[1]
            resource.setrlimit(limit, (hard, hard))
    if errors:
        raise errors[0]


def _settings() -> Any:
    wrapped = settings._wrapped  # type: ignore[misc]
    return id(wrapped), wrapped, vars(wrapped)


def _set_settings(before: Any) -> None:
    _, wrapped, values = before
    vars(wrapped).clear()
    vars(wrapped).update(values)
    settings._wrapped = wrapped  # It drops the values that Django has cached.


class _LogLevels:
    """The levels of the loggers that there are, and the root's handlers."""

    def __init__(self) -> None:
        # A name that only has loggers below it gets its own: a function may give it a level.
        self._loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]

    def read(self) -> Any:
        root = logging.root
        return (
            (root.manager.disable, root.level, root.handlers),
            [one.level for one in self._loggers],
            [one.disabled for one in self._loggers],
        )

    def restore(self, before: Any) -> None:
        (disable, root_level, handlers), levels, disabled = before
        logging.disable(disable)
        logging.root.setLevel(root_level)
        logging.root.handlers[:] = handlers
        for one, level, is_disabled in zip(self._loggers, levels, disabled, strict=True):
            one.setLevel(level)
            one.disabled = is_disabled


class _Receivers:
    """The receivers of the signals that there are.

    Those of a module that was imported meanwhile stay: it is imported only once.
    """

    def __init__(self) -> None:
        self._modules = frozenset(sys.modules)
        self._all = signals()
        self._before = [one.receivers.copy() for one in self._all]

    def read(self) -> bool:
        """Return whether the receivers are those that there were."""
        present = [one.receivers for one in self._all]
        return present == self._before or present == list(
            map(self._wanted, self._all, self._before)
        )

    def restore(self, before: bool) -> None:
        for one, receivers in zip(self._all, self._before, strict=True):
            wanted = self._wanted(one, receivers)
            if one.receivers != wanted:
                with one.lock:
                    one.receivers = wanted
                    one.sender_receivers_cache.clear()

    def _wanted(self, one: Signal, before: list[Any]) -> list[Any]:
        known = set(map(id, before))
        added = [entry for entry in one.receivers if id(entry) not in known]
        return [*before, *filter(self._is_imported, added)]

    def _is_imported(self, entry: Any) -> bool:
        receiver = entry[1]() if isinstance(entry[1], weakref.ReferenceType) else entry[1]
        module = getattr(receiver, "__module__", None)
        is_at_top = "<" not in getattr(receiver, "__qualname__", "<")
        return is_at_top and module in sys.modules and module not in self._modules


@cache
def signals() -> tuple[Signal, ...]:
    """Return the signals that the modules of this process define; found once, which takes 10 ms."""
    found = {
        id(value): value
        for module in list(sys.modules.values())
        for value in list(getattr(module, "__dict__", {}).values())
        if issubclass(type(value), Signal)
    }
    return tuple(found.values())
