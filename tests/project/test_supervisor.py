"""The supervisor with small programs; `tests/acceptance/test_up.py` has the real ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.servers import BASE_DIR, wait_for

# Adds the programs given as name=code, one named "last" as the last, and runs them.
# As in a terminal, SIGHUP isn't ignored, whatever the tests run under (nohup ignores it).
SCRIPT = """
import signal
import sys
from project.supervisor import Supervisor

signal.signal(signal.SIGHUP, signal.SIG_DFL)
supervisor = Supervisor()
programs = dict(argument.split("=", 1) for argument in sys.argv[1:])
for name, code in programs.items():
    command = [sys.executable, "-uc", code]
    if name == "last":
        supervisor.add_last(name, command, patience=(1, 0.5))
    else:
        supervisor.add_process(name, command)
    supervisor._processes[name]["obj"].awaits_new_code = name == "awaiting"
    if name == "reloading":
        supervisor.reload_by(name, signal.SIGHUP)
supervisor.start(*programs)
supervisor.relay_until(lambda: False)
supervisor.stop()
sys.exit(supervisor.failed)
"""
ENDLESS = "import os, time; os.write(1, b'up\\n'); time.sleep(600)"
# With a child in a process group of its own, as RQ's workers have.
WITH_CHILD = f"import os; os.fork() or os.setpgrp(); {ENDLESS}"
STUBBORN = f"import signal; signal.signal(15, signal.SIG_IGN); {ENDLESS}"
# Ends after SIGTERM once there is a file "done".
BUSY = """
import os, pathlib, signal, time
def end(*args):
    print("ending")
    while not pathlib.Path(os.environ["FOLDER"], "done").exists():
        time.sleep(0.05)
    raise SystemExit
signal.signal(signal.SIGTERM, end)
print("up")
while True:
    time.sleep(600)
"""
RELOADING = """
import signal, time
signal.signal(signal.SIGHUP, lambda *_: print("reloaded"))
print("up")
while True:
    time.sleep(0.1)
"""


class Supervised:
    """A supervisor in a process of its own."""

    def __init__(self, log: Path, **programs: str) -> None:
        self._log = log
        arguments = [f"{name}={code}" for name, code in programs.items()]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, *arguments],
                cwd=BASE_DIR,
                env=os.environ | {"FOLDER": str(log.parent)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def count(self, part: str) -> int:
        return sum(part in line for line in self.output.splitlines())

    def wait_for(self, part: str, times: int = 1) -> list[psutil.Process]:
        """Wait until so many lines have this part, and return all processes at that time."""
        wait_for(lambda: self.count(part) >= times, f"{times} times {part!r} in {self._log}")
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def pid(self, name: str) -> int:
        """Return the process id that the program was last started with."""
        line = [line for line in self.output.splitlines() if f"{name} started (pid" in line][-1]
        return int(line.partition("(pid ")[2].rstrip(")"))


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that still run; a zombie doesn't."""
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    started: list[Supervised] = []

    def supervise(**programs: str) -> Supervised:
        started.append(Supervised(tmp_path / "log", **programs))
        return started[-1]

    yield supervise
    for supervised in started:
        supervised.process.terminate()
        supervised.process.wait(15)


def test_every_line_of_the_supervisor_says_which_program_printed_it(supervise):
    supervised = supervise(one=ENDLESS, two="print('a\\nb')")
    supervised.wait_for("one    | up")
    supervised.wait_for("two    | b")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_supervisor_and_its_programs_with_exit_code_0(supervise, signum):
    supervised = supervise(one=ENDLESS, two=ENDLESS)
    processes = supervised.wait_for("| up", times=2)
    supervised.process.send_signal(signum)
    assert supervised.process.wait(10) == 0
    assert not alive(processes)


def test_repeated_ctrl_c_still_stops_the_supervisor_with_exit_code_0(supervise):
    supervised = supervise(one=ENDLESS, two=ENDLESS)
    processes = supervised.wait_for("| up", times=2)
    while supervised.process.poll() is None:
        os.killpg(supervised.process.pid, signal.SIGINT)
    assert supervised.process.returncode == 0
    assert not alive(processes)


