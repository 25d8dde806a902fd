"""Systems for the proof. PROOF_SUBJECT=stock puts the stock classes into them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.proof.system import Subject, System
from tests.faketime import FakeClock, can_fake_clocks
from tests.servers import BASE_DIR, Postgres, Valkey, own_postgres

SUBJECT: Subject = "stock" if os.environ.get("PROOF_SUBJECT") == "stock" else "ours"
# The cases whose tests take minutes: processes that exit at any point, and the soak.
LONG = {1, 2, 20}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the case of each test to the reports, and run those that take long first.

    PROOF_CASES names the only ones to be run.
    """
    only = set(map(int, os.environ.get("PROOF_CASES", "").split()))
    for item in list(items):
        item.user_properties += [("case", number) for number in _cases(item)]
        if only and not only & _cases(item):
            items.remove(item)
    items.sort(key=lambda item: not LONG & _cases(item))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many processes were made to exit at a kill point, in all test processes."""
    reports = [
        report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)
    ]
    exits = [
        value
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == "exits"
    ]
    if exits:
        rounds = ", ".join(map(str, exits))
        terminalreporter.write_line(f"{sum(exits)} exits at kill points, in rounds of {rounds}")


def _cases(item: pytest.Item) -> set[int]:
    return {number for marker in item.iter_markers("case") for number in marker.args}


@pytest.fixture(scope="session")
def subject() -> Subject:
    return SUBJECT


@pytest.fixture(scope="session")
def postgres_server() -> Postgres:
    """Return the PostgreSQL server of this test process."""
    return own_postgres()


@pytest.fixture
def fragile_postgres(postgres_server: Postgres) -> Iterator[Postgres]:
    """Return the PostgreSQL server, which may be stopped; it runs again afterwards."""
    yield postgres_server
    postgres_server.start()


@pytest.fixture(scope="session")
def migrated(postgres_server: Postgres) -> str:
    """Return the URL of a database with all tables, to be copied."""
    url = postgres_server.create_database()
    _migrate(url)
    return url


@pytest.fixture
def valkey() -> Iterator[Valkey]:
    """Run a Valkey server for one system."""
    server = Valkey()
    server.start()
    yield server
    if not server.stopped:
        server.stop()


@pytest.fixture
def system(
    tmp_path: Path, subject: Subject, valkey: Valkey, postgres_server: Postgres, migrated: str
) -> Iterator[System]:
    """Run a system on PostgreSQL, with its own database and Valkey, without any process yet."""
    database = postgres_server.create_database(template=migrated)
    system = System(tmp_path, database, subject, valkey=valkey)
    yield system
    system.close()
    postgres_server.drop_database(database)


@pytest.fixture
def clocked_system(
    tmp_path: Path, subject: Subject, postgres_server: Postgres, migrated: str
) -> Iterator[System]:
    """Run a system whose processes, and whose Valkey, can each have a clock of its own.

    Where clocks can't be faked, they all have the true one: `has_clocks` says so.
    """
    has_clocks = can_fake_clocks()
    valkey = Valkey(clock=FakeClock(tmp_path / "clock-of-valkey") if has_clocks else None)
    valkey.start()
    database = postgres_server.create_database(template=migrated)
    system = System(tmp_path, database, subject, valkey=valkey, has_clocks=has_clocks)
    yield system
    system.close()
    postgres_server.drop_database(database)
    if not valkey.stopped:
        valkey.stop()


@pytest.fixture
def sqlite_system(tmp_path: Path, subject: Subject, valkey: Valkey) -> Iterator[System]:
    """Run a system on SQLite."""
    database = f"sqlite:///{tmp_path / 'db.sqlite3'}"
    _migrate(database)
    system = System(tmp_path, database, subject, valkey=valkey)
    yield system
    system.close()


def _migrate(url: str) -> None:
    environment = os.environ | {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.process_settings",
        "SECRET_KEY": "only-for-the-tests",
    }
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=BASE_DIR, env=environment, check=True)
