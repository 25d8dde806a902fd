"""`manage.py up` with real processes: what it starts, prints, survives and leaves behind."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.servers import BASE_DIR, Up, running_up, wait_for

# A killed run holds up the next ones of its schedule until it is closed as lost, a while after
# TASKS_LOST_AFTER.
KILLED_RUN_CLOSED_SECONDS = 90


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Run one system for all tests that don't stop it; this is its first start."""
    with running_up(tmp_path_factory.mktemp("up") / "var") as up:
        yield up


@pytest.fixture
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "var"


def process_tree(up: Up) -> list[psutil.Process]:
    own = psutil.Process(up.process.pid)
    return [own, *own.children(recursive=True)]


def programs(up: Up) -> dict[str, int]:
    """Return the process ids of the programs by their names, as they were last started."""
    lines = re.findall(r"\| (\S+) started \(pid (\d+)\)", up.output)
    return {name: int(pid) for name, pid in lines}


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def rows(data_dir: Path, query: str) -> list[Any]:
    database = sqlite3.connect(data_dir / "db.sqlite3", timeout=20)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def finished_runs(data_dir: Path) -> int:
    """Return how many runs have finished."""
    query = "SELECT count(*) FROM tasks_scheduledtaskinstance WHERE status = 'finished'"
    count: int = rows(data_dir, query)[0][0]
    return count


