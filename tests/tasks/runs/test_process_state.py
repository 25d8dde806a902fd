"""What a function changes in its process is restored; what can't be has the process replaced."""

import asyncio
import contextvars
import decimal
import gc
import json
import locale
import logging
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.db import connections
from django.db.models.signals import post_save

from tasks.runs import coroutines, thread_locals
from tasks.runs.process_state import ProcessState, pieces
from tests.servers import BASE_DIR

SEEN_BEFORE = threading.local()
NEW = threading.local()


def change_umask() -> None:
    os.umask(0o123)


def change_locale() -> None:
    locale.setlocale(locale.LC_NUMERIC, "C.UTF-8")


def change_zone() -> None:
    known = os.environ["TZ"]  # Django sets it.
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    os.environ["TZ"] = known


def change_logging() -> None:
    logging.disable(logging.CRITICAL)
    logging.getLogger("tasks").setLevel(logging.CRITICAL)
    logging.getLogger().addHandler(logging.NullHandler())


def change_gc() -> None:
    gc.disable()
    gc.set_threshold(1, 2, 3)


def change_receivers() -> None:
    post_save.connect(lambda **kwargs: None, weak=False)
    user_logged_in.receivers = []


def change_settings() -> None:
    settings.TENANT = "left behind"
    del settings.RQ


def change_limits() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def change_locals() -> None:
    SEEN_BEFORE.tenant = "left behind"
    NEW.tenant = "left behind"


CHANGES: dict[str, Callable[[], Any]] = {
    "environment variables": lambda: os.environ.update(PATH="/nowhere", LEFT="behind"),
    "time zone of the process": change_zone,
    "working directory": lambda: os.chdir("/usr"),
    "file mode mask (umask)": change_umask,
    "locale": change_locale,
    "default socket timeout": lambda: socket.setdefaulttimeout(0.001),
    "import path (sys.path)": lambda: sys.path.insert(0, "/nowhere"),
    "standard streams and hooks": lambda: setattr(sys, "excepthook", print),
    "recursion limit": lambda: sys.setrecursionlimit(4321),
    "tracing and profiling": lambda: sys.setprofile(lambda *args: None),
    "garbage collector": change_gc,
    "warning filters": lambda: warnings.simplefilter("error"),
    "logging levels and root handlers": change_logging,
    "blocked signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),
    "signal handlers": lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
    "timers": lambda: signal.setitimer(signal.ITIMER_PROF, 1000),
    "resource limits": change_limits,
    "event loop policy": lambda: asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy()),
    "receivers of Django's signals": change_receivers,
    "Django settings": change_settings,
    "thread-locals": change_locals,
}
# Only a privileged process can take these back.
NEED_PRIVILEGES = {"priority (nice)": lambda: os.nice(1), "user and group": lambda: os.setuid(1)}


def in_a_fork(call: Callable[[], Any]) -> Any:
    """Return what a call returns in a process that it can change."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, json.dumps(call()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text)


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_function_changes_is_noticed_and_restored(name: str):
    def change_and_restore() -> list[Any]:
        SEEN_BEFORE.tenant = "of the start"
        state = ProcessState()
        state.remember()
        CHANGES[name]()
        is_restored = state.restore("tests.function")
        return [is_restored, ("tests.function", name) in state.told]

    assert in_a_fork(change_and_restore) == [True, True]


def test_a_process_in_which_nothing_was_changed_is_left_alone():
    code = (
        "import django; django.setup()\n"
        "from tasks.runs.process_state import ProcessState\n"
        "state = ProcessState()\n"
        "state.remember()\n"
        "print(state.restore('tests.function'), state.told)"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.process_settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "True set()\n", done.stderr


def test_each_piece_of_the_table_has_a_test():
    assert {piece.name for piece in pieces()} == CHANGES.keys() | NEED_PRIVILEGES.keys()


def test_the_table_in_the_docs_is_the_one_in_the_code():
    text = (BASE_DIR / "docs" / "architecture.md").read_text()
    section = text.partition("## What one run leaves to the next")[2].partition("\n## ")[0]
    in_docs = re.findall(r"^\| ([^|]+?) \| restored", section, re.MULTILINE)
    assert in_docs == [piece.name for piece in pieces()]


def values_after(change: Callable[[], Any], read: Callable[[], Any]) -> list[Any]:
    """Return what is read before a change, after it, and after it was restored."""

    def change_and_restore() -> list[Any]:
        state = ProcessState()
        state.remember()
        before = read()
        change()
        changed = read()
        state.restore("tests.function")
        return [before, changed, read()]

    return in_a_fork(change_and_restore)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("environment variables", lambda: (os.getenv("PATH"), os.getenv("LEFT"))),
        ("time zone of the process", lambda: time.tzname),
        ("working directory", os.getcwd),
        ("locale", lambda: locale.setlocale(locale.LC_ALL)),
        ("default socket timeout", socket.getdefaulttimeout),
        ("import path (sys.path)", lambda: sys.path.copy()),
        ("recursion limit", sys.getrecursionlimit),
        ("garbage collector", lambda: (gc.isenabled(), gc.get_threshold())),
        ("warning filters", lambda: [str(one) for one in warnings.filters]),
        (
            "logging levels and root handlers",
            lambda: (
                logging.getLogger("tasks.runs").isEnabledFor(logging.ERROR),
                [str(handler) for handler in logging.getLogger().handlers],
            ),
        ),
        ("blocked signals", lambda: list(signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        ("signal handlers", lambda: str(signal.getsignal(signal.SIGUSR2))),
        ("timers", lambda: signal.getitimer(signal.ITIMER_PROF)[0] > 0),
        ("resource limits", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)),
        (
            "receivers of Django's signals",
            lambda: [len(post_save.receivers), len(user_logged_in.receivers)],
        ),
        ("Django settings", lambda: [hasattr(settings, "TENANT"), hasattr(settings, "RQ")]),
        (
            "thread-locals",
            lambda: [getattr(local, "tenant", None) for local in (SEEN_BEFORE, NEW)],
        ),
    ],
)
def test_after_a_function_has_returned_its_process_is_as_it_was(name: str, read: Callable[[], Any]):
    before, changed, after = values_after(CHANGES[name], read)
    assert changed != before
    assert after == before


def test_a_thread_local_has_the_values_of_the_start_again():
    def change_and_restore() -> list[Any]:
        SEEN_BEFORE.tenant = "of the start"
        state = ProcessState()
        state.remember()
        SEEN_BEFORE.tenant, SEEN_BEFORE.more = "left behind", 1
        state.restore("tests.function")
        return list(vars(SEEN_BEFORE).items())

    assert in_a_fork(change_and_restore) == [["tenant", "of the start"]]


@pytest.fixture(params=["listed", "searched for"])
def finding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have thread-locals found as on Python 3.12 and before (if it is one), and as on 3.13."""
    if request.param == "searched for":
        monkeypatch.setattr(thread_locals, "entries_of_this_thread", lambda: None)


