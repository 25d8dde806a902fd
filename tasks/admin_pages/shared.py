"""What was worked out for a page, kept for a moment in this process for who may see the same."""

import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
# Until when something is kept, and what it is, by whose it is.
_kept: dict[Hashable, tuple[float, Any]] = {}


def kept(key: Hashable, seconds: float, make: Callable[[], T], *, is_fresh: bool = False) -> T:
    """Return what is kept under a key; or make it, and keep it for so many seconds.

    The key says all on which it depends: what it is, what the viewer may see, the language, the
    zone. If it is to be fresh, it is made in any case.
    """
    now = time.monotonic()
    for other in [other for other, (until, _) in list(_kept.items()) if until <= now]:
        _kept.pop(other, None)
    # Another thread may change what is kept at any line.
    known = None if is_fresh else _kept.get(key)
    found: T = make() if known is None else known[1]
    if known is None:
        _kept[key] = time.monotonic() + seconds, found
    return found


def forget() -> None:
    """Forget everything that is kept."""
    _kept.clear()
