"""The thread-locals of a thread: what is in them, and how they become what they were.

Python offers no list of them. Up to version 3.12 the dictionary of a thread's state has an entry
for each; without it, the thread-local is for this thread as if it had never been used. From 3.13
on there is no such entry, and thread-locals stay as a function leaves them.
"""

import ctypes
import threading
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# An entry's key is this and the address of the object.
PREFIX = "thread.local."
# What asgiref adds to Django's connections when they are used in a coroutine.
ASGIREF_NAME = "cvar"


def _entries() -> dict[Any, Any]:
    """Return the dictionary of this thread's state, an empty one if it has no thread-locals."""
    get = ctypes.pythonapi.PyThreadState_GetDict
    get.restype, get.argtypes = ctypes.c_void_p, []
    address = get()
    if not address:
        return {}
    entries: dict[Any, Any] = ctypes.cast(address, ctypes.py_object).value
    probe = threading.local()
    probe.value = 1
    key = f"{PREFIX}{id(probe):#x}"
    if key not in entries:
        return {}
    del entries[key]
    return {} if hasattr(probe, "value") else entries


def _of(key: str) -> threading.local:
    """Return the thread-local of an entry, which exists as long as the entry does."""
    local: threading.local = ctypes.cast(int(key.removeprefix(PREFIX), 16), ctypes.py_object).value
    return local


class ThreadLocals:
    """The thread-locals of this thread, as they are when this object is made.

    Those in which Django keeps its database connections are left alone.
    """

    def __init__(self) -> None:
        self._entries = _entries()
        self._known: dict[str, tuple[threading.local, dict[str, Any] | None]] = {}
        for key in filter(_is_local, list(self._entries)):
            local = _of(key)
            self._known[key] = local, None if _has_connections(local) else dict(vars(local))

    def read(self) -> bool:
        """Return whether they are as they were."""
        return not any(map(self._has_changed, list(self._entries)))

    def restore(self, before: bool) -> None:
        """Give them their values again; those that have been used since are as if they were new."""
        for key in filter(self._has_changed, list(self._entries)):
            local, values = self._known.get(key, (None, None))
            if local is None or values is None:
                del self._entries[key]
            else:
                vars(local).clear()
                vars(local).update(values)

    def _has_changed(self, key: Any) -> bool:
        known = self._known.get(key)
        if known is None:
            return self._is_new(key)
        local, values = known
        return values is not None and vars(local) != values

    def _is_new(self, key: Any) -> bool:
        if not _is_local(key):
            return False
        local = _of(key)
        if not _has_connections(local):
            return True
        self._known[key] = local, None
        return False


def _is_local(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(PREFIX)


def _has_connections(local: threading.local) -> bool:
    values = vars(local)
    return values.keys() <= {*connections, ASGIREF_NAME} and any(
        isinstance(value, BaseDatabaseWrapper) for value in values.values()
    )
