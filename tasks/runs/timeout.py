"""A run's timeout: an alarm that covers the task function with its check, and nothing else."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, ClassVar

from rq.timeouts import BaseTimeoutException, UnixSignalDeathPenalty

POSTPONED_SECONDS = 0.05


class Deadline(UnixSignalDeathPenalty):
    """RQ's timeout by alarm, which the recorder can hold back, and which remembers that it fired.

    RQ starts it around the whole job. The recorder holds it back while it writes rows, and
    detects by `fired` that a function swallowed the exception.
    """

    _innermost: ClassVar["Deadline | None"] = None

    def __init__(
        self,
        timeout: int | None,
        exception: type[BaseTimeoutException] = BaseTimeoutException,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout or 0, exception, **kwargs)
        self.fired = False
        # Set while an exception would do damage; the alarm then goes off a moment later.
        self.is_postponed = False
        self._left = float(self._timeout)

    @classmethod
    def current(cls) -> "Deadline | None":
        """Return the deadline that is in force, None outside a worker."""
        return cls._innermost

    @classmethod
    @contextmanager
    def none(cls) -> Iterator[None]:
        """Have no deadline in force inside the block; the alarm goes on."""
        current, Deadline._innermost = Deadline._innermost, None
        try:
            yield
        finally:
            Deadline._innermost = current

    def __enter__(self) -> None:
        self._outer = Deadline._innermost
        Deadline._innermost = self
        super().__enter__()

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Any:
        Deadline._innermost = self._outer
        return super().__exit__(type, value, traceback)

    def handle_death_penalty(self, signum: int, frame: FrameType | None) -> None:
        if self.is_postponed:
            signal.setitimer(signal.ITIMER_REAL, POSTPONED_SECONDS)
            return
        self.fired = True
        super().handle_death_penalty(signum, frame)

    def setup_death_penalty(self) -> None:
        """Start the alarm for what is left of the timeout; there is none for a timeout of -1."""
        signal.signal(signal.SIGALRM, self.handle_death_penalty)
        signal.alarm(max(math.ceil(self._left), 0))

    @property
    def left(self) -> float:
        """How many seconds the function has, not positive if it has any number."""
        return self._left

    def spend(self, seconds: float) -> None:
        """Have the next alarm go off that much earlier, but not before a second has passed."""
        if self._left > 0:
            self._left = max(self._left - seconds, 1)

    def hold(self) -> None:
        """Stop the alarm."""
        signal.alarm(0)

    def error(self) -> BaseTimeoutException:
        """Return the exception that says what was exceeded."""
        return self._exception(f"Task exceeded maximum timeout value ({self._timeout} seconds)")
