"""What the tests of this room share."""

from datetime import UTC, datetime

import pytest


@pytest.fixture
def utc_now() -> datetime:
    """Return now as rq-scheduler expects it."""
    return datetime.now(UTC).replace(tzinfo=None)
