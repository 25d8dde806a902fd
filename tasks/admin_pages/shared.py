"""What was worked out for a page, kept for a moment in this process for who may see the same."""

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")
# Until when something is kept, and what it is, by whose it is.
_kept: dict[Hashable, tuple[float, Any]] = {}
# Who makes something, while it is made.
_makers: dict[Hashable, Lock] = {}
# How long others wait for it, in seconds, before they make it themselves.
PATIENCE = 60.0


def kept(key: Hashable, seconds: float, make: Callable[[], T], *, is_fresh: bool = False) -> T:
    """Return what is kept under a key; or make it, and keep it for so many seconds.

    The key says all on which it depends: what it is, what the viewer may see, the language, the
    zone. One thread makes it while others that ask for the same wait; if it fails, the next one
    tries. If it is to be fresh, it is made in any case, at once.
    """
    if is_fresh:
        return _made(key, seconds, make)
    if (known := _known(key)) is not None:
        found: T = known[1]
        return found
    maker = _makers.setdefault(key, Lock())
    is_in_turn = maker.acquire(timeout=PATIENCE)
    try:
        known = _known(key)
        return _made(key, seconds, make) if known is None else known[1]
    finally:
        if is_in_turn:
            _makers.pop(key, None)
            maker.release()


def _known(key: Hashable) -> tuple[float, Any] | None:
    """Return what is kept under a key, and until when; what is older is forgotten.

    Another thread may change what is kept at any line.
    """
    now = time.monotonic()
    for other in [other for other, (until, _) in list(_kept.items()) if until <= now]:
        _kept.pop(other, None)
    return _kept.get(key)


def _made(key: Hashable, seconds: float, make: Callable[[], T]) -> T:
    found = make()
    _kept[key] = time.monotonic() + seconds, found
    return found


def forget() -> None:
    """Forget everything that is kept."""
    _kept.clear()
