from collections.abc import Iterator

import pytest

from tests.feeds.websub.hubs import Hub, running_hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Run a hub."""
    with running_hub() as hub:
        yield hub