def test_a_child_of_a_program_in_a_process_group_of_its_own_is_stopped_too(supervise):
    supervised = supervise(one=WITH_CHILD)
    processes = supervised.wait_for("| up", times=2)
    supervised.process.terminate()
    supervised.process.wait(10)
    assert not alive(processes)


def test_a_program_that_ignores_signals_is_killed_and_the_last_one_outlives_it(supervise):
    supervised = supervise(last=ENDLESS, stubborn=STUBBORN)
    supervised.wait_for("| up", times=2)
    supervised.process.terminate()
    assert supervised.process.wait(10) == 0
    assert supervised.output.index("stubborn stopped") < supervised.output.index("last stopped")


def test_new_code_restarts_a_program_once_it_has_ended_what_it_is_doing(supervise, tmp_path):
    supervised = supervise(one=BUSY, last=ENDLESS)
    supervised.wait_for("| up", times=2)
    before = {name: supervised.pid(name) for name in ("one", "last")}
    supervised.process.send_signal(signal.SIGUSR1)
    supervised.wait_for("one    | ending")
    supervised.process.send_signal(signal.SIGUSR1)
    assert supervised.pid("one") == before["one"]
    (tmp_path / "done").touch()
    supervised.wait_for("one    | up", times=2)
    assert supervised.pid("last") == before["last"]
    assert supervised.count("one    | ending") == 1
    assert supervised.count("died") == 0


def test_a_program_that_can_reload_its_code_is_not_restarted(supervise):
    supervised = supervise(reloading=RELOADING)
    supervised.wait_for("| up")
    supervised.process.send_signal(signal.SIGUSR1)
    supervised.wait_for("| reloaded")
    assert supervised.count("reloading started") == 1


def test_a_program_that_dies_is_restarted_and_its_children_are_killed(supervise):
    supervised = supervise(one=WITH_CHILD, two=ENDLESS)
    before = supervised.wait_for("one    | up", times=2)
    old = supervised.pid("one")
    child = next(process for process in before if process.ppid() == old)
    os.kill(old, signal.SIGKILL)
    supervised.wait_for("one    | up", times=4)
    assert supervised.pid("one") != old
    assert not alive([child])


def test_a_program_that_keeps_dying_stops_the_supervisor_with_exit_code_1(supervise):
    supervised = supervise(one=ENDLESS, two="raise SystemExit(3)")
    assert supervised.process.wait(30) == 1
    assert supervised.count("died with exit code 3") == 5
    assert supervised.count("two died 5 times within 30 seconds") == 1


# Dies until there is a file "done".
BROKEN = """
import os, pathlib, time
if not pathlib.Path(os.environ["FOLDER"], "done").exists():
    raise SystemExit(3)
print("up")
time.sleep(600)
"""


def test_a_program_with_broken_code_waits_for_new_code_and_the_others_go_on(supervise, tmp_path):
    supervised = supervise(one=ENDLESS, awaiting=BROKEN)
    supervised.wait_for("It is started again when the code has changed.")
    (tmp_path / "done").touch()
    supervised.process.send_signal(signal.SIGUSR1)
    supervised.wait_for("awaiting | up")
    assert supervised.process.poll() is None


def test_a_watcher_that_is_killed_is_replaced_together_with_its_program(supervise):
    supervised = supervise(one=ENDLESS)
    supervised.wait_for("| up")
    program = psutil.Process(supervised.pid("one"))
    program.parent().kill()
    supervised.wait_for("| up", times=2)
    assert not alive([program])


def test_no_program_survives_a_killed_supervisor(supervise):
    supervised = supervise(one=WITH_CHILD, two=ENDLESS)
    processes = supervised.wait_for("| up", times=3)
    supervised.process.kill()
    wait_for(lambda: not alive(processes), "the end of all processes")
