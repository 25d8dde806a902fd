from collections.abc import Iterator

import pytest

from tests.feeds.site import KeepingHandler, Site, answer, running_site


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


@pytest.fixture
def keeping() -> Iterator[Site]:
    """Run a web server that keeps its connections open, with a page."""
    with running_site(KeepingHandler) as site:
        site.pages["/feed.xml"] = answer(body=b"<rss/>")
        yield site
