"""The lock by which the processes that write runs to a SQLite file take turns.

SQLite would let those that wait poll at ever longer intervals, of a millisecond or more.
"""

import fcntl
import logging
import os
import signal
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from types import FrameType

logger = logging.getLogger(__name__)

# How long a writer waits for its turn, in seconds: the holder of the lock may be frozen.
TURN_SECONDS = 2.0


@cache
def turn(process_id: int, database: str) -> AbstractContextManager[None]:
    """Return a process's own lock for a database: a fork would share its parent's."""
    return Turn(f"{database}-turn") if os.path.isfile(database) else nullcontext()


class _GivenUp(Exception):
    pass


class Turn:
    """A lock that only saves work (R4).

    Whoever has waited for it for `TURN_SECONDS` goes on without it, and waits no more until it is
    free again.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = open(path, "w")  # noqa: SIM115  (open as long as the process runs)
        self._is_stuck = False

    def __enter__(self) -> None:
        if self._try() or (not self._is_stuck and self._wait()):
            self._is_stuck = False
        elif not self._is_stuck:
            self._is_stuck = True
            logger.warning(
                "The process that holds %s has not written for %.0f s: going on without its lock.",
                *(self._path, TURN_SECONDS),
            )

    def __exit__(self, *exc_info: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(self) -> bool:
        """Wait for the lock; return whether it is taken."""
        is_main = threading.current_thread() is threading.main_thread()
        return self._block() if is_main else self._poll()

    def _block(self) -> bool:
        """Have the kernel hand the lock over, with an alarm that ends the wait.

        Polling costs two workers a fifth of their runs. An alarm that is set already goes off late
        by up to `TURN_SECONDS`.
        """
        is_waiting = True

        def give_up(signum: int, frame: FrameType | None) -> None:
            if is_waiting:  # The alarm may go off when the lock has just been taken.
                raise _GivenUp

        began = time.monotonic()
        left, interval = signal.setitimer(signal.ITIMER_REAL, 0)
        handler = signal.signal(signal.SIGALRM, give_up)
        try:
            signal.setitimer(signal.ITIMER_REAL, TURN_SECONDS)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            is_waiting = False
            return True
        except _GivenUp:
            return False
        finally:
            is_waiting = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)
            if left:
                left = max(left - (time.monotonic() - began), 0.001)
                signal.setitimer(signal.ITIMER_REAL, left, interval)

    def _poll(self) -> bool:
        """Look for the lock: alarms are for the main thread only."""
        give_up = time.monotonic() + TURN_SECONDS
        while time.monotonic() < give_up:
            time.sleep(0.001)
            if self._try():
                return True
        return False
