"""What a worker's child is doing, in memory that both share.

The child writes here, which costs microseconds; the worker reads when it wants to know, and
after the child has died: then the board says which run died with it, and how the run before it
ended, if its row doesn't say so yet.
"""

import json
import mmap
from dataclasses import dataclass
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

# The layout: the flags, the step, two places for the present run, one for an end.
STOP, PLACE, PHASE = 0, 1, 2
STEP, STEP_SIZE = 0x100, 0x100
PLACES = (0x1000, 0x2000)
PLACE_SIZE = 0x1000
END, END_SIZE = 0x3000, 0x50000
LENGTH = 4
STARTING, RUNNING = 0, 1


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was taken from its queue: which job, by which execution, since when.

    `timeout` is in seconds, -1 for none; `since` is in seconds from 1970.
    """

    job_id: str
    execution_id: str
    queue: str
    timeout: int
    since: float


class Board:
    """One child's board. One process writes it, others may read it at any time."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, END + END_SIZE)

    def ask_to_stop(self) -> None:
        """Ask the child to take no further job."""
        self._memory[STOP] = 1

    @property
    def is_asked_to_stop(self) -> bool:
        return bool(self._memory[STOP])

    def ask(self, step_id: str) -> None:
        """Say by which step a job is being taken: Redis knows which one it is before we do."""
        self._put(STEP, STEP_SIZE, step_id.encode())

    @property
    def asked(self) -> str:
        """The step that was asked for, if the run that it took isn't on the board (yet)."""
        return self._get(STEP).decode()

    def take(self, run: Run) -> None:
        """Say which run was taken from its queue; its row doesn't say so yet.

        It is written beside the last one, so that a reader sees one or the other.
        """
        place = 1 - self._memory[PLACE]
        self._put(
            PLACES[place],
            PLACE_SIZE,
            json.dumps([run.job_id, run.execution_id, run.queue, run.timeout, run.since]).encode(),
        )
        self._memory[PHASE] = STARTING
        self._memory[PLACE] = place
        self._put(STEP, STEP_SIZE, b"")

    def start(self) -> None:
        """Say that the run taken last is going on by its row."""
        self._memory[PHASE] = RUNNING

    def leave(self) -> None:
        """Say that there is no run."""
        place = 1 - self._memory[PLACE]
        self._put(PLACES[place], PLACE_SIZE, b"")
        self._memory[PLACE] = place

    @property
    def run(self) -> Run | None:
        """The run that was taken last, None if it has ended."""
        text = self._get(PLACES[self._memory[PLACE]])
        return Run(*json.loads(text)) if text else None

    @property
    def is_running(self) -> bool:
        """Return whether the present run is going on by its row."""
        return self._memory[PHASE] == RUNNING

    def keep_end(self, job_id: str, status: str, values: dict[str, Any]) -> bool:
        """Keep how a run ended until its row says so; return whether there was room."""
        entry = {"job_id": job_id, "status": status, "values": values}
        return self._put(END, END_SIZE, json.dumps(entry, cls=DjangoJSONEncoder).encode())

    def forget_end(self) -> None:
        """Say that the row of the ended run says so."""
        self._put(END, END_SIZE, b"")

    @property
    def end(self) -> dict[str, Any] | None:
        """The end that was kept and not forgotten: `job_id`, `status` and `values`."""
        text = self._get(END)
        return json.loads(text) if text else None

    def _put(self, place: int, size: int, text: bytes) -> bool:
        if len(text) + LENGTH > size:
            return False
        begin = place + LENGTH
        self._memory[place:begin] = bytes(LENGTH)
        self._memory[begin : begin + len(text)] = text
        self._memory[place:begin] = len(text).to_bytes(LENGTH, "little")
        return True

    def _get(self, place: int) -> bytes:
        begin = place + LENGTH
        length = int.from_bytes(self._memory[place:begin], "little")
        return self._memory[begin : begin + length]
