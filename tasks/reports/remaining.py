"""How long a running run will still take. Pure: durations in, an estimate out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

# Fewer earlier runs than this say nothing.
LEAST_EARLIER = 3
# Before it is so far, in percent, a run's own pace says nothing: at 1 % it may be 0.5 or 1.5.
LEAST_PERCENT = 5


@dataclass(frozen=True, slots=True)
class Remaining:
    """An estimate: `left` is None if nothing can be said, or if the run should have ended by now.

    `usual` is what the `number` of earlier runs took, the middle one of them; None if there are
    too few. `is_longer`: this run has taken longer than that already.
    """

    left: timedelta | None
    usual: timedelta | None
    number: int
    is_longer: bool


def remaining(percent: int, elapsed: timedelta, earlier: Sequence[timedelta]) -> Remaining:
    """Estimate how long a run still takes that is so far after so long.

    `earlier` are the durations of earlier runs that finished.
    """
    usual = sorted(earlier)[len(earlier) // 2] if len(earlier) >= LEAST_EARLIER else None
    left = time_left(percent, elapsed, usual)
    return Remaining(left, usual, len(earlier), usual is not None and usual <= elapsed)


def time_left(percent: int, elapsed: timedelta, usual: timedelta | None) -> timedelta | None:
    """Return how long a run still takes that is so far after so long, None if nobody can say.

    Two guesses are weighed: that it goes on at its own pace, and that it takes as long as `usual`.
    The further it is, the more its own pace counts: at 30 % by 30 %. A guess that can't be made, or
    that has turned out wrong because the run has taken longer already, leaves it to the other one.
    """
    by_pace = elapsed * (100 - percent) / percent if LEAST_PERCENT <= percent < 100 else None
    by_usual = usual - elapsed if usual is not None and usual > elapsed else None
    if by_pace is None or by_usual is None:
        return by_usual if by_pace is None else by_pace
    return (by_pace * percent + by_usual * (100 - percent)) / 100
