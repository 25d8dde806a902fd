"""Few large bodies are held at a time: hundreds of them would need all the memory there is.

A body that turns out to be large waits for a place before more of it is read, and holds it until
the task that fetches it has ended, when it has been read and stored. Each has one place at most, so
nobody waits for another who waits.
"""

import asyncio
from weakref import WeakKeyDictionary

# In bytes. All polls of a worker may hold as much at a time.
SMALL = 256 * 2**10
PLACES = 4

_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
_holders: set[asyncio.Task[object]] = set()


async def take_place() -> None:
    """Wait for a place for this task, unless it has one."""
    task = asyncio.current_task()
    if task is None or task in _holders:
        return
    places = _of_loop.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(PLACES))
    await places.acquire()
    _holders.add(task)

    def leave(ended: "asyncio.Task[object]") -> None:
        _holders.discard(ended)
        places.release()

    task.add_done_callback(leave)
