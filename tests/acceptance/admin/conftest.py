"""A busy site, started once for the tests of a file, and a browser."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.admin.site import PATIENCE, BusySite, Visitor, running_site
from tests.browser import launched

Visit = Callable[..., Visitor]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusySite]:
    with running_site(tmp_path_factory.mktemp("site") / "var") as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    with launched() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, site: BusySite) -> Iterator[Visit]:
    """Return what opens a window for somebody; in none of them anything may go wrong."""
    visitors: list[Visitor] = []

    def visit(name: str = "olga", **options: Any) -> Visitor:
        visitors.append(Visitor(browser, site, name, **options))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.close()
    assert [error for visitor in visitors for error in visitor.errors] == []
    assert [url for visitor in visitors for url in visitor.foreign] == []


@pytest.fixture
def page(visit: Visit) -> Page:
    """Return a page of somebody who may do everything."""
    return visit().page
