"""What-if: to which times a schedule could be moved, where its workers have more time. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.exceptions import SpecError
from tasks.reports.simulation import DAY, SLOT, SUGGESTED, Planned, Simulation
from tasks.timing import spec as specs
from tasks.timing.moving import CannotMove, moved
from tasks.timing.spec import Spec

# A time is only suggested if the workers are less busy then, by this share of their time.
WORTH_IT = 0.05
# Further than this nothing is moved.
FURTHEST = timedelta(minutes=10_000)


@dataclass(frozen=True, slots=True)
class Move:
    """A move in time: by how much, the spec after it, and how busy the workers are then at most."""

    by: timedelta
    spec: Spec
    busy: float


@dataclass(frozen=True, slots=True)
class Moves:
    """How busy the workers are at a schedule's present times, and what would be better."""

    busy_now: float
    better: tuple[Move, ...]


def moves_of(one: Planned, without: Simulation, now: datetime) -> Moves:
    """Return the emptiest times to which a schedule can be moved, the nearest of equals first.

    `without` is the simulation without this schedule. A time is as busy as the busiest slot that
    any of its runs needs. There are no better times without a worker, nor for what is due so often
    that it has no time of its own.
    """
    busy = without.queues[one.queue].busy if one.queue in without.queues else ()
    dues = list(_slots_of(one.spec, without)) if busy else []
    if not dues:
        return Moves(0.0, ())
    needed = max(-(-one.takes // SLOT), 1)
    worst = _busiest(busy, needed)

    def rating(shift: int) -> float:
        found = [worst[at + shift] for at in dues if 0 <= at + shift < len(worst)]
        return max(found, default=1.0)

    present = rating(0)
    rated = sorted((round(rating(shift), 2), abs(shift), shift) for shift in _shifts(one.spec))
    worth_it = (entry for entry in rated if entry[0] <= present - WORTH_IT)
    return Moves(present, tuple(_apart(worth_it, one.spec, needed, now)))


def _slots_of(spec: Spec, simulation: Simulation) -> Iterator[int]:
    with suppress(SpecError):  # It says so on its row (R7).
        for due in specs.dues(spec, simulation.begin, simulation.end):
            yield (due - simulation.begin) // SLOT


def _busiest(busy: Sequence[float], needed: int) -> list[float]:
    """Return, for each slot, how busy the busiest is of as many as are needed from it on."""
    found: list[float] = []
    window: deque[int] = deque()  # Slots of those needed, the busiest last.
    for at in reversed(range(len(busy))):
        while window and busy[window[0]] <= busy[at]:
            window.popleft()
        window.appendleft(at)
        if window[-1] >= at + needed:
            window.pop()
        found.append(busy[window[-1]])
    return found[::-1]


def _shifts(spec: Spec) -> Iterable[int]:
    """Return by how many slots a spec can be moved, to other times than its own."""
    if spec.cron is not None:
        most = DAY // SLOT - 1
        return (shift for shift in range(-most, most + 1) if shift)
    if spec.interval is None:
        return range(1, FURTHEST // SLOT)
    slots = timedelta(seconds=spec.interval) // SLOT
    most = min((slots - 1) // 2, FURTHEST // SLOT)
    return (shift for shift in range(-most, slots - most) if shift)


def _apart(
    rated: Iterable[tuple[float, int, int]], spec: Spec, needed: int, now: datetime
) -> Iterator[Move]:
    """Yield the first moves that are possible, at times that don't touch each other."""
    chosen: dict[int, Spec] = {}
    for busy, _distance, shift in rated:
        if len(chosen) == SUGGESTED:
            return
        if any(abs(shift - other) <= needed for other in chosen):
            continue
        by = shift * SLOT
        with suppress(CannotMove, SpecError):
            after = moved(spec, by, now)
            if after not in chosen.values():
                chosen[shift] = after
                yield Move(by, after, busy)
