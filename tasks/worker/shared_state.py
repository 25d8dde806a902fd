"""What a worker's child is doing, in memory that both share.

The child writes here, which costs microseconds. The worker reads it whenever it needs to know, and
after the child has died: then it shows which run died with the child, and how the run before it
ended, if that end is not in its row yet.
"""

import json
import mmap
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from tasks.clock import elapsed_clock

# The layout: the flags, the step, two slots for the current run, one area for an end.
STOP, SLOT, PHASE, BEGUN = 0, 1, 2, 3
STEP, STEP_SIZE = 0x100, 0x100
SLOTS = (0x1000, 0x2000)
SLOT_SIZE = 0x1000
END, END_SIZE = 0x3000, 0x50000
LENGTH_SIZE = 4
STARTING, RUNNING, ENDED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was taken from its queue: which job, under which execution, since when.

    `timeout` is in seconds, -1 for none; `since` is what `time.monotonic` said, which is the same
    for all processes of a machine. `leased` is when, by `elapsed_clock`, the step was sent that
    took it and gave it its lease. `goes_on` says whether the run goes on if its worker is cut off.
    `places` are the names by which it has one of a limited number of places, on a line each.
    """

    job_id: str
    execution_id: str
    queue: str
    timeout: int
    since: float
    leased: float = field(default_factory=elapsed_clock)
    goes_on: bool = False
    places: str = ""


_values = attrgetter(*Run.__dataclass_fields__)


class SharedState:
    """The state of one child. One process writes it, others may read it at any time."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, END + END_SIZE)

    def request_stop(self) -> None:
        """Request that the child take no further job."""
        self._memory[STOP] = 1

    @property
    def is_stop_requested(self) -> bool:
        return bool(self._memory[STOP])

    def announce_step(self, step_id: str) -> None:
        """Record which step is about to take a job: Redis knows the job before the child does."""
        self._memory[BEGUN] = 1
        self._put(STEP, STEP_SIZE, step_id.encode())

    @property
    def has_begun(self) -> bool:
        """Whether the child has ever been about to take a job."""
        return bool(self._memory[BEGUN])

    @property
    def announced_step(self) -> str:
        """The step that was announced last, "" if the run that it took has been recorded here."""
        return self._get(STEP).decode()

    def take(self, run: Run) -> None:
        """Record which run was taken from its queue, before its row says `running`.

        It goes into the slot that the last run isn't in, so a reader sees one or the other whole.
        """
        slot = 1 - self._memory[SLOT]
        self._put(SLOTS[slot], SLOT_SIZE, json.dumps(_values(run)).encode())
        self._memory[PHASE] = STARTING
        self._memory[SLOT] = slot
        self._put(STEP, STEP_SIZE, b"")

    def start(self) -> None:
        """Record that the row of the current run says `running`."""
        self._memory[PHASE] = RUNNING

    def finish(self) -> None:
        """Record that the row of the current run says how it ended, or that the spool has it."""
        self._memory[PHASE] = ENDED

    def clear_run(self) -> None:
        """Record that there is no run."""
        slot = 1 - self._memory[SLOT]
        self._put(SLOTS[slot], SLOT_SIZE, b"")
        self._memory[SLOT] = slot

    @property
    def run(self) -> Run | None:
        """The run that was taken last, None if it has ended."""
        text = self._get(SLOTS[self._memory[SLOT]])
        return Run(*json.loads(text)) if text else None

    @property
    def is_running(self) -> bool:
        """Return whether the row of the current run says `running`."""
        return self._memory[PHASE] == RUNNING

    @property
    def has_started(self) -> bool:
        """Return whether the row of the current run has ever said `running`."""
        return self._memory[PHASE] != STARTING

    def keep_end(self, job_id: str, status: str, values: dict[str, Any]) -> bool:
        """Keep how a run ended until that is in its row; return whether there was room."""
        entry = {"job_id": job_id, "status": status, "values": values}
        return self._put(END, END_SIZE, json.dumps(entry, cls=DjangoJSONEncoder).encode())

    def forget_end(self) -> None:
        """Drop the end that was kept: it is in its row."""
        self._put(END, END_SIZE, b"")

    @property
    def end(self) -> dict[str, Any] | None:
        """The end that was kept and not forgotten: `job_id`, `status` and `values`."""
        text = self._get(END)
        return json.loads(text) if text else None

    def _put(self, offset: int, size: int, text: bytes) -> bool:
        """Write a text, its length last; return False if there is no room for it."""
        if len(text) + LENGTH_SIZE > size:
            return False
        begin = offset + LENGTH_SIZE
        self._memory[offset:begin] = bytes(LENGTH_SIZE)
        self._memory[begin : begin + len(text)] = text
        self._memory[offset:begin] = len(text).to_bytes(LENGTH_SIZE, "little")
        return True

    def _get(self, offset: int) -> bytes:
        begin = offset + LENGTH_SIZE
        length = int.from_bytes(self._memory[offset:begin], "little")
        return self._memory[begin : begin + length]
