"""All large bodies together may only be so large: hundreds of them would need all memory there is.

A body that turns out to be large waits for room before more of it is read, and has it until the
task that fetches it has ended, when it has been read and stored. It asks once, for as much as it
may come to, so nobody waits for another who waits. There is room for several of the largest: a few
that come slowly on purpose keep no other from coming.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

# In bytes. All polls of a worker may hold as much at a time without asking.
SMALL = 256 * 2**10
# What all that asks may have together, in each of the forms in which a body is held: as it was
# sent, and as it is decoded.
ALL = 40 * 2**20


@dataclass(slots=True)
class _Room:
    """How much is left, and who waits for some, first come, first served."""

    left: int
    waiting: deque["tuple[int, asyncio.Future[None]]"] = field(default_factory=deque)

    async def take(self, size: int) -> None:
        if not self.waiting and size <= self.left:
            self.left -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.left += size
            self._hand_out()
            raise

    def give_back(self, size: int) -> None:
        self.left += size
        self._hand_out()

    def _hand_out(self) -> None:
        while self.waiting and (self.waiting[0][1].done() or self.waiting[0][0] <= self.left):
            size, turn = self.waiting.popleft()
            if not turn.done():
                self.left -= size
                turn.set_result(None)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Room] = WeakKeyDictionary()
_holders: set[asyncio.Task[object]] = set()


async def take_room(size: int) -> None:
    """Wait for room for a body of at most this size, unless this task has some."""
    task = asyncio.current_task()
    if task is None or task in _holders:
        return
    room = _of_loop.setdefault(asyncio.get_running_loop(), _Room(ALL))
    size = min(size, ALL)
    await room.take(size)
    _holders.add(task)

    def leave(ended: "asyncio.Task[object]") -> None:
        _holders.discard(ended)
        room.give_back(size)

    task.add_done_callback(leave)
