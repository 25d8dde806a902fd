"""Wakes a thread that sleeps until a moment, to the millisecond."""

import select
import socket
from contextlib import suppress


class Alarm:
    """Rung by other threads and by signal handlers: no lock is taken that one could interrupt."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def ring(self) -> None:
        """Wake who sleeps, or who will sleep next."""
        with suppress(BlockingIOError):  # Then it is ringing already.
            self._writer.send(b"x")

    def sleep(self, seconds: float) -> None:
        """Sleep so long, or until it rings."""
        ready, _, _ = select.select([self._reader], [], [], max(seconds, 0))
        if ready:
            with suppress(BlockingIOError):
                self._reader.recv(4096)
