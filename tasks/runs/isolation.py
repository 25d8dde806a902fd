"""Runs a function in a process of its own: a fork of this one, which follows it to its end.

The fork calls the function and does nothing else. What it logs, how far it is and how it ends come
through a pipe, so that this process writes the row as usual, even if the fork is killed.
"""

import json
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any, NoReturn

from django.conf import settings
from django.db import Error, connections

from tasks import registry
from tasks.exceptions import IsolatedRunFailed, ProcessLost
from tasks.job import Job
from tasks.reasons import Code, Reason, reason
from tasks.runs import reporting
from tasks.runs.connections import leave_to_parent
from tasks.runs.ended import Ended
from tasks.runs.log_capture import Lines
from tasks.runs.processes import die_with_parent
from tasks.runs.progress import ProgressListener
from tasks.runs.timeout import Deadline
from tasks.storable import message_of

logger = logging.getLogger(__name__)

# How often the fork is looked at while it sends nothing, in seconds.
LOOK_EVERY = 0.2
# A fork that is still running this long after its timeout is killed, in seconds.
GRACE_SECONDS = 2.0
# How many characters of an error's message, and of its traceback, are passed on.
MESSAGE_LENGTH, TRACEBACK_LENGTH = 2_000, 16_384
LOG, PROGRESS, END = "log", "progress", "end"
# Forks that have said how they ended, and are exiting.
_exiting: list[int] = []


def is_isolated(job: Job) -> bool:
    """Return whether a job's function gets a process of its own.

    Its schedule says so, or else its function, or else the setting TASKS_ISOLATED.
    """
    by_schedule = job.meta.get("isolated") if isinstance(job.meta, dict) else None
    if isinstance(by_schedule, bool):
        return by_schedule
    by_function = registry.is_isolated(str(job.func_name))
    if by_function is not None:
        return by_function
    return bool(getattr(settings, "TASKS_ISOLATED", False))


class Channel:
    """What the fork sends through the pipe; it takes the lines and the progress of the function."""

    def __init__(self, pipe: Connection, deadline: Deadline | None) -> None:
        self._pipe = pipe
        self._deadline = deadline
        self._lock = Lock()

    def add(self, line: str) -> None:
        """Send a line of the log."""
        self._send(LOG, line)

    def on_progress(self, percent: int, message: str) -> None:
        """Send how far the function is."""
        self._send(PROGRESS, percent, message)

    def end(self, ended: Ended) -> None:
        """Send how the function ended."""
        note = ended.note and [ended.note.code.value, dict(ended.note.values)]
        self._send(END, ended.result, note, ended.error and _described(ended.error))

    def _send(self, *message: Any) -> None:
        """Send a message whole: half of one would make the rest unreadable."""
        data = json.dumps(message).encode()
        with self._lock:
            if self._deadline is not None:
                self._deadline.is_postponed = True
            try:
                self._pipe.send_bytes(data)
            finally:
                if self._deadline is not None:
                    self._deadline.is_postponed = False


def apart(
    call: Callable[[Channel], Ended],
    lines: Lines,
    listener: ProgressListener | None,
    deadline: Deadline | None,
    fork: Callable[[], int],
) -> Ended:
    """Call a function in a process of its own and return how it ended there.

    What it sends through the channel goes to `lines` and `listener`. A process that dies ends with
    ProcessLost, one that ignores its timeout with the deadline's error; OSError means that there
    could be none.
    """
    await_exits()
    parent = os.getpid()
    try:
        ours, theirs = Pipe(duplex=False)
        _flush()
        pid = fork()
    except OSError as error:
        return Ended(error=error)
    if pid == 0:
        _run_and_exit(call, Channel(theirs, deadline), parent)
    theirs.close()
    with ours:
        try:
            ended = _follow(ours, pid, lines, listener, deadline)
        except Exception as error:
            os.kill(pid, signal.SIGKILL)
            ended = Ended(error=error)
    if ended is not None:
        _exiting.append(pid)
        return ended
    _, status = os.waitpid(pid, 0)
    return Ended(error=_lost(status))


def await_exits() -> None:
    """Wait until the forks that have ended are gone.

    Freeing its memory takes a process milliseconds, in which its parent can write the row. It is
    called before the next run, which is to find no process that it hasn't started.
    """
    while _exiting:
        with suppress(ChildProcessError):  # A function may have waited for any child.
            os.waitpid(_exiting.pop(), 0)


def _run_and_exit(call: Callable[[Channel], Ended], channel: Channel, parent: int) -> NoReturn:
    """Be the fork."""
    try:
        die_with_parent(parent)
        leave_to_parent()
        ended = call(channel)
        with suppress(Error):
            connections.close_all()
        _flush()
        reporting.flush()
        channel.end(ended)
        os._exit(0)
    except BaseException:
        logger.exception("The process of an isolated run ends.")
    finally:
        os._exit(1)


def _flush() -> None:
    """Write what was printed: the fork would have it too, or lose it when it exits."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _follow(
    pipe: Connection,
    pid: int,
    lines: Lines,
    listener: ProgressListener | None,
    deadline: Deadline | None,
) -> Ended | None:
    """Pass on what the fork sends until it says how it ended; None if it died before."""
    give_up = None
    if deadline is not None and deadline.left > 0:
        give_up = time.monotonic() + deadline.left + GRACE_SECONDS
    while True:
        if pipe.poll(LOOK_EVERY):
            try:
                kind, *values = json.loads(pipe.recv_bytes())
            except (EOFError, OSError):
                return None
            if kind == END:
                return _received(*values)
            if kind == LOG:
                lines.add(*values)
            elif listener is not None:
                listener.on_progress(*values)
        elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) and not pipe.poll():
            return None  # A process that it has started may keep its end of the pipe open.
        if give_up is not None and deadline is not None and time.monotonic() > give_up:
            os.kill(pid, signal.SIGKILL)
            return Ended(error=deadline.error())


def _received(result: Any, note: list[Any] | None, error: dict[str, str] | None) -> Ended:
    why = note and Reason(Code(note[0]), note[1])
    return Ended(result, why or None, None if error is None else _rebuilt(**error))


def _described(error: BaseException) -> dict[str, str]:
    text = "".join(traceback.format_exception(error))
    return {
        "module": type(error).__module__,
        "name": type(error).__qualname__,
        "message": message_of(error)[:MESSAGE_LENGTH],
        "text": text[-TRACEBACK_LENGTH:],
    }


def _rebuilt(module: str, name: str, message: str, text: str) -> IsolatedRunFailed:
    """Return an error with the name, the message and the traceback of the one in the fork."""
    names = {"__module__": module, "__qualname__": name}
    error_class = type(name.rpartition(".")[2], (IsolatedRunFailed,), names)
    error = error_class(message)
    error.add_note(f"In its own process:\n{text}")
    return error


def _lost(status: int) -> ProcessLost:
    if os.WIFSIGNALED(status):
        why = reason(Code.LOST_SIGNAL, signal=os.WTERMSIG(status))
    else:
        why = reason(Code.LOST_EXIT, status=os.waitstatus_to_exitcode(status))
    return ProcessLost(str(why), why.fields)
