"""Processes beside the one that runs a job: copies that a function makes, and their parents."""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis import Redis

PR_SET_PDEATHSIG = 1
# For how long a fork waits for a lock, which otherwise is held for microseconds.
LOCK_SECONDS = 1.0
_libc = ctypes.CDLL(None)  # Here, as it takes as long as a tenth of a fork.


@contextmanager
def ending_copies() -> Iterator[None]:
    """End each process that is forked inside the block as soon as it leaves the block.

    The original alone goes on: a copy shares its sockets, and would take jobs and write rows over
    them as well. It ends as a script would, with status 1 and a traceback if it raised something,
    but flushes and closes nothing.
    """
    pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != pid:
            _end_copy(sys.exc_info()[1])


def _end_copy(error: BaseException | None) -> None:
    status = 0
    try:
        if isinstance(error, SystemExit) and (error.code is None or isinstance(error.code, int)):
            status = error.code or 0
        elif error is not None:
            status = 1
            os.write(2, "".join(traceback.format_exception(error)).encode(errors="replace"))
    finally:
        os._exit(status & 0xFF)


def die_with_parent(parent: int) -> None:
    """End this process when its parent has died: nobody renews the lease of its run any more.

    On Linux the kernel does it, whatever the function is doing; elsewhere a thread.
    """
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def fork(redis: Redis | None = None) -> int:
    """Fork this process while no other thread writes to the log, or takes a connection to `redis`.

    A stream that is written to has a lock, which Python doesn't renew in the child: the child would
    wait for it for ever, with the first line that it logs. So would it for the lock of the pool of
    connections.
    """
    handlers = [handler for ref in logging._handlerList if (handler := ref()) is not None]  # type: ignore[attr-defined]
    for handler in handlers:
        handler.acquire()
    pool = None if redis is None else redis.connection_pool._lock
    # Who holds it for longer may be waiting to write to the log.
    is_held = pool is not None and pool.acquire(timeout=LOCK_SECONDS)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pool is not None and is_held:
            pool.release()
        if pid:  # In the child, these locks are new.
            for handler in handlers:
                handler.release()
    return pid


def end_process(pid: int) -> None:
    """Kill a child of this process, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