class Stack(threading.local):
    def __init__(self) -> None:
        self.entries = ["of the start"]


STACK = Stack()


@pytest.mark.usefixtures("finding")
def test_a_thread_local_that_fills_itself_is_restored():
    def change_and_restore() -> list[Any]:
        state = ProcessState()
        state.remember()
        STACK.entries = ["left behind"]
        SEEN_BEFORE.tenant = "left behind"
        state.restore("tests.function")
        return [STACK.entries, hasattr(SEEN_BEFORE, "tenant")]

    assert in_a_fork(change_and_restore) == [["of the start"], False]


@pytest.mark.django_db
@pytest.mark.usefixtures("finding")
def test_database_connections_are_no_leftovers():
    def connect_and_restore() -> bool:
        unused = connections["default"]
        del connections["default"]  # As when a process has not used its database yet.
        state = ProcessState()
        state.remember()
        used = connections["default"]
        is_restored = state.restore("tests.function")
        return is_restored and connections["default"] is used is not unused

    assert in_a_fork(connect_and_restore)


def test_each_run_has_a_decimal_context_of_its_own():
    state = ProcessState()
    seen: list[int] = []

    def run() -> None:
        state.remember()
        seen.append(decimal.getcontext().prec)
        decimal.getcontext().prec = 3

    for _ in range(2):
        contextvars.copy_context().run(run)
    assert seen[0] == seen[1] != 3


def test_receivers_of_a_module_that_a_function_imports_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "late_receivers.py").write_text(
        "from django.db.models.signals import post_save\n"
        "def receive(**kwargs): pass\n"
        "post_save.connect(receive)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def change_and_restore() -> list[Any]:
        state = ProcessState()
        state.remember()
        before = len(post_save.receivers)
        __import__("late_receivers")
        post_save.connect(lambda **kwargs: None, weak=False)
        is_restored = state.restore("tests.function")
        return [is_restored, len(post_save.receivers) - before]

    assert in_a_fork(change_and_restore) == [True, 1]


def test_a_process_whose_priority_cannot_be_restored_is_replaced(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: int) -> None:
        raise PermissionError("not for you")

    def change_and_restore() -> bool:
        state = ProcessState()
        state.remember()
        os.nice(1)
        return state.restore("tests.function")

    monkeypatch.setattr(os, "setpriority", refuse)
    assert in_a_fork(change_and_restore) is False


def test_a_process_whose_working_directory_was_deleted_goes_elsewhere_and_is_replaced(
    tmp_path: Path,
):
    def change_and_restore() -> list[Any]:
        directory = tmp_path / "deleted"
        directory.mkdir()
        os.chdir(directory)
        state = ProcessState()
        state.remember()
        directory.rmdir()
        is_restored = state.restore("tests.function")
        next_state = ProcessState()
        next_state.remember()
        return [is_restored, os.getcwd(), next_state.restore("tests.function")]

    assert in_a_fork(change_and_restore) == [False, "/", True]


def test_what_a_function_leaves_is_logged_once(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    state = ProcessState()
    state.remember()
    for _ in range(2):
        os.environ["LEFT"] = "behind"
        state.restore("tests.function")
    [record] = caplog.records
    assert record.getMessage() == (
        "“tests.function” changed the state of its process, which was restored: "
        "environment variables."
    )


async def wait_a_moment() -> str:
    await asyncio.sleep(0)
    return "done"


def test_a_coroutine_leaves_nothing_behind_that_would_have_to_be_restored():
    def run_first_coroutine_of_thread() -> None:
        state = ProcessState()
        state.remember()
        found.append(coroutines.run(wait_a_moment()))
        found.append(state.restore("function"))
        found.append(state.told)

    found: list[Any] = []
    thread = threading.Thread(target=run_first_coroutine_of_thread)
    thread.start()
    thread.join()
    assert found == ["done", True, set()]
