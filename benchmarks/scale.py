"""How large the measurements are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The sizes of all questions: the issue's own by default."""

    due: int = 10_000
    schedules: tuple[int, int] = (100_000, 1_000_000)
    seconds: int = 30
    # For how long drift is waited for, and for how long starts are looked at before and after.
    drift: tuple[int, int] = (3600, 60)
    # What each peer's number of runs is divided by.
    fewer_runs: int = 1


FULL = Scale()
# To try the benchmarks themselves: nothing of it is worth quoting.
QUICK = Scale(due=500, schedules=(1_000, 10_000), seconds=5, drift=(20, 5), fewer_runs=10)
