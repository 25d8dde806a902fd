"""Acceptance tests run a whole system, each with a DATA_DIR of its own."""

import pytest


@pytest.fixture(autouse=True)
def redis_connection() -> None:
    """Leave Redis alone: the system brings its own."""
