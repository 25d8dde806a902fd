"""Real schedulers and workers for the tests."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tests.servers import BASE_DIR

# The environment of the processes of one site.
Site = Mapping[str, str]


def start(site: Site, *command: str, **options: Any) -> "subprocess.Popen[bytes]":
    """Start a `manage.py` command of the site with this environment, and return its process.

    `options` are those of `Popen`.
    """
    return subprocess.Popen(_arguments(command), cwd=BASE_DIR, env=environment_of(site), **options)


def run(site: Site, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the site to its end; return it with its exit code and what it printed."""
    return subprocess.run(
        _arguments(command),
        cwd=BASE_DIR,
        env=environment_of(site),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


def _arguments(command: Sequence[str]) -> list[str]:
    return [sys.executable, "manage.py", *command]


def environment_of(site: Site) -> dict[str, str]:
    """Return the environment of a process of the site: nothing of this one's that matters."""
    kept = {"PATH", "HOME", "LANG", "TMPDIR"} & os.environ.keys()
    defaults = {
        "DJANGO_SETTINGS_MODULE": "tests.process_settings",
        "SECRET_KEY": "only-for-the-tests",
    }
    return {name: os.environ[name] for name in kept} | defaults | dict(site)


@contextmanager
def running(site: Site, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command inside the block; it is stopped, at last by force, after it."""
    process = start(site, *command)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def running_both(site: Site) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run a scheduler and a worker of the site inside the block."""
    worker = running(site, "rqworker", "high", "default", "low")
    with running(site, "rqscheduler") as scheduler, worker as process:
        yield [scheduler, process]


def execute(site: Site, code: str) -> None:
    """Execute code in a process of the site."""
    done = run(site, "shell", "--verbosity", "0", "-c", code)
    assert done.returncode == 0, done.stdout


def work_off(site: Site) -> None:
    """Run a worker until the queues are empty."""
    assert start(site, "rqworker", "--burst", "high", "default", "low").wait(120) == 0
