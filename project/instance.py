"""One running system for each DATA_DIR, on one port."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psutil
from django.utils.translation import gettext as _

from tasks.exceptions import TasksError

# Longer than the programs of a killed `up` outlive it.
HANDOVER_SECONDS = 15.0


class AlreadyRunning(TasksError):
    """Another `up` runs on the same DATA_DIR."""


class PortTaken(TasksError):
    """Another program listens on the port."""


def claim(path: Path, address: str, say: Callable[[str], None]) -> IO[str]:
    """Lock a file for this process and its watchers, and write its owner into it.

    The lock ends with the last process that holds the returned file. Raises AlreadyRunning.
    """
    file = path.open("a+")
    deadline = time.monotonic() + HANDOVER_SECONDS
    waiting = False
    while not _lock(file):
        owner = _owner(path)
        if _is_alive(owner["pid"]) or time.monotonic() > deadline:
            raise AlreadyRunning(
                _(
                    "It is already running at %(address)s (pid %(pid)s): nothing was changed. "
                    "Stop that one first, or give this one another DATA_DIR and PORT."
                )
                % owner
            )
        if not waiting:
            say(_("Waiting until the programs of an earlier start have ended…"))
            waiting = True
        time.sleep(0.2)
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "address": address}))
    file.flush()
    return file


def check_port(port: int) -> None:
    """Raise PortTaken if this process can't listen on the port."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PortTaken(
                _(
                    "Port %(port)s can't be used (%(reason)s). Choose another: "
                    "PORT=%(other)s make run"
                )
                % {"port": port, "reason": reason, "other": 8001 if port != 8001 else 8002}
            ) from error


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie doesn't."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False


def _owner(path: Path) -> dict[str, Any]:
    """Return what the owner wrote; it may not have done so yet."""
    try:
        owner: dict[str, Any] = json.loads(path.read_text())
    except ValueError:
        return {"pid": -1, "address": _("an unknown address")}
    return owner
