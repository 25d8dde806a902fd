"""The task function that the benchmarks run."""

from benchmarks.stamps import stamp
from tasks.decorators import scheduled_task


@scheduled_task
def noop(number: int = 0) -> None:
    """Do nothing but record when."""
    stamp()
