from collections.abc import Iterator

import pytest

from tests.feeds.site import Site, running_site


@pytest.fixture
def site() -> Iterator[Site]:
    """Run a web server."""
    with running_site() as site:
        yield site


@pytest.fixture
def other_site() -> Iterator[Site]:
    """Run another web server."""
    with running_site() as site:
        yield site
