"""Shows on the rows of runs, while they run, how far they are and what they have logged."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Protocol

from django.db import Error, connections

from tasks.database import OUTAGE_ERRORS
from tasks.outages import database_outage
from tasks.runs.processes import fork

logger = getLogger(__name__)

# How often progress and log are written if they have changed, in seconds.
PROGRESS_EVERY = 0.5
LOG_EVERY = 2.0


class Live(Protocol):
    """A run that can write to its row how far it is."""

    def write_live(self, with_log: bool) -> None: ...


class LiveWriter:
    """Writes the progress and the log of the runs of this process to their rows, from a thread.

    The thread and its database connection live as long as the process: a run of less than half a
    second costs nothing.
    """

    def __init__(self) -> None:
        # How often each run has been looked at, as a list of one number.
        self._looks: dict[Live, list[int]] = {}
        self._working = threading.Lock()
        threading.Thread(target=self._run, daemon=True, name="live writer").start()

    @contextmanager
    def watching(self, run: Live) -> Iterator["LiveWriter"]:
        """Write to the row of a run inside the block."""
        self._looks[run] = [0]
        try:
            yield self
        finally:
            del self._looks[run]

    def fork(self) -> int:
        """Fork this process while the thread holds nothing that the fork would wait for."""
        with self._working:
            return fork()

    def _run(self) -> None:
        pause, had_runs = threading.Event(), False
        while not pause.wait(PROGRESS_EVERY):
            with self._working:
                runs = list(self._looks)
                for run in runs:
                    self._look(run)
                if had_runs and not runs:
                    connections.close_all()
                had_runs = bool(runs)

    def _look(self, run: Live) -> None:
        looks = self._looks.get(run)
        if looks is not None:
            looks[0] += 1
            self._write(run, with_log=looks[0] % (LOG_EVERY // PROGRESS_EVERY) == 0)

    def _write(self, run: Live, with_log: bool) -> None:
        try:
            run.write_live(with_log)
        except OUTAGE_ERRORS as error:
            database_outage.report(error)
            connections.close_all()
        except Error:
            logger.warning("The progress of a run can't be written now.", exc_info=True)
            connections.close_all()


_live_writers: dict[int, LiveWriter] = {}


def live_writer() -> LiveWriter:
    """Return this process's live writer: a fork has no threads, so it makes its own."""
    pid = os.getpid()
    if pid not in _live_writers:
        _live_writers.clear()
        _live_writers[pid] = LiveWriter()
    return _live_writers[pid]
