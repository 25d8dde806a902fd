"""The run that this process is recording, and how its function reports progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class ProgressListener(Protocol):
    """What a recorder offers to the function that it records."""

    def on_progress(self, percent: int, message: str) -> None: ...


_listener: ContextVar[ProgressListener | None] = ContextVar("tasks_current_run", default=None)


@contextmanager
def listening(listener: ProgressListener) -> Iterator[None]:
    """Send `progress` calls made inside the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def progress(done: float, total: float, message: str = "") -> None:
    """Report that `done` of `total` is done, with an optional one-line message.

    The row shows it within half a second. Outside a recorded run this does nothing, so a
    task function can also be called directly. `done` is held between 0 and `total`.
    """
    listener = _listener.get()
    if listener is None:
        return
    percent = 0 if total <= 0 else int(100 * min(max(done / total, 0), 1))
    listener.on_progress(percent, message)
