"""Memory: how much the scheduler's process needs when there are a great many schedules."""

import threading
import time

import psutil

from benchmarks.figures import Failed, Figure, Values, at_most
from benchmarks.keys import SCHEDULES_KEY
from benchmarks.questions import Case, Question
from benchmarks.scale import Scale
from benchmarks.site import OURS, SQLITE, Site

TIMEOUT_SECONDS = 600
# For the scheduler's other work after it has compared Redis with all rows.
AFTERWARDS_SECONDS = 15
MEGABYTE = 1_000_000


def question(scale: Scale) -> Question:
    """Return the question for `scale.schedules[1]` schedules."""
    number = scale.schedules[1]
    return Question(
        "memory",
        (
            Figure("peak", f"scheduler with {number:,} schedules, peak RSS, MB", at_most(200)),
            Figure("reconciled", "the same: Redis compared with all rows, s"),
        ),
        (Case("**this project**", lambda site: _measure(site, number), ours=True),),
        repetitions=1,
    )


def _measure(site: Site, number: int) -> Values:
    with site.database(OURS, SQLITE) as database:
        site.call(OURS, database, "benchmarks.ours.schedules:none_due", number=number)
        with site.running(OURS, database, "manage.py", "rqscheduler") as scheduler:
            watch = _Watch(psutil.Process(scheduler.pid))
            started = time.monotonic()
            reconciled = site.wait_for(
                lambda: site.valkey.client.zcard(SCHEDULES_KEY) == number, TIMEOUT_SECONDS
            )
            seconds = time.monotonic() - started
            time.sleep(AFTERWARDS_SECONDS)
            peak = watch.stop()
    if not reconciled:
        raise Failed(
            f"Redis was not compared with all rows within {TIMEOUT_SECONDS} s;"
            f" peak until then {peak / MEGABYTE:.0f} MB"
        )
    return {"peak": peak / MEGABYTE, "reconciled": seconds}


class _Watch:
    """Measures the most memory that a process and its children have had at once."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._peak = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Stop and return the peak in bytes."""
        self._stopped.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._stopped.wait(0.2):
            try:
                processes = [self._process, *self._process.children(recursive=True)]
                self._peak = max(
                    self._peak, sum(process.memory_info().rss for process in processes)
                )
            except psutil.NoSuchProcess:
                continue
