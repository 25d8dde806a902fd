"""What a coroutine child is doing, in memory that it shares with its worker: a slot for each run.

The child writes here. The worker reads it to renew the leases, and after the child has died: then
it shows which runs died with it.
"""

import json
import mmap
import struct
import time
from collections.abc import Sequence
from enum import IntEnum
from operator import attrgetter

from tasks.worker.shared_state import Run

# The layout: the flags, when the loop last came round, how many slots are taken, the step, whose
# fault it is that the child was killed, then the slots. Each slot begins with how often it was
# taken, the phase of its run, and the length of its text.
STOP, BEAT, SLOTS_TAKEN, STEP, CULPRIT = 0, 8, 16, 0x40, 0x140
MOST_TEXT = 0xFF
SLOTS, SLOT_SIZE = 0x1000, 0x800
HEAD = struct.Struct("<IBH")
# Written at once, not byte by byte: other processes read it at any time.
NUMBER = struct.Struct("@I")


class Phase(IntEnum):
    """How far the row of a run is."""

    STARTING = 1  # It doesn't say `running` yet.
    RUNNING = 2
    ENDED = 3  # It says how the run ended, or the spool does.


_values = attrgetter(*Run.__dataclass_fields__)


class RunTable:
    """The runs of one coroutine child. One process writes it, others may read it at any time.

    `number` tells the child from the others that its worker has at the same time.
    """

    def __init__(self, capacity: int, number: int = 0) -> None:
        self.capacity, self.number = capacity, number
        self._memory = mmap.mmap(-1, SLOTS + capacity * SLOT_SIZE)
        # The child's: which slots are free, and which slot each execution has.
        self._free = list(range(capacity))
        self._slots: dict[str, int] = {}
        # The reader's: the runs that it has read, by slot, with how often that had been taken.
        self._read: dict[int, tuple[int, Run]] = {}
        self.beat()

    # What the worker says

    def request_stop(self) -> None:
        """Request that the child take no further job, and exit when its runs have ended."""
        self._memory[STOP] = 1

    @property
    def is_stop_requested(self) -> bool:
        return bool(self._memory[STOP])

    # What the child says

    def beat(self) -> None:
        """Record that the loop has come round."""
        struct.pack_into("<d", self._memory, BEAT, time.monotonic())

    @property
    def last_beat(self) -> float:
        """When the loop last came round, by `time.monotonic`."""
        return float(struct.unpack_from("<d", self._memory, BEAT)[0])

    def announce_step(self, step_id: str) -> None:
        """Record which step is about to take jobs: Redis knows them before the child does."""
        self._put(STEP, step_id)

    @property
    def announced_step(self) -> str:
        """The step that was announced last, "" if what it took has been recorded here."""
        return self._get(STEP)

    def blame(self, run: Run, function: str) -> None:
        """Record which run blocks the loop, before the child is killed for it."""
        self._put(CULPRIT, f"{run.execution_id} {function}")

    @property
    def culprit(self) -> tuple[str, str]:
        """The execution and the function of the run that was blamed, "" if there is none."""
        execution_id, _, function = self._get(CULPRIT).partition(" ")
        return execution_id, function

    def take(self, runs: Sequence[Run]) -> None:
        """Record which runs were taken from their queues, before their rows say `running`."""
        for run in runs:
            text = json.dumps(_values(run)).encode()
            if len(text) > SLOT_SIZE - HEAD.size:
                raise ValueError(f"Job {run.job_id}: the names of the job and its queue are long.")
            slot = self._slots[run.execution_id] = self._free.pop()
            offset = SLOTS + slot * SLOT_SIZE
            begin = offset + HEAD.size
            self._memory[begin : begin + len(text)] = text
            taken, _, _ = HEAD.unpack_from(self._memory, offset)
            HEAD.pack_into(self._memory, offset, taken + 1, Phase.STARTING, len(text))
        self._count()
        self._put(STEP, "")

    def start(self, run: Run) -> None:
        """Record that the row of a run says `running`."""
        self._memory[self._phase_of(run)] = Phase.RUNNING

    def finish(self, run: Run) -> None:
        """Record that the row of a run says how it ended, or that the spool has it."""
        self._memory[self._phase_of(run)] = Phase.ENDED

    def clear(self, run: Run) -> None:
        """Forget a run: Redis knows that it has ended."""
        self._memory[self._phase_of(run)] = 0
        self._free.append(self._slots.pop(run.execution_id))
        self._count()

    def _count(self) -> None:
        NUMBER.pack_into(self._memory, SLOTS_TAKEN, len(self._slots))

    def _phase_of(self, run: Run) -> int:
        return SLOTS + self._slots[run.execution_id] * SLOT_SIZE + 4

    # What the worker reads, and the children that it forks later

    @property
    def slots_taken(self) -> int:
        """How many runs there are, with those whose ends aren't reported yet."""
        return int(NUMBER.unpack_from(self._memory, SLOTS_TAKEN)[0])

    def vacate(self) -> None:
        """Record that no run goes on: the child has died, and what died with it is recorded."""
        NUMBER.pack_into(self._memory, SLOTS_TAKEN, 0)

    @property
    def taken(self) -> int:
        """How many runs were ever taken."""
        heads = range(SLOTS, len(self._memory), SLOT_SIZE)
        return sum(HEAD.unpack_from(self._memory, offset)[0] for offset in heads)

    def runs(self) -> dict[Run, Phase]:
        """Return the runs that there are."""
        found: dict[Run, Phase] = {}
        for slot in range(self.capacity):
            taken, phase, length = HEAD.unpack_from(self._memory, SLOTS + slot * SLOT_SIZE)
            if phase:
                run = self._run_in(slot, taken, length)
                if run is not None:
                    found[run] = Phase(phase)
        return found

    def _run_in(self, slot: int, taken: int, length: int) -> Run | None:
        """Return the run in a slot, None if another one has come there meanwhile."""
        known = self._read.get(slot)
        if known is not None and known[0] == taken:
            return known[1]
        offset = SLOTS + slot * SLOT_SIZE
        begin = offset + HEAD.size
        text = self._memory[begin : begin + length]
        if HEAD.unpack_from(self._memory, offset)[0] != taken:
            return None
        run = Run(*json.loads(text))
        self._read[slot] = taken, run
        return run

    def _put(self, offset: int, text: str) -> None:
        encoded = text.encode()[:MOST_TEXT]
        self._memory[offset] = 0
        self._memory[offset + 1 : offset + 1 + len(encoded)] = encoded
        self._memory[offset] = len(encoded)

    def _get(self, offset: int) -> str:
        length = self._memory[offset]
        return self._memory[offset + 1 : offset + 1 + length].decode(errors="ignore")


class Room:
    """How many runs a coroutine child may have, of the `concurrency` that its worker may.

    The `older` children let theirs end, and take no more: as these end, it may have more.
    """

    def __init__(self, concurrency: int, older: Sequence[RunTable] = ()) -> None:
        self.concurrency, self._older = concurrency, tuple(older)

    @property
    def size(self) -> int:
        """How many runs it may have now."""
        return max(self.concurrency - sum(table.slots_taken for table in self._older), 0)

    @property
    def may_grow(self) -> bool:
        """Whether it may have more later."""
        return self.size < self.concurrency
