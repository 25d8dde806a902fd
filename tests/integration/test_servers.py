"""The servers of the tests themselves: each test process gets one, and none is left behind."""

import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.servers import BASE_DIR, wait_for

POSTGRES = """
from tests.servers import own_postgres
print(own_postgres().url.partition("?host=")[2] + "/data", flush=True)
input()
"""
VALKEY = """
from tests.servers import Valkey
server = Valkey()
server.start()
print(server.data, flush=True)
input()
"""


@contextmanager
def process_with(code: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that starts a server, prints where its data is, and waits for a line."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def data_of(process: "subprocess.Popen[str]") -> Path:
    """Wait for a process's server; return where its data is."""
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def servers_in(directory: Path) -> list[psutil.Process]:
    """Return the server processes that work in a directory."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and str(directory) in (process.info["cmdline"] or [])
    ]


def test_test_processes_that_start_a_database_server_at_the_same_time_all_get_one():
    with ExitStack() as stack:
        processes = [stack.enter_context(process_with(POSTGRES)) for _ in range(4)]
        for process in processes:
            url = f"postgresql://postgres:@/postgres?host={data_of(process).parent}"
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_database_server_of_the_tests_runs_as_a_user_that_exists_already():
    with process_with(POSTGRES) as process:
        [server] = servers_in(data_of(process))
        expected = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid()
        assert server.uids().effective == expected


@pytest.mark.parametrize("code", [POSTGRES, VALKEY], ids=["PostgreSQL", "Valkey"])
@pytest.mark.parametrize("way", ["ends", "is killed"])
def test_no_server_and_no_data_is_left_when_the_test_process(code: str, way: str):
    with process_with(code) as process:
        data = data_of(process)
        assert servers_in(data)
        if way == "ends":
            process.communicate("\n")
            assert process.returncode == 0
        else:
            process.kill()
        wait_for(lambda: not data.exists() and not servers_in(data), "the end of its server")
