"""Servers that become unavailable, come back empty, or whose replies get lost."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.proof.checks import check, check_runs_continue
from tests.acceptance.proof.proxy import Proxy
from tests.acceptance.proof.system import Schedule, Subject, System, next_second, now
from tests.servers import Postgres, Valkey, wait_for

# Commands that enqueue, dequeue and move a schedule forward: ours, RQ's and rq-scheduler's.
COMMANDS = [
    "EVALSHA",
    "RPUSH",
    "LPUSH",
    "BLMOVE",
    "LMOVE",
    "BRPOP",
    "BLPOP",
    "LPOP",
    "ZADD",
    "ZREM",
]


def schedules() -> list[Schedule]:
    first = next_second()
    options = [{}, {"retries": 2}, {"overlap": "allow"}, {"catch_up": "all"}]
    return [
        Schedule(f"s{number}", first, interval=4, options=own) for number, own in enumerate(options)
    ]


def start(system: System) -> None:
    """Make schedules, start a scheduler and two workers, and wait until they have run something."""
    system.make(*schedules())
    system.scheduler()
    for _ in range(2):
        system.worker()
    check_runs_continue(system)


@pytest.mark.case(10)
def test_a_system_survives_30_seconds_without_redis(system: System):
    start(system)
    system.valkey.stop(signal.SIGKILL)
    time.sleep(30)
    system.valkey.start()
    check_runs_continue(system)
    check(system)


def _flush(valkey: Valkey) -> None:
    valkey.client.flushall()


def _restart_empty(valkey: Valkey) -> None:
    valkey.stop(signal.SIGKILL)
    valkey.forget()
    valkey.start()


@pytest.mark.case(11)
@pytest.mark.parametrize("lose_all", [_flush, _restart_empty])
def test_a_redis_that_is_suddenly_empty_is_restored_from_the_rows(
    system: System, lose_all: Callable[[Valkey], None]
):
    start(system)
    lose_all(system.valkey)
    begun = time.monotonic()
    check_runs_continue(system)
    if system.subject == "ours":
        wait_for(lambda: len(system.members()) == len(system.schedules), "all schedules", 30)
        assert time.monotonic() - begun < 30
    check(system)


@pytest.fixture
def lossy(
    tmp_path: Path, subject: Subject, valkey: Valkey, postgres_server: Postgres, migrated: str
) -> Iterator[tuple[System, Proxy]]:
    """Run a system that talks to Redis through a proxy that drops each fifth reply."""
    proxy = Proxy(valkey.port, COMMANDS, every=5)
    database = postgres_server.create_database(template=migrated)
    system = System(tmp_path, database, subject, redis_url=proxy.url, valkey=valkey)
    yield system, proxy
    system.close()
    proxy.close()
    postgres_server.drop_database(database)


@pytest.mark.case(12)
def test_a_command_to_redis_whose_reply_is_lost_does_not_run_anything_twice(
    lossy: tuple[System, Proxy],
):
    system, proxy = lossy
    start(system)
    wait_for(lambda: sum(proxy.dropped.values()) >= 30, "lost replies", 60)
    proxy.heal()
    check_runs_continue(system)
    check(system)
    assert len(proxy.dropped) >= 2, proxy.dropped


def check_said_once(system: System, subject: str) -> None:
    """Check that each process has said once, in one line, that something was unavailable."""
    logs = "".join(path.read_text(errors="replace") for path in system.directory.glob("*.log"))
    assert "Traceback" not in logs
    said = Counter(
        line.split()[2] for line in logs.splitlines() if f"{subject} is unavailable" in line
    )
    assert said, "nobody has said it"
    assert set(said.values()) == {1}, said


@pytest.mark.case(13)
@pytest.mark.parametrize("seconds", [4, 20])
def test_a_run_that_is_due_while_the_database_is_unavailable_starts_when_it_is_back(
    system: System, fragile_postgres: Postgres, seconds: int
):
    first = next_second(5)
    system.make(
        Schedule("plain", first, interval=10, options={"retries": 1}),
        Schedule("all", first, interval=10, options={"catch_up": "all"}),
    )
    system.scheduler()
    for _ in range(2):
        system.worker()
    wait_for(lambda: len(system.members()) == 2, "the schedules in Redis")
    fragile_postgres.stop()
    wait_for(lambda: now() > system.schedules[0].first, "the first due")
    time.sleep(seconds)
    fragile_postgres.start()
    check_runs_continue(system)
    check(system)
    if system.subject == "ours":
        check_said_once(system, "The database")


@pytest.mark.case(14)
def test_the_end_of_a_run_is_written_after_20_seconds_without_the_database(
    system: System, fragile_postgres: Postgres
):
    first = next_second()
    options = {"retries": 2}
    system.make(
        *(Schedule(f"s{n}", first, interval=60, seconds=2, options=options) for n in range(2))
    )
    system.scheduler()
    for _ in range(2):
        system.worker()
    for schedule in system.schedules:
        system.wait_for_start(schedule)
    fragile_postgres.stop()
    wait_for(lambda: [line.event for line in system.lines()].count("end") == 2, "the ends")
    time.sleep(20)
    fragile_postgres.start()
    check(system, until=system.schedules[0].first)
    assert {(run.status, run.attempt) for run in system.runs()} == {("finished", 1)}
    if system.subject == "ours":
        check_said_once(system, "The database")
