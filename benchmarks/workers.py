"""Runs that wait on a queue, and workers that run them: how many runs a second are recorded."""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import stamps
from benchmarks.figures import Failed
from benchmarks.site import Environment, Site, counter

START_SECONDS = 30
ROW_SECONDS = 5
# The first 1/20 of the runs is not measured: workers are still warming up.
WARM_UP_SHARE = 20


@dataclass(frozen=True)
class Workers:
    """How the calls of a case are enqueued, run and counted.

    `enqueue` is a function for `benchmarks.call`, `commands` are the arguments of Python for each
    worker process (`BIN/x` is a script of the environment), `finished` is a query for the number of
    finished rows.
    """

    environment: Environment
    enqueue: str
    commands: tuple[tuple[str, ...], ...]
    finished: str

    def rate(self, site: Site, kind: str, number: int, seconds: float) -> float:
        """Return how many runs a second were recorded, until all were or `seconds` had passed."""
        with site.database(self.environment, kind) as database:
            site.call(self.environment, database, self.enqueue, number=number)
            with ExitStack() as stack:
                finished = stack.enter_context(counter(database, self.finished))
                for command in self.commands:
                    stack.enter_context(
                        site.running(self.environment, database, *self._resolved(command))
                    )
                site.wait_for(lambda: stamps.count(site.stamps) > 0, START_SECONDS)
                site.wait_for(lambda: stamps.count(site.stamps) >= number, seconds)
                ran = stamps.count(site.stamps)
                recorded = site.wait_for(lambda: finished() >= ran, ROW_SECONDS, 0.005)
                ended = time.time()
        if not ran:
            raise Failed("nothing ran")
        if not recorded:
            raise Failed(f"not all of {ran} runs were recorded within {ROW_SECONDS} s")
        started = stamps.read(site.stamps)[ran // WARM_UP_SHARE]
        return (ran - ran // WARM_UP_SHARE) / (ended - started)

    def _resolved(self, command: tuple[str, ...]) -> list[str]:
        return [part.replace("BIN", str(Path(self.environment.bin)), 1) for part in command]
