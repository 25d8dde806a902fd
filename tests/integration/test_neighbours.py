"""Several databases on one Redis: side by side with prefixes, or refused by name (R16)."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from redis import Redis

from tasks.broker.keys import OWNER_KEY
from tasks.models import OwnerMark
from tasks.services import SchedulerService, TaskService
from tests.processes import Site, execute, run, running, running_both
from tests.servers import wait_for

# What a site with a prefix does, in a process of its own: two schedules, calls, and one to stop.
FILL = """
from django.utils import timezone
from tasks.services import SchedulerService, TaskService
SchedulerService.schedule(timezone.now(), "tests.jobs.note", ["{notes}", "scheduled"], interval=1)
TaskService.enqueue_task("tests.jobs.note", "{notes}", "endless", 600)
"""
STOP = """
from tasks.models import Task
from tasks.services import TaskService
TaskService.cancel_task(Task.objects.get(status="running"))
TaskService.enqueue_task("tests.jobs.note", "{notes}", "after it was stopped")
"""


@pytest.fixture
def neighbour(site: Site, tmp_path: Path) -> Site:
    """Return the environment of another site on the same Redis, with a SQLite database."""
    directory = tmp_path / "neighbour"
    directory.mkdir()
    database = f"sqlite:///{directory / 'neighbour.sqlite3'}"
    other = {**site, "DATA_DIR": str(directory), "DATABASE_URL": database}
    assert run(other, "migrate", "--verbosity", "0").returncode == 0
    return other


def copy_database(site: Site, to: Path) -> Site:
    """Return the environment of a copy of a site with a SQLite database, made while it runs."""
    path = site["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(to)) as other:
        one.backup(other)
    return {**site, "DATABASE_URL": f"sqlite:///{to}"}


def wait_for_exits(processes: list["subprocess.Popen[bytes]"]) -> list[int]:
    """Wait until processes have ended by themselves; return their exit codes."""
    wait_for(lambda: all(one.poll() is not None for one in processes), "their ends", 60)
    return [process.returncode for process in processes]


def names_in(redis: Redis) -> set[str]:
    """Return the names of all keys and channels."""
    found: list[Any] = [*redis.keys(), *redis.pubsub_channels()]
    return {name.decode() for name in found}


def test_two_sites_with_prefixes_of_their_own_run_side_by_side_on_one_redis(
    site: Site, neighbour: Site, notes: Path, redis_connection: Redis
):
    theirs = notes.with_name("theirs")
    theirs.touch()
    shop = {**neighbour, "RQ_KEY_PREFIX": "shop"}
    seen: set[str] = set()
    execute(shop, FILL.format(notes=theirs))
    seen |= names_in(redis_connection)
    with running_both(shop):

        def has(text: str) -> bool:
            seen.update(names_in(redis_connection))
            return text in theirs.read_text()

        wait_for(lambda: has("start endless"), "a call", 60)
        execute(shop, STOP.format(notes=theirs))
        wait_for(lambda: has("end after it was stopped"), "a stopped run, and the next", 60)
        wait_for(lambda: has("end scheduled"), "a scheduled run", 60)
        assert [name for name in seen if not name.startswith("shop:")] == []
        assert {"shop:tasks:owner", "shop:scheduler:scheduled_jobs", "shop:queues"} <= seen
        assert any(name.startswith("shop:pubsub:") for name in seen)

        schedule = SchedulerService.schedule(
            timezone.now(), "tests.jobs.note", [str(notes), "ours"], interval=1
        )
        with running_both(site):
            wait_for(lambda: schedule.runs.filter(status="finished").count() > 2, "runs", 60)
            before = theirs.read_text().count("scheduled")
            wait_for(lambda: theirs.read_text().count("scheduled") > before + 2, "theirs", 60)
    ours = {name for name in names_in(redis_connection) if not name.startswith("shop:")}
    assert {name.partition(":")[0] for name in ours} == {"rq", "tasks"}
    assert "ours" not in theirs.read_text()
    assert "scheduled" not in notes.read_text()


@pytest.mark.parametrize("command", [["rqscheduler"], ["rqworker", "default"]])
def test_a_process_of_another_database_refuses_to_start_and_names_both(
    neighbour: Site, redis_connection: Redis, command: list[str]
):
    call = TaskService.enqueue_task("tests.jobs.note", "/nowhere")
    before = {key: redis_connection.dump(key) for key in redis_connection.keys("*")}
    ended = run(neighbour, *command)
    assert ended.returncode == 1
    owner: Any = redis_connection.hget(OWNER_KEY, "name")
    for part in (owner.decode(), "neighbour.sqlite3", "RQ_KEY_PREFIX", "adopt_redis --run"):
        assert part in ended.stdout
    assert "Traceback" not in ended.stdout
    assert {key: redis_connection.dump(key) for key in redis_connection.keys("*")} == before
    call.refresh_from_db()
    assert call.status == "queued"


def test_the_leader_raises_the_number_and_a_copy_of_its_database_is_refused(
    neighbour: Site, tmp_path: Path, redis_connection: Redis
):
    def number() -> int:
        return int(redis_connection.hget(OWNER_KEY, "number") or 0)

    with running(neighbour, "rqscheduler"):
        wait_for(number, "a number", 60)
        copy = copy_database(neighbour, tmp_path / "copy.sqlite3")
        at_copy = number()
        wait_for(lambda: number() > at_copy + 2, "a later number", 60)
        for command in (["rqscheduler"], ["rqworker", "--burst", "default"]):
            ended = run(copy, *command)
            assert ended.returncode == 1
            assert "it is a copy of SQLite" in ended.stdout
    # Nor when its original is down.
    assert run(copy, "rqscheduler").returncode == 1
    assert run(neighbour, "rqworker", "--burst", "default").returncode == 0


def test_processes_end_with_the_sentence_when_a_copy_adopts_their_redis(
    neighbour: Site, tmp_path: Path, redis_connection: Redis
):
    theirs = tmp_path / "theirs"
    theirs.touch()
    execute(neighbour, FILL.format(notes=theirs).rpartition("TaskService")[0])
    with running_both(neighbour) as processes:
        wait_for(lambda: "end scheduled" in theirs.read_text(), "a run", 60)
        copy = copy_database(neighbour, tmp_path / "copy.sqlite3")
        adopted = run(copy, "adopt_redis", "--missed")
        assert adopted.returncode == 0, adopted.stdout
        assert wait_for_exits(processes) == [1, 1]
    ran = theirs.read_text().count("start")
    with running_both(copy):
        wait_for(lambda: theirs.read_text().count("start") > ran, "a run of the copy", 60)
        ledger = run(copy, "ledger")
    assert "The ledger closes" in ledger.stdout, ledger.stdout


@pytest.mark.parametrize("command", [["rqscheduler"], ["rqworker", "default"]])
def test_a_process_ends_when_its_database_is_restored_from_a_backup(
    site: Site, redis_connection: Redis, command: list[str]
):
    call_command("adopt_redis", "--run")
    redis_connection.hset(OWNER_KEY, "number", 100)
    OwnerMark.objects.update(number=100)
    with running(site, *command) as process:
        wait_for(lambda: redis_connection.keys("rq:*"), "its start", 60)
        OwnerMark.objects.update(number=50)
        assert wait_for_exits([process]) == [1]


def test_a_flushed_redis_stays_that_of_the_database_whose_scheduler_leads(
    site: Site, neighbour: Site, redis_connection: Redis
):
    with running(site, "rqscheduler"):
        wait_for(lambda: redis_connection.exists(OWNER_KEY), "a mark", 60)
        redis_connection.flushall()
        wait_for(lambda: redis_connection.exists(OWNER_KEY), "the mark again")
        owner: Any = redis_connection.hget(OWNER_KEY, "id")
        assert owner.decode() == OwnerMark.objects.get().owner.hex
        assert run(neighbour, "rqscheduler").returncode == 1
