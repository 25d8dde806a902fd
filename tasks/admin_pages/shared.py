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
    if is_fresh or key not in _kept:
        _kept[key] = time.monotonic() + seconds, make()
    found: T = _kept[key][1]
    return found


def forget() -> None:
    """Forget everything that is kept."""
    _kept.clear()