def test_no_run_of_the_first_minute_is_skipped(data_dir):
    with running_up(data_dir):
        wait_for(lambda: finished_runs(data_dir) >= 3, "three finished runs")
        query = "SELECT status, count(*) FROM tasks_scheduledtaskinstance GROUP BY status"
        assert {status for status, _ in rows(data_dir, query)} <= {"finished", "running"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the checkout, whose code may be changed."""
    copied = ("project", "tasks", "feeds", "examples")
    for name in copied:
        shutil.copytree(BASE_DIR / name, tmp_path / "site" / name)
    shutil.copy(BASE_DIR / "manage.py", tmp_path / "site")
    return tmp_path / "site"


NEW_FUNCTION = """

@scheduled_task
def brand_new() -> str:
    return "new"
"""
SCHEDULE = """
from django.utils import timezone
from tasks.services import SchedulerService
SchedulerService.schedule(timezone.now(), "examples.brand_new", interval=1)
"""


def test_a_new_task_function_is_known_once_its_code_is_saved(data_dir, checkout):
    with running_up(data_dir, "--reload", folder=checkout) as up:
        before = programs(up)
        with (checkout / "examples" / "tasks.py").open("a") as file:
            file.write(NEW_FUNCTION)
        up.wait_for_line("tasks.py changed: restarting")
        wait_for(lambda: programs(up)["worker-2"] != before["worker-2"], "another worker-2")
        wait_for(lambda: programs(up)["worker-1"] != before["worker-1"], "another worker-1")
        up.manage("shell", "-c", SCHEDULE)
        query = "SELECT result FROM tasks_scheduledtaskinstance WHERE name LIKE '%brand_new%'"
        wait_for(lambda: ('"new"',) in rows(data_dir, query), "its result")
        assert programs(up)["valkey"] == before["valkey"]


def test_a_broken_file_saved_right_after_a_good_one_ends_nothing(data_dir, checkout):
    file = checkout / "examples" / "tasks.py"
    code = file.read_text()
    with running_up(data_dir, "--reload", folder=checkout) as up:
        before = programs(up)
        file.write_text(code + NEW_FUNCTION)
        up.wait_for_line("tasks.py changed: restarting")
        file.write_text(f"{code}\ndef (")
        refused = ("but the check fails", "the code can't be loaded")
        wait_for(lambda: any(text in up.output for text in refused), "its refusal")
        file.write_text(code + NEW_FUNCTION + "\n")
        wait_for(lambda: up.output.count("changed: restarting") == 2, "the second restart")
        wait_for(lambda: up.answers(), "an answer")
        query = "SELECT result FROM tasks_scheduledtaskinstance WHERE name LIKE '%brand_new%'"
        up.manage("shell", "-c", SCHEDULE)
        wait_for(lambda: ('"new"',) in rows(data_dir, query), "its result")
        assert programs(up)["valkey"] == before["valkey"]


def test_the_first_start_of_up_prints_the_password_once(up):
    assert up.answers()
    assert up.output.count("Log in as admin with the password") == 1


def test_up_polls_its_own_activity_feed_from_the_first_start(up):
    wait_for(lambda: finished_runs(up.data_dir), "a finished run", seconds=15)


def test_what_a_running_system_stores_can_be_read_by_its_owner_only(up):
    wait_for(lambda: finished_runs(up.data_dir), "a finished run", seconds=15)
    opened = []
    for path in (up.data_dir, *up.data_dir.rglob("*")):
        with suppress(FileNotFoundError):
            opened += [path] if path.lstat().st_mode & 0o077 else []
    assert opened == []
    assert "was open to other users" not in up.output


def test_up_runs_valkey_a_web_server_a_scheduler_and_workers_with_one_for_feeds(up):
    expected = {"valkey", "web", "scheduler", "worker-1", "worker-2", "feeds"}
    assert set(programs(up)) == expected


def test_a_second_up_says_where_the_first_is_and_changes_nothing(up):
    second = Up(up.data_dir)
    assert second.process.wait(30) == 1
    assert f"already running at {up.address} (pid {up.process.pid})" in second.output
    assert up.answers()


def test_up_names_a_port_that_is_in_use_before_it_starts_anything(data_dir):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        up = Up(data_dir, PORT=str(port))
        assert up.process.wait(30) == 1
    assert f"Port {port} can't be used" in up.output
    assert not (data_dir / "db.sqlite3").exists()


def test_up_refuses_a_data_dir_that_is_too_long_for_a_socket(tmp_path):
    up = Up(tmp_path / ("x" * 100))
    assert up.process.wait(30) == 1
    assert "Set DATA_DIR to a shorter path, or REDIS_URL to a server." in up.output


@pytest.mark.parametrize("name", ["valkey", "web", "scheduler", "worker-1"])
def test_up_restarts_a_program_that_is_killed(up, name):
    killed = programs(up)[name]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: programs(up)[name] != killed, f"another {name}")
    before = finished_runs(up.data_dir)
    wait_for(lambda: up.answers() and finished_runs(up.data_dir) > before, "another run")


def test_ctrl_c_ends_all_processes_of_up_within_10_seconds(data_dir):
    with running_up(data_dir) as up:
        wait_for(lambda: finished_runs(data_dir), "a finished run")
        processes = process_tree(up)
        started = time.monotonic()
        for _ in range(3):
            os.killpg(up.process.pid, signal.SIGINT)
        assert up.process.wait(30) == 0
        assert time.monotonic() - started < 10
        assert not alive(processes)


def test_a_restart_of_up_on_another_port_loses_and_doubles_nothing(data_dir):
    with running_up(data_dir):
        wait_for(lambda: finished_runs(data_dir), "a finished run")
    before = finished_runs(data_dir)
    with running_up(data_dir) as up:
        wait_for(lambda: finished_runs(data_dir) > before, "another run")
        assert "password" not in up.output
        (feed,) = rows(data_dir, "SELECT url FROM feeds_feed")
        assert feed == (f"{up.address}/feeds/activity/",)
        assert len(rows(data_dir, "SELECT id FROM tasks_scheduledtask")) == 1


def test_an_up_that_was_killed_leaves_no_process_and_starts_again_without_loss(data_dir):
    with running_up(data_dir) as up:
        processes = process_tree(up)
        up.process.kill()
        with running_up(data_dir) as again:
            assert "Waiting until the programs of an earlier start have ended…" in again.output
            assert not alive(processes)
            wait_for(lambda: finished_runs(data_dir), "a finished run", KILLED_RUN_CLOSED_SECONDS)


def test_up_takes_over_from_a_valkey_that_was_left_behind_without_loss(data_dir):
    with running_up(data_dir) as up:
        valkey = psutil.Process(programs(up)["valkey"])
        for process in process_tree(up):
            if process != valkey:
                process.kill()
        assert alive([valkey])
    with running_up(data_dir):
        assert not alive([valkey])
        wait_for(lambda: finished_runs(data_dir), "a finished run", KILLED_RUN_CLOSED_SECONDS)
