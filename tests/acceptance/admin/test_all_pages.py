"""What holds on each page of ours: wide and narrow, light and dark, for all and for a viewer.

`make test` looks at each page wide and light, and narrow and dark, and has axe look at one of the
two; `make prove` at all four with axe (PROOF_ALL_LOOKS).
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.acceptance.admin import pages
from tests.acceptance.admin.rows import OPERATOR, TOKEN, VIEWER
from tests.acceptance.admin.site import NARROW, WIDE, BusySite, Visitor

IS_WHOLE = "PROOF_ALL_LOOKS" in os.environ
LIGHT_AND_WIDE, DARK_AND_NARROW = (False, False), (True, True)
LOOKS = [LIGHT_AND_WIDE, DARK_AND_NARROW]
if IS_WHOLE:
    LOOKS += [(False, True), (True, False)]
# For what people with a thumb use, in CSS pixels.
LEAST_HEIGHT = 34
TOO_SMALL = """least => [...document.querySelectorAll(
  ".sl-page :is(.sl-btn, button, select, textarea, summary, " +
  "input:not([type=hidden], [type=checkbox], [type=radio]))")]
  .filter(e => e.checkVisibility())
  .filter(e => !e.matches(".vh, .selector *, #changelist-filter *, .sl-fold *"))
  .map(e => [e, e.getBoundingClientRect().height]).filter(([e, height]) => height && height < least)
  .map(([e]) => e)
  .map(e => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 30)}`)"""
# What does something: a form that is sent by POST, other than the admin's own in its header.
DOING = """() => [...document.querySelectorAll("form")]
  .filter(form => form.method === "post" && !form.closest("#header, #user-tools"))
  .filter(form => form.querySelector("button, input[type=submit]"))
  .map(form => `${form.action} ${form.textContent.trim().slice(0, 60)}`)"""


@pytest.fixture(scope="module")
def operator(browser: Browser, site: BusySite) -> Iterator[Visitor]:
    visitor = Visitor(browser, site, OPERATOR)
    yield visitor
    visitor.close()


@pytest.fixture(scope="module")
def viewer(browser: Browser, site: BusySite) -> Iterator[Visitor]:
    visitor = Visitor(browser, site, VIEWER)
    yield visitor
    visitor.close()


def names() -> list[str]:
    """Return the names of all pages, which are the same on every site."""

    class AnySite:
        def schedule(self, name: str) -> int:
            return 0

        def run(self, name: str, status: str) -> int:
            return 0

    return list(pages.all_pages(AnySite()))


def look(page: Page, dark: bool, narrow: bool) -> None:
    page.set_viewport_size(NARROW if narrow else WIDE)
    page.emulate_media(color_scheme="dark" if dark else "light")


@pytest.mark.parametrize("name", names())
def test_a_page_is_for_everyone_whole_and_without_an_error(operator: Visitor, name: str):
    page = operator.page
    operator.errors.clear()
    found = {}
    for dark, narrow in LOOKS:
        look(page, dark, narrow)
        response = page.goto(f"/admin/{pages.all_pages(operator.site)[name]}")
        assert response is not None
        assert (response.status, response.url) == (200, page.url)
        assert page.url.endswith(f"/admin/{pages.all_pages(operator.site)[name]}")
        assert pages.overflow(page) == 0
        if narrow:
            assert page.evaluate(TOO_SMALL, LEAST_HEIGHT) == []
        if IS_WHOLE or (dark, narrow) == LOOKS[names().index(name) % 2]:
            found[dark, narrow] = pages.violations(page, operator)
    assert {look: violations for look, violations in found.items() if violations} == {}
    assert operator.errors == []
    assert operator.foreign == []


# Pages that only ask before something is done, or take what is typed.
ASKING = {
    *("pause everything", "pause a queue", "add a schedule", "add with arguments", "add a call"),
    *("add a calendar", "add a tag", "add a feed", "edit", "clone", "backfill"),
    *("other arguments", "put back", "delete a schedule"),
}


@pytest.mark.parametrize("name", names())
def test_a_viewer_sees_all_but_secrets_and_can_do_nothing(viewer: Visitor, name: str):
    page = viewer.page
    viewer.errors.clear()
    response = page.goto(f"/admin/{pages.all_pages(viewer.site)[name]}")
    assert response is not None
    if name in ASKING and response.status == 403:
        return
    assert response.status == 200
    # The choice of a zone is the viewer's own.
    assert page.evaluate(DOING) == [] or name == "zone"
    assert page.locator(".submit-row input[type=submit], .sl-save input").count() == 0
    assert TOKEN not in page.content()
    assert viewer.errors == []
