"""Watches the event loop of a coroutine child: a function that blocks it makes all others wait."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable

from tasks.runs.beside import GRACE_SECONDS, RunBeside
from tasks.worker.run_table import RunTable
from tasks.worker.shared_state import Run

logger = logging.getLogger(__name__)

# How often the loop says that it has come round, and how often that is looked at, in seconds.
BEAT_SECONDS = 0.5
# For how long the loop may stand still before that is logged, in seconds.
BLOCKED_SECONDS = 1.0

Culprit = tuple[Run, RunBeside]


class Watchdog:
    """A thread that names what blocks the loop, and kills this process if it goes on too long.

    `find` returns the run to which a task of asyncio belongs.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        table: RunTable,
        find: Callable[["asyncio.Task[object] | None"], Culprit | None],
    ) -> None:
        self._loop, self._table, self._find = loop, table, find
        self._loop_thread = threading.get_ident()
        # The beat since which the loop stands still, if that was logged.
        self._told = 0.0
        self._is_closed = threading.Event()
        threading.Thread(target=self._run, daemon=True, name="watchdog").start()

    def close(self) -> None:
        """Watch no more."""
        self._is_closed.set()

    def _run(self) -> None:
        while not self._is_closed.wait(BEAT_SECONDS):
            beat = self._table.last_beat
            if time.monotonic() - beat > BEAT_SECONDS + BLOCKED_SECONDS:
                self._look(beat)

    def _look(self, beat: float) -> None:
        culprit = self._find(asyncio.current_task(self._loop))
        frame = sys._current_frames().get(self._loop_thread)
        if self._table.last_beat != beat or frame is None:
            return
        if self._told != beat:
            self._told = beat
            self._tell(culprit, "".join(traceback.format_stack(frame)))
        if culprit is not None and _is_over(culprit[0]):
            self._table.blame(culprit[0], str(culprit[1].job.func_name))
            os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, culprit: Culprit | None, stack: str) -> None:
        name = "Something" if culprit is None else f"“{culprit[1].job.func_name}”"
        text = f"{name} blocks the event loop, and all that runs beside it:\n{stack}"
        logger.warning("%s", text)
        if culprit is not None:
            culprit[1].note(text)


def _is_over(run: Run) -> bool:
    """Return whether a run's time is over, and the grace period, too."""
    return run.timeout >= 0 and time.monotonic() > run.since + run.timeout + GRACE_SECONDS
