"""What really ran: the task functions themselves write it to a file outside of the system."""

import json
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rq import get_current_job

from tests.acceptance.proof import kill_points

OCCURRENCE = re.compile(r"schedule-[0-9a-f]{32}-([0-9]+)(?:-([0-9]+))?")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    """A start, or an end that was reached without an error."""

    event: str
    schedule: str
    job: str
    pid: int
    parent: int
    time: float

    @property
    def occurrence(self) -> tuple[datetime, int] | None:
        """The due and the attempt, from the job's id; None for stock's ids, which hold neither."""
        match = OCCURRENCE.fullmatch(self.job)
        if match is None:
            return None
        return EPOCH + timedelta(milliseconds=int(match[1])), int(match[2] or 1)

    def __str__(self) -> str:
        return f"{self.event} of {self.job} in process {self.pid} at {self.time:.3f}"


def write(path: str, event: str, schedule: str) -> None:
    """Append a line about the current job."""
    job = get_current_job()
    assert job is not None
    line = {"event": event, "schedule": schedule, "job": job.id, "pid": os.getpid()}
    # Not by the system's clock: a test may have set that of this process.
    kill_points.append(path, json.dumps(line | {"parent": os.getppid(), "time": time.monotonic()}))


def read(path: Path) -> list[Line]:
    """Return all lines, in the order in which they were written."""
    if not path.exists():
        return []
    began = time.time() - time.monotonic()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Line(**line | {"time": began + line["time"]}) for line in lines]
