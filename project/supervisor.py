"""Several programs in one terminal: started, watched, restarted and stopped together.

honcho runs each program below a small process of its own that reads its output. Here that
process also restarts and stops its program, so that both still happen, in the right order, if the
supervisor itself is killed.
"""

import multiprocessing
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any

import psutil
from honcho.manager import Manager
from honcho.printer import Printer
from honcho.process import Popen, Process

FORK = multiprocessing.get_context("fork")
MAX_DEATHS = 5
# In seconds.
POLL_INTERVAL = 0.2
RESTART_DELAY = 1.0
DEATHS_WITHIN = 30.0
STOP_WITHIN = 9.5
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child(Process):
    """One program, watched by a process of its own.

    `patience`: how many seconds to wait after a first and after a second SIGTERM before
    SIGKILL. `linger`: how long it outlives a supervisor that was killed.
    On SIGUSR1 the program gets new code, after it has ended what it is doing.
    """

    patience: tuple[float, float] = (5.0, 3.0)
    linger = 0.0
    # The signal by which the program reloads its code; without one it is started again.
    reload_signal: signal.Signals | None = None
    # Whether one that died too often waits for new code, instead of ending everything.
    awaits_new_code = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._supervisor = os.getpid()
        self._stop_requested = False
        self._reload_requested = False
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        """Keep the program running until SIGTERM, or until it dies too often."""
        self._events = events
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGUSR1, self._on_sigusr1)
        for signum in (signal.SIGINT, signal.SIGHUP):  # the terminal sends them to everyone
            signal.signal(signum, signal.SIG_IGN)
        while not self._should_stop():
            if self._run_once():
                continue
            if not self._died_too_often():
                self._pause()
            elif self.awaits_new_code:
                self._await_new_code()
            else:
                break
        self._send_message({"pid": None}, "stop")
        if self._is_orphan():
            os._exit(1)  # nobody reads the queue any more: don't wait until it is empty

    def _run_once(self) -> bool:
        """Run the program until it ends; return whether that was for new code."""
        self._reload_requested = False
        try:
            self._child = Popen(self.cmd, env=self.env, shell=False, stdin=subprocess.DEVNULL)
        except OSError as error:
            self._on_death(f"can't be started: {error}")
            return False
        self._send_message({"pid": self._child.pid}, "start")
        reader = threading.Thread(target=self._relay)
        reader.start()
        is_ended_for_new_code = self._wait()
        self._end()
        reader.join()
        if not self._should_stop() and not is_ended_for_new_code:
            self._on_death(f"died with exit code {self._child.returncode}")
        return is_ended_for_new_code

    def _wait(self) -> bool:
        """Wait until the program has ended or is to be stopped; return whether it got new code."""
        is_ending = False
        while self._child.poll() is None and not self._should_stop():
            if self._reload_requested and not is_ending:  # A second SIGTERM would end its runs.
                self._reload_requested = False
                is_ending = self.reload_signal is None
                self._child.send_signal(self.reload_signal or signal.SIGTERM)
            time.sleep(POLL_INTERVAL)
        return is_ending and not self._should_stop()

    def _relay(self) -> None:
        for line in self._child.stdout:
            self._send_message(line)

    def _end(self) -> None:
        if self._is_orphan():
            time.sleep(self.linger)
        for seconds in self.patience:
            self._child.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
                break
        kill_session(self._child.pid)
        self._child.wait()

    def _on_death(self, reason: str) -> None:
        self._deaths.append(time.monotonic())
        self._send_message(reason)

    def _died_too_often(self) -> bool:
        deaths = self._deaths
        return len(deaths) == MAX_DEATHS and deaths[-1] - deaths[0] < DEATHS_WITHIN

    def _pause(self) -> None:
        until = time.monotonic() + RESTART_DELAY
        while time.monotonic() < until and not self._should_stop():
            time.sleep(POLL_INTERVAL)

    def _await_new_code(self) -> None:
        self._send_message(
            f"died {MAX_DEATHS} times within {DEATHS_WITHIN:.0f} seconds: its lines above say why. "
            "It is started again when the code has changed."
        )
        self._deaths.clear()
        while not self._reload_requested and not self._should_stop():
            time.sleep(POLL_INTERVAL)

    def _should_stop(self) -> bool:
        return self._stop_requested or self._is_orphan()

    def _is_orphan(self) -> bool:
        return os.getppid() != self._supervisor

    def _on_sigterm(self, signum: int, frame: Any) -> None:
        self._stop_requested = True

    def _on_sigusr1(self, signum: int, frame: Any) -> None:
        self._reload_requested = True


