"""Wakes a sleeping thread, to the millisecond."""

import select
import socket
from contextlib import suppress


class Alarm:
    """Rung by other threads and signal handlers: takes no lock that a handler could interrupt."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def ring(self) -> None:
        """Wake the thread that sleeps, or that sleeps next."""
        with suppress(BlockingIOError):  # It is ringing already.
            self._writer.send(b"x")

    def sleep(self, seconds: float) -> None:
        """Sleep this long, or until it rings."""
        ready, _, _ = select.select([self._reader], [], [], max(seconds, 0))
        if ready:
            with suppress(BlockingIOError):
                self._reader.recv(4096)
