"""The task functions that the benchmarks run."""

import asyncio
import time

from benchmarks.stamps import stamp
from tasks.decorators import background_task, scheduled_task

# What a coroutine that ticks counts as late, in seconds: less is not worth noting.
LATE = 0.005


@scheduled_task
def noop(number: int = 0) -> None:
    """Do nothing but record when."""
    stamp()


@scheduled_task
async def coroutine_noop(number: int = 0) -> None:
    """Do nothing but record when, as a coroutine."""
    stamp()


@scheduled_task
async def pause(seconds: float) -> None:
    """Wait, and record when that began and when it ended."""
    stamp()
    await asyncio.sleep(seconds)
    stamp()


@background_task
def compute(rounds: int) -> int:
    """Use the processor for the same number of instructions each time."""
    total = 0
    for number in range(rounds):
        total += number * number % 7
    return total


@background_task
async def tick(seconds: float, every: float) -> list[list[float]]:
    """Wait again and again; return when it went on late, and by how much."""
    late, now = [], time.time()
    end = now + seconds
    stamp()
    while now < end:
        wanted = now + every
        await asyncio.sleep(every)
        now = time.time()
        if now - wanted > LATE:
            late.append([now, now - wanted])
    return late
