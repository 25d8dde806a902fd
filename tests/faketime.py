"""The system's clock of a process, which a test sets while the process runs: libfaketime.

Monotonic clocks go on undisturbed, and with them `time.sleep`.
"""

import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

OPTIONS = {"FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}


class FakeClock:
    """The system's clock of the processes that are started with its `environment`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set(0)

    def set(self, seconds: float) -> None:
        """Set the clock so many seconds ahead of the true time, or behind it if negative."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{seconds:+}\n")
        new.rename(self._path)

    @property
    def environment(self) -> dict[str, str]:
        """What has a program go by this clock."""
        return {"LD_PRELOAD": str(_library()), **OPTIONS, **self.of_fork}

    @property
    def of_fork(self) -> dict[str, str]:
        """What has a fork of a process with such a clock go by this one instead."""
        return {"FAKETIME_TIMESTAMP_FILE": str(self._path)}


def _library() -> Path | None:
    """Return the library; its package is on every platform, but has it for Linux on x86-64."""
    package = find_spec("libfaketime")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"


@cache
def can_fake_clocks() -> bool:
    """Return whether this machine can run programs with such a clock."""
    with tempfile.TemporaryDirectory() as directory:
        clock = FakeClock(Path(directory) / "clock")
        clock.set(1e9)
        command = [sys.executable, "-c", "import time; print(time.time())"]
        answers = [
            subprocess.run(command, env=environment, capture_output=True, check=False)
            for environment in ({}, clock.environment)
        ]
    right, fake = (float(answer.stdout or 0) for answer in answers)
    return fake > right + 1e8
