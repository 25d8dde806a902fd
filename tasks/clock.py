"""The one clock: Redis's, as this process last read it, and carried on from there (R12).

What is due, late or over is judged by `now`. Lengths of time are measured with `elapsed_clock`,
which a step of the system's clock doesn't touch and which counts the time that a machine was
suspended, or with `time.monotonic`, which doesn't count that. `tasks.broker.clock` reads Redis's
clock.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

# A reading that differs by more than this from what was expected means that Redis's clock was
# set, in seconds. It is added to the length of the round trips, within which nothing is known.
STEP_SECONDS = 0.5
# A machine was suspended if more time than this has passed that a monotonic clock hasn't counted.
SUSPENSION_SECONDS = 1.0
# From which offset of its own clock a process says so, in seconds.
NOTABLE_OFFSET_SECONDS = 2.0
# How old a reading may become before the clock is read again, and how soon that is tried again if
# Redis is unavailable, in seconds.
MAX_AGE_SECONDS = 30.0
RETRY_SECONDS = 5.0


def elapsed_clock() -> float:
    """Return seconds since some fixed point, counting suspension where the system can."""
    return time.clock_gettime(_CLOCK)


_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What Redis's clock said, in seconds since the Unix epoch, and when by `elapsed_clock`.

    It is right to within `error`. `monotonic` is what `time.monotonic` said then.
    """

    seconds: float
    at: float
    error: float
    monotonic: float


@dataclass(slots=True)
class _State:
    reading: _Reading | None = None
    stepped_at: float = -math.inf
    disturbed_at: float = -math.inf
    refresh: Callable[[], object] | None = None
    max_age: float = MAX_AGE_SECONDS
    refresh_at: float = -math.inf


_state = _State()


def timestamp() -> float:
    """Return the time in seconds since the Unix epoch, by Redis's clock.

    As long as this process has never read Redis's clock, it is the system's.
    """
    at = elapsed_clock()
    if at >= _state.refresh_at:
        _refresh()
    reading = _state.reading
    if reading is None:
        return time.time()
    return reading.seconds + at - reading.at


def _refresh() -> None:
    """Have the clock read, by one thread at a time, and not again at once if that fails."""
    _state.refresh_at = math.inf
    try:
        if _state.refresh is not None:
            _state.refresh()
    finally:
        if _state.refresh_at == math.inf:
            _state.refresh_at = elapsed_clock() + RETRY_SECONDS


def now() -> datetime:
    """Return the time by Redis's clock, aware, in UTC."""
    return datetime.fromtimestamp(timestamp(), UTC)


def observe(seconds: float, sent: float, received: float) -> float:
    """Take over a reading of Redis's clock; return by how much it was set since the last one.

    `seconds` since the Unix epoch is what it said, somewhere between `sent` and `received` by
    `elapsed_clock`. A reading that could be the time that was expected changes nothing, however
    long the round trip took. Returns 0.0 if the clock was not set.
    """
    error = (received - sent) / 2
    seen = _Reading(seconds, sent + error, error, time.monotonic())
    before = _state.reading
    _state.refresh_at = received + _state.max_age
    if before is None:
        _state.reading = seen
        return 0.0
    passed = seen.at - before.at
    if passed - (seen.monotonic - before.monotonic) > SUSPENSION_SECONDS + error + before.error:
        _state.disturbed_at = received
    difference = seconds - (before.seconds + passed)
    if abs(difference) > error:
        _state.reading = seen
    else:
        _state.reading = _Reading(seconds - difference, seen.at, before.error, seen.monotonic)
    if abs(difference) <= STEP_SECONDS + error + before.error:
        return 0.0
    _state.stepped_at = _state.disturbed_at = received
    return difference


def steady_for() -> float:
    """Return for how many seconds Redis's clock has not been set, as far as this process knows."""
    return elapsed_clock() - _state.stepped_at


def undisturbed_for() -> float:
    """Return for how many seconds nothing has let leases lapse whose owners are alive.

    Redis's clock has not been set, and this machine was not suspended, as far as is known.
    """
    return elapsed_clock() - _state.disturbed_at


def note_disturbance() -> None:
    """Note that leases may have lapsed whose owners are alive."""
    _state.disturbed_at = elapsed_clock()


def offset() -> float:
    """Return by how many seconds the system's clock is ahead of Redis's, 0.0 if not known."""
    return 0.0 if _state.reading is None else time.time() - timestamp()


def is_notable(offset: float) -> bool:
    """Return whether a system's clock with this offset is to be set right."""
    return abs(offset) > NOTABLE_OFFSET_SECONDS


def is_news(said: float, offset: float) -> bool:
    """Return whether an offset is worth saying, after the one `said` before (0.0 for none)."""
    if is_notable(offset):
        return abs(offset - said) > NOTABLE_OFFSET_SECONDS
    return said != 0.0


def keep_fresh(refresh: Callable[[], object], max_age: float = MAX_AGE_SECONDS) -> None:
    """Have `refresh` called, which reads Redis's clock, when the last reading has become old.

    It is called by whoever asks for the time then. It raises nothing if Redis is unavailable: the
    last reading holds, and `refresh` isn't called again for some seconds.
    """
    _state.refresh, _state.max_age = refresh, max_age


def reset() -> None:
    """Forget all readings, for tests."""
    _state.reading, _state.stepped_at, _state.disturbed_at = None, -math.inf, -math.inf
    _state.refresh, _state.max_age, _state.refresh_at = None, MAX_AGE_SECONDS, -math.inf
