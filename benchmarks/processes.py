"""What the processes of a worker or a scheduler use: all those below one, and itself."""

import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from benchmarks.figures import Failed

START_SECONDS = 60
# What uses less than this share of a core waits for work.
IDLE_SHARE = 0.2
MEGABYTE = 1_000_000


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that they have used, also those that ended."""
    return _sum(pid, lambda process: sum(process.cpu_times()[:4]))


def pss(pid: int) -> float:
    """Return the memory that they use, in MB; what several processes share is divided by them."""
    return _sum(pid, lambda process: process.memory_full_info().pss) / MEGABYTE


def _sum(pid: int, value: Callable[[psutil.Process], float]) -> float:
    """Return the sum of something over a process and all below it; Failed if it has ended."""
    try:
        top = psutil.Process(pid)
        total, below = value(top), top.children(recursive=True)
    except psutil.NoSuchProcess as error:
        raise Failed("its process has ended") from error
    for process in below:
        with suppress(psutil.NoSuchProcess):
            total += value(process)
    return total


def share(pid: int, seconds: float) -> float:
    """Return which share of a core they use during the next seconds."""
    started, used = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - used) / (time.monotonic() - started)


def await_idle(pid: int) -> None:
    """Wait until they have started and wait for work. Raises Failed after `START_SECONDS`."""
    deadline = time.monotonic() + START_SECONDS
    time.sleep(2)
    while share(pid, 1) > IDLE_SHARE:
        if time.monotonic() > deadline:
            raise Failed(f"still busy {START_SECONDS} s after its start")
