"""The thread-locals of a thread: what is in them, and how they become what they were.

Python offers no list of them. Up to version 3.12 the dictionary of a thread's state has an entry
for each; without it, the thread-local is for this thread as if it had never been used. From 3.13
on there is no such entry: those that exist at the start are looked for among all objects, and
those that are made later are not found.
"""

import ctypes
import gc
import threading
from contextlib import suppress
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# An entry's key is this and the address of the object.
PREFIX = "thread.local."
# What asgiref adds to Django's connections when they are used in a coroutine.
ASGIREF_NAME = "cvar"


class ThreadLocals:
    """The thread-locals of this thread, as they are when `read` is called first.

    Those in which Django keeps its database connections are left alone.
    """

    def __init__(self) -> None:
        # Its keys are those of the thread-locals in use.
        self._in_use: dict[Any, Any] | None = None
        # Each with its values at the start, None if it is left alone.
        self._known: dict[Any, tuple[threading.local, dict[str, Any] | None]] = {}

    def read(self) -> bool:
        """Return whether they are as they were."""
        if self._in_use is None:
            self._in_use = self._find()
        return not any(map(self._has_changed, list(self._in_use)))

    def restore(self, before: bool) -> None:
        """Give them their values again; those that have been used since are as if they were new."""
        in_use = self._in_use or {}
        for key in filter(self._has_changed, list(in_use)):
            local, values = self._known.get(key, (None, None))
            if local is None or values is None:
                del in_use[key]
            else:
                vars(local).clear()
                vars(local).update(values)

    def _find(self) -> dict[Any, Any]:
        entries = entries_of_this_thread()
        if entries is None:
            found = [one for one in gc.get_objects() if issubclass(type(one), threading.local)]
            locals_by_key: dict[Any, threading.local] = {id(one): one for one in found}
        else:
            locals_by_key = {key: _of(key) for key in filter(_is_local, list(entries))}
        for key, local in locals_by_key.items():
            with suppress(Exception):  # whatever its class does when this thread first uses it
                self._known[key] = local, dict(vars(local))
        return self._known if entries is None else entries

    def _has_changed(self, key: Any) -> bool:
        known = self._known.get(key)
        if known is None:
            if not _is_local(key):
                return False
            local, values = _of(key), None
        else:
            local, values = known
            if values is None or vars(local) == values:
                return False
        if not _has_connections(local):
            return True
        self._known[key] = local, None
        return False


def entries_of_this_thread() -> dict[Any, Any] | None:
    """Return the dictionary of this thread's state; None if it has no thread-locals."""
    get = ctypes.pythonapi.PyThreadState_GetDict
    get.restype, get.argtypes = ctypes.c_void_p, []
    probe = threading.local()
    probe.value = 1
    address = get()
    if not address:
        return None
    entries: dict[Any, Any] = ctypes.cast(address, ctypes.py_object).value
    key = f"{PREFIX}{id(probe):#x}"
    if key not in entries:
        return None
    del entries[key]
    return None if hasattr(probe, "value") else entries


def _is_local(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(PREFIX)


def _of(key: str) -> threading.local:
    """Return the thread-local of an entry, which exists as long as the entry does."""
    address = int(key.removeprefix(PREFIX), 16)
    local: threading.local = ctypes.cast(address, ctypes.py_object).value
    return local


def _has_connections(local: threading.local) -> bool:
    values = vars(local)
    return values.keys() <= {*connections, ASGIREF_NAME} and any(
        isinstance(value, BaseDatabaseWrapper) for value in values.values()
    )
