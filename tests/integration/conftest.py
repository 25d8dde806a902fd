"""Integration tests talk to a real Valkey, and by TEST_DATABASE=postgres to a real PostgreSQL."""

from pathlib import Path

import pytest
from django.db import connection
from redis import Redis

from tests.processes import Site
from tests.servers import Valkey


@pytest.fixture(autouse=True)
def redis_connection(valkey: Valkey) -> Redis:
    """Return a connection to the Valkey that the code under test uses, empty."""
    return valkey.client


@pytest.fixture
def site(transactional_db: None, valkey: Valkey, tmp_path: Path) -> Site:
    """Return the environment of other processes of the site that is being tested."""
    config = connection.settings_dict
    if connection.vendor == "sqlite":
        database = f"sqlite:///{config['NAME']}"
    else:
        database = (
            f"postgresql://{config['USER']}@/{config['NAME']}?host={config['OPTIONS']['host']}"
        )
    return {"DATA_DIR": str(tmp_path), "DATABASE_URL": database, "REDIS_URL": valkey.url}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Return the file, empty, to which the task function `tests.jobs.note` appends its lines."""
    path = tmp_path / "notes"
    path.touch()
    return path
