"""What all tests share.

Three kinds of tests, told apart by their folder:

- unit tests (`tests/*`): no process, no server; Redis is fakeredis, empty in each test;
- `tests/integration`: real servers. `make test` runs them on PostgreSQL (TEST_DATABASE=postgres),
  `make prove` on SQLite, too. Redis is a real Valkey, empty in each test;
- `tests/acceptance`: real processes of a whole system, and a browser.
"""

from collections.abc import Iterator
from pathlib import Path

import fakeredis
import hypothesis
import pytest
from django.conf import LazySettings
from redis import Redis

from tasks import clock, outages
from tasks.admin_pages import shared
from tasks.broker import connection
from tests.servers import Valkey, own_postgres

# How long an example takes says nothing about the code: the machine is busy with other tests.
hypothesis.settings.register_profile("patient", hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("patient")

HERE = Path(__file__).parent
KINDS = ("integration", "acceptance")
# django-rq's modules that have the function under their own name.
MODULES = ("connection_utils", "queues", "utils", "cron")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests by their folder."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in KINDS:
            item.add_marker(folder)


@pytest.fixture(autouse=True)
def forgotten_clock() -> None:
    """Begin each test without a reading of Redis's clock: nothing reads it unless told to."""
    clock.reset()


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    """Let no page show what was worked out for a page of another test."""
    shared.forget()


@pytest.fixture(autouse=True)
def redis_connection(monkeypatch: pytest.MonkeyPatch) -> Redis:
    """Return a connection to the Redis that the code under test uses, empty."""
    server = fakeredis.FakeServer()

    def connect(config: object, use_strict_redis: bool = False) -> Redis:
        return fakeredis.FakeRedis(server=server)

    for module in MODULES:
        monkeypatch.setattr(f"django_rq.{module}.get_redis_connection", connect)
    connection.open_connection.cache_clear()
    return connect(None)


@pytest.fixture(autouse=True)
def _no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no outage reach from one test to the next."""
    for outage in (outages.database_outage, outages.redis_outage):
        monkeypatch.setattr(outage, "_began", None)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """Run a Valkey server as long as the tests run."""
    server = Valkey()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server: Valkey, settings: LazySettings) -> Valkey:
    """Return the Valkey server, empty, running, and named in the settings."""
    if valkey_server.stopped:
        valkey_server.start()
    valkey_server.client.flushall()
    connection.open_connection.cache_clear()
    settings.REDIS_URL = valkey_server.url
    settings.RQ_QUEUES = {
        name: queue | {"URL": valkey_server.url} for name, queue in settings.RQ_QUEUES.items()
    }
    return valkey_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database."""
    server = own_postgres()
    url = server.create_database()
    yield url
    server.drop_database(url)
