"""How many jobs a plain child takes at a time: more than one only while its runs are short."""

# What is taken ahead waits for about so long at most, in seconds, if the runs stay as short.
AHEAD_SECONDS = 0.02
MOST_AT_A_TIME = 8


class Pace:
    """How many jobs to take in the next step, by how long the runs since the last one took.

    A step takes about as long as a short run, however many jobs it takes. A child begins with one.
    After each step that took as many jobs as it could, and whose runs were short, there are twice
    as many. Times are in seconds, by `time.monotonic`.
    """

    def __init__(self) -> None:
        self._number = 1
        self._taken, self._since = 0, 0.0

    def took(self, number: int, now: float) -> None:
        """Note that a step has just taken so many jobs."""
        self._taken, self._since = number, now

    def next(self, now: float) -> int:
        """Return how many jobs the next step takes, now that those of the last one have run."""
        fitting = int(AHEAD_SECONDS * self._taken / max(now - self._since, 1e-6))
        is_full = self._taken >= self._number
        self._number = max(1, min(2 * self._number if is_full else 1, fitting, MOST_AT_A_TIME))
        self._taken = 0
        return self._number
