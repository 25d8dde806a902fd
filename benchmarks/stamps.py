"""When the measured functions ran: each call appends 8 bytes to a file, for all peers alike."""

import functools
import os
import struct
import time
from pathlib import Path

VARIABLE = "BENCHMARK_STAMPS"
SIZE = 8


def stamp() -> None:
    """Record that a function runs now, if `VARIABLE` names a file."""
    if path := os.environ.get(VARIABLE):
        os.write(_file(path, os.getpid()), struct.pack("d", time.time()))


@functools.cache
def _file(path: str, pid: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def count(path: Path) -> int:
    """Return how many calls have been recorded."""
    return path.stat().st_size // SIZE


def read(path: Path) -> list[float]:
    """Return when the calls were made, in order."""
    data = path.read_bytes()
    return sorted(struct.unpack(f"{len(data) // SIZE}d", data))
