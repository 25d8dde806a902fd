"""What a worker's child is doing, in memory that both share.

The child writes here, which costs microseconds. The worker reads it whenever it needs to know, and
after the child has died: then it shows which run died with the child, and how the run before it
ended, if that end is not in its row yet. It shows as well which jobs the child had taken ahead, and
which had finished without having been reported.
"""

import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from tasks.clock import elapsed_clock
from tasks.worker.queues import Finished, Taken, all_of

# The layout: the flags, the step, two slots for the current run, the jobs that the last step took,
# those that have finished since, and an end.
STOP, SLOT, PHASE, BEGUN = 0, 1, 2, 3
# Of the jobs that the last step took: how many were begun, and from which on they were given back.
# Of those that have finished since: how many the worker has reported.
NEXT, GIVEN_BACK, REPORTED = 4, 5, 6
# How many jobs the last step took, and how many have finished since; and how often the current run
# has changed, modulo 256.
NUMBER_TAKEN, NUMBER_FINISHED, CHANGES = 7, 8, 9
STEP, STEP_SIZE = 0x100, 0x100
SLOTS = (0x1000, 0x2000)
SLOT_SIZE = 0x1000
TAKEN, TAKEN_SIZE = 0x3000, 0x8000
FINISHED, FINISHED_SIZE = 0xB000, 0x10000
END, END_SIZE = 0x20000, 0x50000
LENGTH_SIZE = 4
NONE_GIVEN_BACK = 0xFF
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
        """Record which step is about to take jobs: Redis knows them before the child does."""
        self._memory[BEGUN] = 1
        self._put(STEP, STEP_SIZE, step_id.encode())

    @property
    def has_begun(self) -> bool:
        """Whether the child has ever been about to take a job."""
        return bool(self._memory[BEGUN])

    @property
    def announced_step(self) -> str:
        """The step that was announced last, "" if the jobs that it took are recorded here."""
        return self._get(STEP).decode()

    def record_step(self, taken: Sequence[Taken]) -> None:
        """Record which jobs a step took; all that had finished before are reported."""
        self._memory[NEXT], self._memory[GIVEN_BACK] = 0, NONE_GIVEN_BACK
        self._memory[NUMBER_TAKEN] = len(taken)
        jobs = [(one.job_id, one.queue, one.execution_id, one.leased) for one in taken]
        if not self._put(TAKEN, TAKEN_SIZE, json.dumps(jobs).encode()):
            raise ValueError(f"The names of the jobs {[one.job_id for one in taken]} are too long.")
        self._put(FINISHED, FINISHED_SIZE, b"")
        self._memory[REPORTED] = self._memory[NUMBER_FINISHED] = 0
        self._put(STEP, STEP_SIZE, b"")

    def begin(self) -> bool:
        """Record that the next job that was taken is begun; False if it has been given back."""
        number = self._memory[NEXT]
        self._memory[NEXT] = number + 1
        return number < self._memory[GIVEN_BACK]

    @property
    def begun(self) -> Taken | None:
        """The job that was begun last, None if there is none."""
        number = self._memory[NEXT]
        is_ours = 0 < number <= self._memory[GIVEN_BACK]
        return self._taken()[number - 1] if is_ours else None

    @property
    def ahead(self) -> list[Taken]:
        """The jobs that were taken, and neither begun nor given back."""
        is_given_back = self._memory[GIVEN_BACK] != NONE_GIVEN_BACK
        return [] if is_given_back else self._taken()[self._memory[NEXT] :]

    def give_back(self) -> None:
        """Record that no other job that was taken is to be begun."""
        self._memory[GIVEN_BACK] = min(self._memory[NEXT], self._memory[GIVEN_BACK])

    def _taken(self) -> list[Taken]:
        found = json.loads(self._get(TAKEN) or "[]")
        return [Taken(job_id, queue, run, {}, leased) for job_id, queue, run, leased in found]

    def keep_finished(self, finished: Finished) -> bool:
        """Keep a job that finished until the next step reports it; return if there was room."""
        line = f"{json.dumps(all_of(finished))}\n".encode()
        if not self._append(FINISHED, FINISHED_SIZE, line):
            return False
        self._memory[NUMBER_FINISHED] += 1
        return True

    @property
    def unreported(self) -> list[Finished]:
        """The jobs that finished and aren't reported."""
        lines = self._get(FINISHED).splitlines()[self.reported :]
        return [Finished(*json.loads(line)) for line in lines]

    @property
    def reported(self) -> int:
        """How many of the jobs that finished since the last step are reported."""
        return self._memory[REPORTED]

    def take_over(self) -> tuple[list[Taken], list[Finished]]:
        """Have the worker give back what was taken ahead, and report what has finished.

        The child must not run meanwhile: it may just be beginning the next job.
        """
        ahead, unreported = self.ahead, self.unreported
        self.give_back()
        self._memory[REPORTED] += len(unreported)
        return ahead, unreported

    @property
    def are_others_waiting(self) -> bool:
        """Whether, while a run goes on, jobs wait to be begun or to be reported."""
        memory = self._memory  # Nothing here is read in parts: the child goes on meanwhile.
        are_ahead = memory[GIVEN_BACK] == NONE_GIVEN_BACK and memory[NEXT] < memory[NUMBER_TAKEN]
        are_unreported = memory[REPORTED] < memory[NUMBER_FINISHED]
        return not self.announced_step and (are_ahead or are_unreported)

    def take(self, run: Run) -> None:
        """Record which run was taken from its queue, before its row says `running`.

        It goes into the slot that the last run isn't in, so a reader sees one or the other whole.
        """
        slot = self._change()
        self._put(SLOTS[slot], SLOT_SIZE, json.dumps(_values(run)).encode())
        self._memory[PHASE] = STARTING
        self._memory[SLOT] = slot

    def start(self) -> None:
        """Record that the row of the current run says `running`."""
        self._memory[PHASE] = RUNNING

    def finish(self) -> None:
        """Record that the row of the current run says how it ended, or that the spool has it."""
        self._memory[PHASE] = ENDED

    def clear_run(self) -> None:
        """Record that there is no run."""
        slot = self._change()
        self._put(SLOTS[slot], SLOT_SIZE, b"")
        self._memory[SLOT] = slot

    def _change(self) -> int:
        """Say that the current run is about to change; return the slot that the next one takes."""
        self._memory[CHANGES] = (self._memory[CHANGES] + 1) & 0xFF
        return 1 - self._memory[SLOT]

    @property
    def run(self) -> Run | None:
        """The run that was taken last, None if it has ended."""
        while True:  # Its slot is taken again while it is read if two others begin meanwhile.
            changes = self._memory[CHANGES]
            text = self._get(SLOTS[self._memory[SLOT]])
            if self._memory[CHANGES] == changes:
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

    def _append(self, offset: int, size: int, text: bytes) -> bool:
        """Add to a text, its length last; return False if there is no room for that."""
        begin = offset + LENGTH_SIZE + len(self._get(offset))
        end = begin + len(text)
        if end > offset + size:
            return False
        self._memory[begin:end] = text
        length = end - offset - LENGTH_SIZE
        self._memory[offset : offset + LENGTH_SIZE] = length.to_bytes(LENGTH_SIZE, "little")
        return True

    def _get(self, offset: int) -> bytes:
        begin = offset + LENGTH_SIZE
        length = int.from_bytes(self._memory[offset:begin], "little")
        return self._memory[begin : begin + length]
