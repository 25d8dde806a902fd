"""Runs the tests of a checkout of rq-scheduler on both classes, each in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers import BASE_DIR, Valkey
from tests.upstream.differences import DIFFERENCES
from tests.upstream.verdict import Ends, Verdict, judge

RUNNER = Path(__file__).with_name("runner.py")
# One run takes some seconds: after so many, a test hangs.
TIMEOUT_SECONDS = 300


class SuiteNotRun(Exception):
    """The tests could not be run, so there is nothing to compare."""


def compare(checkout: Path) -> Verdict:
    """Run a checkout's tests on both classes and compare; raises SuiteNotRun if they can't run."""
    if not (checkout / "tests" / "test_scheduler.py").is_file():
        raise SuiteNotRun(
            f"{checkout} is not a checkout of rq-scheduler: no tests/test_scheduler.py."
        )
    valkey = Valkey()
    valkey.start()
    try:
        stock, ours = (_ends(subject, checkout, valkey) for subject in ("stock", "ours"))
    finally:
        valkey.stop()
    return judge(stock, ours, DIFFERENCES)


def _ends(subject: str, checkout: Path, valkey: Valkey) -> Ends:
    """Run all tests, and the failed ones once more: many compare whole seconds of two clocks."""
    ends = _run(subject, checkout, valkey, "tests")
    failed = [name for name, failure in ends.items() if failure is not None]
    return ends | _run(subject, checkout, valkey, *failed) if failed else ends


def _run(subject: str, checkout: Path, valkey: Valkey, *tests: str) -> dict[str, str | None]:
    kept = {"PATH", "HOME", "LANG", "TMPDIR"} & os.environ.keys()
    with tempfile.TemporaryDirectory(prefix="upstream-") as directory:
        report = Path(directory) / "report.json"
        environment = {name: os.environ[name] for name in kept} | {
            "DATA_DIR": directory,
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(BASE_DIR),
            "REDIS_URL": valkey.url,
        }
        command = [sys.executable, "-P", str(RUNNER), subject, str(report), *tests]
        try:
            process = subprocess.run(
                command,
                cwd=checkout,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            raise SuiteNotRun(
                f"On {subject}, a test hangs: {TIMEOUT_SECONDS} seconds."
            ) from expired
        if not report.exists():
            raise SuiteNotRun(f"The tests could not be run on {subject}:\n{process.stdout}")
        ends: dict[str, str | None] = json.loads(report.read_text())
        return ends
