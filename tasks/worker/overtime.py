"""Whether a run ignores its timeout. Pure: the time is given."""

from tasks.worker.shared_state import Run

# A run that is still running this long after its timeout is killed.
GRACE_SECONDS = 5.0
# A worker that hasn't looked at its run for this long was stopped, and maybe so was the run.
GAP_SECONDS = 3.0


class Overtime:
    """Remembers for how long a run has been seen to run on after its timeout.

    All times are what `time.monotonic` says. After a time in which the worker was stopped, the run
    has its grace period again: it may have been stopped with its worker, and then ends by itself.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._counts_from = 0.0
        self._looked = 0.0
        # The execution that was killed for it.
        self.killed = ""

    def is_over(self, run: Run, now: float) -> bool:
        """Return whether the current run has ignored its timeout for `GRACE_SECONDS`."""
        if run != self._run:
            self._run, self._looked = run, run.since
            self._counts_from = run.since + run.timeout
        if now - self._looked > GAP_SECONDS:
            self._counts_from = max(self._counts_from, now)
        self._looked = now
        return run.timeout >= 0 and now >= self._counts_from + GRACE_SECONDS

    def look_away(self, now: float) -> None:
        """Note that the worker did something else up to now, such as waiting for Redis."""
        self._looked = now
