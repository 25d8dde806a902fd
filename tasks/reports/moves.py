"""What-if: to which times a schedule could be moved, where its workers have more time. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tasks.exceptions import SpecError
from tasks.reports.simulation import DAY, SLOT, SUGGESTED, Planned, Simulation
from tasks.timing import spec as specs
from tasks.timing.moving import CannotMove, Refusal, moved
from tasks.timing.spec import Spec

# A time is only suggested if the workers are less busy then, by this share of their time.
WORTH_IT = 0.05
# Further than this nothing is moved.
FURTHEST = timedelta(minutes=10_000)


class Obstacle(StrEnum):
    """Why there is no better time for a schedule."""

    NO_WORKER = "no worker serves its queue"
    NOT_DUE = "it isn't due in what is played"
    TOO_OFTEN = "it is due so often that it has no time of its own"
    BOUND = "it can't be moved to the emptier times"
    NONE_EMPTIER = "no time is clearly emptier"


@dataclass(frozen=True, slots=True)
class Move:
    """A move in time: by how much, the spec after it, and how busy the workers are then at most."""

    by: timedelta
    spec: Spec
    busy: float


@dataclass(frozen=True, slots=True)
class Moves:
    """How busy the workers are at a schedule's present times, and what would be better.

    `obstacle` says why nothing would be.
    """

    busy_now: float = 0.0
    better: tuple[Move, ...] = ()
    obstacle: Obstacle | None = None


def moves_of(one: Planned, without: Simulation, now: datetime) -> Moves:
    """Return the emptiest times to which a schedule can be moved, the nearest of equals first.

    `without` is the simulation without this schedule. A time is as busy as the busiest slot that
    any of its runs needs.
    """
    load = without.queues.get(one.queue)
    busy = load.busy_by_kind.get(one.kind, ()) if load else ()
    if not busy:
        return Moves(obstacle=Obstacle.NO_WORKER)
    shifts = list(_shifts(one.spec))
    if not shifts:
        return Moves(obstacle=Obstacle.TOO_OFTEN)
    dues = list(_slots_of(one.spec, without))
    if not dues:
        return Moves(obstacle=Obstacle.NOT_DUE)
    needed = max(-(-one.takes // SLOT), 1)
    worst = _busiest(busy, needed)

    def rating(shift: int) -> float:
        found = [worst[at + shift] for at in dues if 0 <= at + shift < len(worst)]
        return max(found, default=1.0)

    present = rating(0)
    rated = sorted((round(rating(shift), 2), abs(shift), shift) for shift in shifts)
    worth_it = [entry for entry in rated if entry[0] <= present - WORTH_IT]
    better = tuple(_apart(worth_it, one.spec, needed, now))
    if better:
        return Moves(present, better)
    emptier = [shift for _busy, _distance, shift in worth_it]
    return Moves(present, (), _obstacle(one.spec, emptier or shifts, now))


def _obstacle(spec: Spec, shifts: Iterable[int], now: datetime) -> Obstacle:
    """Return why a schedule isn't moved by any of these shifts."""
    refusals = set()
    for shift in shifts:
        try:
            moved(spec, shift * SLOT, now)
        except CannotMove as error:
            refusals.add(error.refusal)
        except SpecError:
            refusals.add(Refusal.OUT_OF_RANGE)
        else:
            return Obstacle.NONE_EMPTIER
    if refusals <= {Refusal.STAYS, Refusal.WHOLE_INTERVALS}:
        return Obstacle.TOO_OFTEN
    return Obstacle.NOT_DUE if refusals == {Refusal.PASSED} else Obstacle.BOUND


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
