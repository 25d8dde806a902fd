"""What the benchmarks find out about processes."""

import subprocess
import sys

import pytest

from benchmarks.figures import Failed
from benchmarks.processes import cpu_seconds, pss


def started(code: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_memory_is_that_of_a_process_and_all_below_it():
    own = "import sys; print('ready', flush=True); sys.stdin.read()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {own!r}])"
    with started(own) as alone, started(parent) as both:
        alone.stdout.readline()
        both.stdout.readline()
        assert pss(both.pid) > 1.5 * pss(alone.pid)
        for process in (alone, both):
            process.stdin.close()


def test_a_process_that_has_ended_fails_its_case():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()

    with pytest.raises(Failed, match="has ended"):
        cpu_seconds(process.pid)
