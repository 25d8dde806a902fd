"""Task functions that end in every possible way."""

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from rq.job import Job
from rq.timeouts import JobTimeoutException

import tasks
from tasks.decorators import background_task, scheduled_task
from tests.jobs import ways

logger = logging.getLogger(__name__)

tenant = threading.local()


@background_task
@scheduled_task
def note(path: str, text: str = "ran", seconds: float = 0) -> str:
    """Append a line to a file when it starts, and another one when it ends."""
    _append(path, f"start {text}")
    time.sleep(seconds)
    _append(path, f"end {text}")
    return text


@background_task
@scheduled_task
def count(to: int, pause: float) -> int:
    """Count slowly, with progress and logs."""
    for number in range(to):
        logger.info("At %d", number)
        tasks.progress(number, to, f"at {number}")
        time.sleep(pause)
    return to


@scheduled_task
def witness(path: str, schedule: str, seconds: float = 0, way: str = "sleep") -> None:
    """Note start and end in a file that outlives every outage (see `tests/acceptance/proof`)."""
    ways.witness(path, schedule, seconds, way)


@scheduled_task
async def witness_beside(path: str, schedule: str, seconds: float = 0, way: str = "sleep") -> None:
    """Do what `witness` does, in a coroutine."""
    await ways.witness_beside(path, schedule, seconds, way)


@background_task
@scheduled_task
async def answer() -> int:
    """Return a number from a coroutine."""
    return 42


@background_task
@scheduled_task
async def meet(path: str, text: str, others: int, seconds: float = 0) -> str:
    """Note its start, wait until as many others have started, and note its end."""
    _append(path, f"start {text}")
    logger.info("I am %s", text)
    while Path(path).read_text().count("start") < others:
        await asyncio.sleep(0.02)
    await asyncio.sleep(seconds)
    tasks.progress(1, 2, text)
    _append(path, f"end {text}")
    return text


@background_task
def note_and_fail(text: str) -> None:
    """Tell Sentry something of this run, in each of its ways, and fail."""
    _tell_sentry(text)
    raise ValueError(text)


@background_task
async def note_beside_and_fail(path: str, text: str, others: int) -> None:
    """Do what `note_and_fail` does, while as many others do so."""
    _tell_sentry(text)
    _append(path, f"start {text}")
    while Path(path).read_text().count("start") < others:
        await asyncio.sleep(0.02)
    await asyncio.to_thread(_tell_sentry, f"{text} in a thread")
    raise ValueError(text)


@background_task(timeout=1)
async def note_and_go_on(path: str, text: str) -> None:
    """Tell Sentry something of this run, and go on after its timeout."""
    _tell_sentry(text)
    await ignore_timeout(path)


def _tell_sentry(text: str) -> None:
    import sentry_sdk  # only where it is used: its mere import patches other modules

    sentry_sdk.set_tag(f"tag of {text}", text)
    sentry_sdk.add_breadcrumb(message=f"crumb of {text}")
    logger.info("log of %s", text)


@background_task
@scheduled_task
async def nap(seconds: float) -> None:
    """Sleep in a coroutine."""
    await asyncio.sleep(seconds)


@background_task
async def process_id_in_loop() -> int:
    """Return in which process it runs."""
    return os.getpid()


@background_task
async def go_on(path: str) -> None:
    """Go on after it was cancelled, whoever asks."""
    _append(path, f"start {os.getpid()}")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)


@background_task(timeout=1)
async def ignore_timeout(path: str) -> None:
    """Go on after its timeout."""
    _append(path, f"start {os.getpid()}")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)


@background_task(timeout=1)
async def linger(path: str, seconds: float) -> None:
    """Leave a thread that goes on after its timeout."""
    _append(path, f"start {os.getpid()}")
    await asyncio.to_thread(time.sleep, seconds)


@background_task(timeout=2)
async def block(path: str, seconds: float, way: str = "sleep") -> None:
    """Block the event loop."""
    _append(path, "start block")
    if way == "sleep":
        time.sleep(seconds)
    else:
        ctypes.PyDLL(None).sleep(int(seconds))  # like C code that never lets other threads run


