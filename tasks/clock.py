"""The one clock: Redis's, as this process last read it, and carried on from there (R12).

What is due, late or over is judged by `now`. Lengths of time are measured with `elapsed_clock`,
which a step of the system's clock doesn't touch and which counts the time that a machine was
suspended. `tasks.broker.clock` reads Redis's clock.
"""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime

# A reading that differs by more than this from what was expected means that Redis's clock was
# set, in seconds. It is added to the length of the round trip, within which nothing is known.
STEP_SECONDS = 0.5
# From which offset of its own clock a process says so, in seconds.
NOTABLE_OFFSET_SECONDS = 2.0


def elapsed_clock() -> float:
    """Return seconds since some fixed point, counting suspension where the system can."""
    return time.clock_gettime(_CLOCK)


_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What Redis's clock said, in seconds since the Unix epoch, and when by `elapsed_clock`."""

    seconds: float
    at: float


@dataclass(slots=True)
class _State:
    reading: _Reading | None = None
    stepped_at: float = -math.inf


_state = _State()


def timestamp() -> float:
    """Return the time in seconds since the Unix epoch, by Redis's clock.

    As long as this process has never read Redis's clock, it is the system's.
    """
    reading = _state.reading
    if reading is None:
        return time.time()
    return reading.seconds + elapsed_clock() - reading.at


def now() -> datetime:
    """Return the time by Redis's clock, aware, in UTC."""
    return datetime.fromtimestamp(timestamp(), UTC)


def observe(seconds: float, sent: float, received: float) -> bool:
    """Take over a reading of Redis's clock; return whether that clock was set since the last one.

    `seconds` since the Unix epoch is what it said, somewhere between `sent` and `received` by
    `elapsed_clock`.
    """
    at = (sent + received) / 2
    reading = _state.reading
    _state.reading = _Reading(seconds, at)
    if reading is None:
        return False
    expected = reading.seconds + at - reading.at
    has_stepped = abs(seconds - expected) > STEP_SECONDS + (received - sent) / 2
    if has_stepped:
        _state.stepped_at = received
    return has_stepped


def steady_for() -> float:
    """Return for how many seconds Redis's clock has not been set, as far as this process knows."""
    return elapsed_clock() - _state.stepped_at


def offset() -> float:
    """Return by how many seconds the system's clock is ahead of Redis's, 0.0 if not known."""
    return 0.0 if _state.reading is None else time.time() - timestamp()


def reset() -> None:
    """Forget all readings, for tests."""
    _state.reading, _state.stepped_at = None, -math.inf
