"""Runs upstream's tests in a process of their own, where `tests` is upstream's package, not ours.

    python -P runner.py stock|ours REPORT TEST…

`suite` starts that process, in the checkout, with our settings and a Redis of its own. How each
test ended is written to REPORT, as JSON: its name, and what it failed with or null.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import django
import pytest
import redis
import rq.job
import rq_scheduler
from django.conf import settings
from django.core.management import call_command

# django-rq wants every queue in the settings, and upstream's tests have their own.
QUEUES = ("foo", "job_foo", "scheduler_foo")


class Recorder:
    """Records how the tests end."""

    def __init__(self) -> None:
        self.ends: dict[str, str | None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.ends[report.nodeid] = report.longreprtext
        elif report.passed and report.when == "call":
            self.ends[report.nodeid] = None


class OurSite:
    """Gives upstream's tests what code on a site of ours has.

    Jobs are read by the class that RQ["JOB_CLASS"] names, since payloads are JSON, never pickle;
    and the functions are registered, since no others run (R10).
    """

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for name, module in list(sys.modules.items()):
            if name.startswith("tests."):
                self._adapt(module)
        self._register(print)  # A callback in upstream's tests.

    def _adapt(self, module: ModuleType) -> None:
        from tasks.job import Job

        for name, value in list(vars(module).items()):
            if value is rq.job.Job:
                setattr(module, name, Job)
            elif isinstance(value, FunctionType) and value.__module__ == module.__name__:
                self._register(value)

    def _register(self, func: Callable[..., Any]) -> None:
        from tasks.registry import DEFAULT_QUEUE, Kind, TaskFunction, register

        name = f"{func.__module__}.{func.__qualname__}"
        register(TaskFunction(name, func, frozenset(Kind), DEFAULT_QUEUE, timeout=None))


def main(subject: str, report: str, *tests: str) -> None:
    """Run the tests on a class; write the report if they could be run."""
    recorder = Recorder()
    plugins: list[object] = [recorder]
    _set_up_django()
    if subject == "ours":
        from tasks.scheduler import Scheduler

        rq_scheduler.Scheduler = Scheduler
        plugins.append(OurSite())
    # Upstream's tests look for an empty database on the server at the default port.
    port = redis.Redis.from_url(settings.REDIS_URL).connection_pool.connection_kwargs["port"]
    redis.StrictRedis = partial(redis.Redis, port=port)  # type: ignore[assignment]
    here = os.getcwd()
    options = ["-c", os.devnull, "--rootdir", here, "--confcutdir", here, "-p", "no:cacheprovider"]
    code = pytest.main([*options, "--tb=short", *tests], plugins)
    if code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        Path(report).write_text(json.dumps(recorder.ends))


def _set_up_django() -> None:
    settings.RQ_QUEUES |= dict.fromkeys(QUEUES, settings.RQ_QUEUES["default"])
    django.setup()
    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