@background_task
def process_id() -> int:
    """Return in which process it runs."""
    return os.getpid()


@background_task
def fail_with(address: str) -> None:
    """Log an address, and fail with it."""
    logging.getLogger(__name__).info("asking %s", address)
    raise ValueError(f"can't reach {address}")


@background_task(timeout=1)
@scheduled_task
def end_by(how: str) -> Any:
    """End in the requested way."""
    return WAYS[how]()


@background_task
def price(path: str) -> Decimal:
    """Append a line to a file, and return what isn't JSON."""
    _append(path, "priced")
    return Decimal("9.99")


@background_task
def note_end(job: Job, *details: Any) -> None:
    """Append a line to the file that a job's meta names: a callback."""
    _append(job.meta["path"], job.id)


def _append(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


def _raise() -> None:
    raise ValueError("as asked")


def _recurse() -> None:
    _recurse()


def _swallow_timeout() -> str:
    with contextlib.suppress(JobTimeoutException):
        time.sleep(30)
    return "as if nothing had happened"


def _ignore_timeout() -> None:
    while True:
        with contextlib.suppress(JobTimeoutException):
            time.sleep(30)


def _hold_the_interpreter() -> None:
    ctypes.PyDLL(None).sleep(60)  # like C code that never lets Python's signal handlers run


def _terminate_a_subprocess() -> int:
    process = subprocess.Popen(["sleep", "60"])
    process.terminate()
    return process.wait()


def _log_a_lot() -> None:
    for _ in range(100_000):
        logger.info("x" * 100)


WAYS = {
    "return": lambda: {"fine": True},
    "not json": object,
    "nul": lambda: "a\0b",
    "raise": _raise,
    "sys.exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(3),
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "recursion": _recurse,
    "memory": lambda: [0] * (1 << 60),
    "timeout": lambda: time.sleep(30),
    "swallowed timeout": _swallow_timeout,
    "ignored timeout": _ignore_timeout,
    "timeout in C": _hold_the_interpreter,
    "many logs": _log_a_lot,
    "a terminated subprocess": _terminate_a_subprocess,
}


@background_task(isolated=True)
def process_id_apart() -> int:
    """Return in which process it runs, which is one of its own."""
    return os.getpid()


@background_task(timeout=1, isolated=True)
def end_apart_by(how: str) -> Any:
    """End in the requested way, in a process of its own."""
    return WAYS[how]()


@background_task(isolated=True)
@scheduled_task
def note_apart(path: str, text: str = "ran", seconds: float = 0) -> int:
    """Do what `note` does, in a process of its own, and note which; return that."""
    _append(path, f"process {os.getpid()}")
    note(path, text, seconds)
    return os.getpid()


@background_task(isolated=True)
def count_apart(to: int, pause: float) -> int:
    """Do what `count` does, in a process of its own."""
    return count(to, pause)


@background_task
def session() -> int:
    """Return which session of PostgreSQL serves this process."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@background_task(isolated=True)
def session_apart() -> int:
    """Return which session of PostgreSQL serves a process of its own."""
    return session()


@background_task(isolated=True)
def leave_a_transaction_open() -> None:
    """Leave a transaction open, in a process of its own."""
    transaction.set_autocommit(False)
    connection.ensure_connection()


@background_task
def fork_and(how: str, path: str) -> Any:
    """Fork; the copy ends in the requested way, and the original returns with which status."""
    pid = os.fork()
    _append(path, "copy" if pid == 0 else "original")
    if pid == 0:
        return WAYS[how]()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@background_task
def change_its_process() -> None:
    """Leave as much behind in its process as it can."""
    tenant.name = "left behind"
    os.environ["TENANT"] = "left behind"
    directory = tempfile.mkdtemp()
    os.chdir(directory)
    os.rmdir(directory)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    socket.setdefaulttimeout(1e-9)


@background_task
def its_process() -> list[Any]:
    """Return what it finds in its process."""
    return [
        getattr(tenant, "name", None),
        os.environ.get("TENANT"),
        os.getcwd(),
        resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 3,
        socket.getdefaulttimeout(),
    ]
