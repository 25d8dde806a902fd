"""How large the measurements are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The sizes of all questions; the full ones by default."""

    due: int = 10_000
    schedules: tuple[int, int] = (100_000, 1_000_000)
    seconds: int = 30
    # Seconds for which drift adds up, and seconds for which starts are measured before and after.
    drift: tuple[int, int] = (3600, 60)
    # Coroutines that wait: how many are due at once, and how many are under way for the memory.
    waiting: tuple[int, int] = (2_000, 1_000)
    # What each peer's number of runs is divided by.
    fewer_runs: int = 1
    # Schedules whose runs are deleted, how many each keeps, and how many wait to be run meanwhile.
    kept: tuple[int, int, int] = (20, 2_500, 60_000)
    # Schedules, runs in PostgreSQL, and runs in SQLite.
    pages: tuple[int, int, int] = (10_000, 1_000_000, 200_000)
    # Feeds that are polled at once, and feeds that are polled beside hostile ones.
    feeds: tuple[int, int] = (2_000, 20)


FULL = Scale()
# To try the benchmarks themselves: these figures mean nothing.
QUICK = Scale(
    due=500,
    schedules=(1_000, 10_000),
    seconds=5,
    drift=(20, 5),
    waiting=(400, 200),
    fewer_runs=10,
    kept=(5, 400, 5_000),
    pages=(500, 20_000, 5_000),
    feeds=(100, 5),
)
