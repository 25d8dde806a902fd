"""Forks the processes of one system from one that has imported everything: 0.03 s, not 0.7 s each.

A fork does what `manage.py` does: it runs a command with the arguments and the environment that it
is given, in a session of its own. Orphans become children of the fork server, so nothing is left
behind.
"""

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.servers import BASE_DIR, wait_for

PR_SET_CHILD_SUBREAPER = 36
# At this signal a process writes the stacks of its threads to its log.
STACKS = signal.SIGUSR2
PRELOADED = """
    django_rq.management.commands.rqscheduler django_rq.management.commands.rqworker rq.worker
    rq_scheduler.scheduler asyncio freezegun tasks.services tasks.scheduler tasks.worker
    tests.acceptance.proof.schedules
"""


class Process:
    """A process that the fork server has forked."""

    def __init__(self, server: "ForkServer", pid: int, log: Path) -> None:
        self._server = server
        self.pid = pid
        self.log = log
        self.done = Path()
        self._status: int | None = None

    def printed(self, text: str) -> bool:
        """Return whether it has printed a text."""
        return self.log.exists() and text in self.log.read_text(errors="replace")

    def poll(self) -> int | None:
        """Return the exit status, as `subprocess.Popen` does; None while it runs."""
        if self._status is None:
            self._status = self._server.request(do="poll", pid=self.pid)
        return self._status

    def wait(self, seconds: float = 30) -> int:
        """Wait until it has ended; return its exit status.

        Raises AssertionError if it does not end in time, which says what it was doing.
        """
        try:
            wait_for(lambda: self.poll() is not None, f"the end of process {self.pid}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._doing()}") from error
        assert self._status is not None
        return self._status

    def send(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """Kill it and wait until it has ended; what it has forked is left alone."""
        self.send(signal.SIGKILL)
        self.wait()

    def children(self) -> list[int]:
        """Return the processes that it has forked and that are still alive."""
        try:
            children = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child.pid for child in children if is_alive(child.pid)]

    def _doing(self) -> str:
        """Return the state of it and of what it has forked, and the log with their stacks."""
        pids = [self.pid, *self.children()]
        states = [f"{pid} is {psutil.Process(pid).status()}" for pid in pids]
        for pid in pids:
            os.kill(pid, STACKS)
        # Each ends with the stack of its main thread.
        with contextlib.suppress(AssertionError):
            stacks = "\nCurrent thread "
            wait_for(lambda: self.log.read_text().count(stacks) >= len(pids), "the stacks", 5)
        return "\n".join([*states, *self.log.read_text(errors="replace").splitlines()[-200:]])


class ForkServer:
    """The process that forks the others, as seen from the tests."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._lock = threading.Lock()
        kept = {"PATH", "HOME", "LANG", "TMPDIR"} & os.environ.keys()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.acceptance.proof.fork_server"],
                cwd=BASE_DIR,
                env={name: os.environ[name] for name in kept} | dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        self.request(do="start", command=["version"], environment={}, log=os.devnull)

    def request(self, **request: Any) -> Any:
        """Have the fork server do something and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"In the system under test:\n{answer['error']}")
        return answer["value"]

    def start(self, log: Path, *command: str, **environment: str) -> Process:
        """Start a `manage.py` command."""
        pid = self.request(do="start", command=command, environment=environment, log=str(log))
        return Process(self, pid, log)

    def call(self, function: str, *args: Any, **environment: str) -> Any:
        """Call a function of `schedules.py`, with JSON, in a process of the system."""
        return self.request(do="call", function=function, args=args, environment=environment)

    def close(self) -> None:
        """End the fork server, which kills all that it has forked."""
        self._process.communicate(timeout=30)


def is_alive(pid: int) -> bool:
    """Return whether a process exists and isn't a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# In the fork server's own process


def main() -> None:
    """Answer requests, one JSON object a line, until standard input is closed."""
    import django

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    django.setup()
    for module in PRELOADED.split():
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    answers = {"start": _start, "poll": _poll, "call": _call}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"value": answers[request.pop("do")](**request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    _kill_all()


def _kill_all() -> None:
    """Kill what was forked, and what that has forked, until nothing is left."""
    own = psutil.Process()
    while children := [child for child in own.children(recursive=True) if is_alive(child.pid)]:
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, 5)


def _start(command: list[str], environment: dict[str, str], log: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _become(environment, log)
        _run(command)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _become(environment: dict[str, str], log: str) -> None:
    from tests.acceptance.proof import kill_points

    os.setsid()
    output = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, opened in ((0, nothing), (1, output), (2, output)):
        os.dup2(opened, descriptor)
    faulthandler.register(STACKS, file=2, all_threads=True)
    os.environ |= environment
    _take_own_ways(environment)
    kill_points.install(environment)


def _take_own_ways(environment: dict[str, str]) -> None:
    """Have this process reach the servers where the environment says, if it does."""
    from django.conf import settings
    from django.db import connections

    if url := environment.get("PROOF_REDIS_URL"):
        for queue in settings.RQ_QUEUES.values():
            queue["URL"] = url
    if port := environment.get("PROOF_DATABASE_PORT"):
        database = connections.settings["default"]
        database["OPTIONS"].pop("host")
        database |= {"HOST": "127.0.0.1", "PORT": port}


def _run(command: list[str]) -> None:
    from django.core.management import execute_from_command_line

    sys.argv = ["manage.py", *command]
    execute_from_command_line(sys.argv)


def _poll(pid: int) -> int | None:
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def _call(function: str, args: list[Any], environment: dict[str, str]) -> Any:
    """Call a function in a fork, so that the fork server itself never has a connection."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        from tests.acceptance.proof import schedules

        os.environ |= environment
        try:
            answer = {"value": getattr(schedules, function)(*args)}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        with os.fdopen(writer, "w") as pipe:
            json.dump(answer, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(pid, 0)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["value"]


if __name__ == "__main__":
    main()
