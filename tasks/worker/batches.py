"""How coroutine children take jobs from queues: as many in one step as can start at once."""

from dataclasses import dataclass
from typing import ClassVar

from tasks.broker.keys import COROUTINES_FIELDS, taken_key, with_key_names
from tasks.worker.queues import UNTAKE, Queues, Taken

# What tells the coroutine children apart from the plain ones where both have a key by their
# worker's name. Only one of a worker's coroutine children takes jobs and listens for them.
LANE = "coroutines:"
# Puts a job back on its queue, at once, for the plain children.
LEAVE_TO_PLAIN = with_key_names(f"""{UNTAKE}
if not is_taken() then return 0 end
untake('queued')
redis.call('HDEL', key, 'kind')
redis.call('LPUSH', QUEUE .. queue, id)
return 1
""")


@dataclass
class Batches(Queues):
    """The queues of one worker, for the coroutine child of it that has this number.

    Each child has a key of its own for what it took last: two of a worker take steps at the same
    time while one replaces the other.
    """

    LANE: ClassVar[str] = LANE

    number: int = 0

    def leave_to_plain(self, taken: Taken) -> None:
        """Put a job that was taken, but not started, back for a child that runs one at a time."""
        args = [self.worker_key, taken.job_id, taken.queue, taken.execution_id]
        self.redis.eval(LEAVE_TO_PLAIN, 1, *args)

    @property
    def going_on_field(self) -> str:
        return COROUTINES_FIELDS[self.number]

    @property
    def _taken_key(self) -> str:
        return taken_key(f"{LANE}{self.number}:{self.worker_name}")
