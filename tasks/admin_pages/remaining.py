"""How long a running run will still take. Pure: durations in, an estimate out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

# Fewer earlier runs than this say nothing.
LEAST_EARLIER = 3


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

    `earlier` are the durations of earlier runs that finished. Two guesses are weighed: that it goes
    on at its own pace, and that it takes as long as earlier ones did. The further it is, the more
    its own pace counts: at 30 % by 30 %. A guess that can't be made, or that has turned out wrong
    because the run has taken longer already, leaves it to the other one.
    """
    usual = sorted(earlier)[len(earlier) // 2] if len(earlier) >= LEAST_EARLIER else None
    by_pace = elapsed * (100 - percent) / percent if 0 < percent < 100 else None
    by_usual = usual - elapsed if usual is not None and usual > elapsed else None
    if by_pace is None or by_usual is None:
        left = by_usual if by_pace is None else by_pace
    else:
        left = (by_pace * percent + by_usual * (100 - percent)) / 100
    return Remaining(left, usual, len(earlier), usual is not None and by_usual is None)
