"""The log on a run's page in a real browser: it follows its end, and shows what is looked for.

The page is served from memory, so that the log has the lines that the test wants.
"""

import re
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tasks.admin_pages import run_log
from tasks.models import ScheduledTaskInstance
from tests.browser import launched

STATIC = Path(__file__).resolve().parents[2] / "tasks" / "static" / "tasks"
ADDRESS = "http://ledger.test"
PAGE = """<!doctype html><html lang="en"><head><title>Run</title>
<link rel="stylesheet" href="/static/admin.css"><link rel="stylesheet" href="/static/run.css">
<script src="/static/vendor/idiomorph.min.js" defer></script>
<script src="/static/live.js" defer></script>
<script src="/static/run.js" defer></script></head><body><div class="sl-page">%s</div></body></html>
"""


class Log:
    """A run's log, which its page asks for again and again."""

    def __init__(self, page: Page) -> None:
        self.lines: list[str] = []
        page.route("**/*", self._answer)

    def add(self, *texts: str, level: str = "INFO") -> None:
        self.lines += [f"2026-10-24 22:31:25,000 {level} shop: {text}" for text in texts]

    def _answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(ADDRESS)
        if path.startswith("/static/"):
            route.fulfill(path=STATIC / path.removeprefix("/static/"))
            return
        context = {
            "original": ScheduledTaskInstance(pk=1),
            "opts": ScheduledTaskInstance._meta,
            "log": run_log.read("\n".join(self.lines), UTC),
            "log_refresh_ms": 1000,
        }
        body = PAGE % render_to_string("admin/tasks/run_log.html", context)
        route.fulfill(content_type="text/html", body=body)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 900, "height": 700})
    page = context.new_page()
    page.set_default_timeout(20_000)
    expect.set_options(timeout=20_000)
    yield page
    context.close()


@pytest.fixture
def log(page: Page) -> Log:
    log = Log(page)
    log.add(*(f"page {number} done" for number in range(200)))
    page.goto(f"{ADDRESS}/run")
    return log


def line(page: Page, text: str) -> Locator:
    return page.locator(".sl-log .l").filter(has_text=re.compile(rf"{text}$"))


def test_a_long_log_opens_at_its_end_and_follows_it(page: Page, log: Log):
    expect(line(page, "page 199 done")).to_be_in_viewport()
    expect(line(page, "page 0 done")).not_to_be_in_viewport()
    log.add("page 200 done")
    expect(line(page, "page 200 done")).to_be_in_viewport()


def test_following_stops_when_the_reader_scrolls_up_and_leads_back_to_the_end(page: Page, log: Log):
    line(page, "page 50 done").scroll_into_view_if_needed()
    button = page.get_by_role("button", name="To the end")
    expect(button).to_be_visible()
    log.add(*(f"page {number} done" for number in range(200, 260)))
    expect(line(page, "page 259 done")).to_have_count(1)
    expect(line(page, "page 50 done")).to_be_in_viewport()
    button.click()
    expect(line(page, "page 259 done")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Following the end")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_level_and_search_choose_the_lines_also_of_those_that_are_added(page: Page, log: Log):
    log.add("no price for 3 items", "slow answer", level="WARNING")
    expect(line(page, "slow answer")).to_have_count(1)
    shown = page.locator(".sl-log .l:visible")
    page.get_by_role("button", name="Warning").click()
    expect(shown).to_have_count(2)
    page.get_by_role("searchbox").fill("PRICE")
    expect(shown).to_have_count(1)
    log.add("no price for 1 item", level="WARNING")
    expect(shown).to_have_count(2)
    page.get_by_role("searchbox").fill("nothing of the kind")
    expect(page.get_by_text("No line matches.")).to_be_visible()
    assert page.get_by_role("link", name="Download").get_attribute("href")


def test_long_lines_are_wrapped_when_that_is_wanted_and_stay_so(page: Page, log: Log):
    log.add("word " * 100)
    long = page.locator(".sl-log .l").last
    expect(long).to_contain_text("word word")
    before = long.bounding_box()
    page.get_by_role("button", name="Wrap lines").click()
    log.add("the next line")
    expect(line(page, "the next line")).to_have_count(1)
    after = page.locator(".sl-log .l").nth(-2).bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] > 2 * before["height"]
