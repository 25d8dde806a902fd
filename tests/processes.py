"""Real schedulers and workers for the tests."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.servers import BASE_DIR

# The environment of the processes of one site.
Site = Mapping[str, str]


def start(site: Site, *command: str, **options: Any) -> "subprocess.Popen[bytes]":
    """Start a `manage.py` command of the site with this environment, and return its process.

    `options` are those of `Popen`.
    """
    kept = {"PATH", "HOME", "LANG", "TMPDIR"} & os.environ.keys()
    environment = {name: os.environ[name] for name in kept} | {
        "DJANGO_SETTINGS_MODULE": "tests.process_settings",
        "SECRET_KEY": "only-for-the-tests",
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", *command],
        cwd=BASE_DIR,
        env=environment | dict(site),
        **options,
    )


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


def work_off(site: Site) -> None:
    """Run a worker until the queues are empty."""
    assert start(site, "rqworker", "--burst", "high", "default", "low").wait(120) == 0