class Supervisor(Manager):
    """Runs programs side by side until it gets a signal, or one of them dies too often.

    Add them with `add_process` and `add_last`, then `start` them by name, in any number of
    steps; `relay_until` shows their output meanwhile, and `stop` ends them all. `failed` says
    whether one of them died too often. On SIGUSR1 all but the last ones get new code.
    """

    def __init__(self, printer: Printer | None = None) -> None:
        super().__init__(printer)
        self.events = FORK.Queue()
        self._process_ctor = Child
        self._last: set[str] = set()
        self.stopping = False
        self.failed = False
        self._has_new_code = False
        signal.signal(signal.SIGUSR1, self._on_sigusr1)
        for signum in SIGNALS:
            # Under nohup SIGHUP is ignored, and must stay so.
            if signum != signal.SIGHUP or signal.getsignal(signum) is not signal.SIG_IGN:
                signal.signal(signum, self._on_signal)

    def add_last(self, name: str, command: list[str], patience: tuple[float, float]) -> None:
        """Add a program that the others need: it is stopped after them."""
        child = self.add_process(name, command)
        child.linger = sum(child.patience) + 1
        child.patience = patience
        self._last.add(name)

    def reload_by(self, name: str, signum: signal.Signals) -> None:
        """Have a program load new code by this signal: it goes on meanwhile."""
        self._processes[name]["obj"].reload_signal = signum

    def start(self, *names: str) -> None:
        """Start programs that were added before."""
        for name in names:
            program = self._processes[name]
            # A daemon is also told to stop if this process ends by an exception.
            program["process"] = FORK.Process(
                name=name, target=program["obj"].run, args=(self.events,), daemon=True
            )
            program["process"].start()

    def relay_until(self, condition: Callable[[], bool]) -> bool:
        """Show the programs' output until a condition holds.

        Returns False if everything is to be stopped instead.
        """
        while not self.stopping:
            if condition():
                return True
            self._relay()
            self._replace_killed_watchers()
            self._hand_on_new_code()
        return False

    def stop(self) -> None:
        """End all programs, those added with `add_last` last."""
        self.stopping = True
        self.say("stopping…")
        deadline = time.monotonic() + STOP_WITHIN
        started = {name for name, program in self._processes.items() if "process" in program}
        self._stop(started - self._last, deadline)
        self._stop(started & self._last, deadline)
        while self._relay():
            pass
        for signum in SIGNALS:  # another Ctrl-C must not change the exit code
            signal.signal(signum, signal.SIG_IGN)

    def say(self, text: str) -> None:
        """Show a line of the supervisor's own."""
        self._system_print(text)

    def _stop(self, names: set[str], deadline: float) -> None:
        while alive := [name for name in names if self._watcher(name).is_alive()]:
            for name in alive:
                # Repeatedly: one that has just been forked may miss the first.
                if time.monotonic() < deadline:
                    self._watcher(name).terminate()
                else:
                    self._watcher(name).kill()
            self._relay()
        for name in names:
            self._kill_leftovers(name)

    def _replace_killed_watchers(self) -> None:
        for name, program in self._processes.items():
            if "process" in program and program["process"].exitcode not in (None, 0):
                self._kill_leftovers(name)
                self.start(name)

    def _hand_on_new_code(self) -> None:
        if self._has_new_code:
            self._has_new_code = False
            for name, program in self._processes.items():
                if "process" in program and name not in self._last:
                    os.kill(program["process"].pid, signal.SIGUSR1)

    def _kill_leftovers(self, name: str) -> None:
        pid = self._processes[name].get("pid")
        if pid and self._watcher(name).exitcode != 0:
            kill_session(pid)

    def _watcher(self, name: str) -> BaseProcess:
        watcher: BaseProcess = self._processes[name]["process"]
        return watcher

    def _relay(self) -> bool:
        try:
            message = self.events.get(timeout=0.1)
        except queue.Empty:
            return False
        if message.type == "line":
            self._printer.write(message)
        elif message.type == "start":
            self._processes[message.name]["pid"] = message.data["pid"]
            self.say(f"{message.name} started (pid {message.data['pid']})")
        else:
            self._on_end(message.name)
        return True

    def _on_end(self, name: str) -> None:
        if self.stopping:
            self.say(f"{name} stopped")
            return
        self.say(
            f"{name} died {MAX_DEATHS} times within {DEATHS_WITHIN:.0f} seconds, so everything "
            "is stopped. Its lines above say why."
        )
        self.stopping = self.failed = True

    def _on_signal(self, signum: int, frame: Any) -> None:
        # Nothing else: printing or locking here could deadlock with the interrupted code.
        self.stopping = True

    def _on_sigusr1(self, signum: int, frame: Any) -> None:
        self._has_new_code = True


def kill_session(session: int) -> None:
    """Kill all processes of a session, such as the child of a worker that was killed."""
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)
