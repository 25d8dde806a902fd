"""Eight questions to a busy system, each answered within three clicks from the admin's index."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.admin.conftest import Visit
from tests.acceptance.admin.rows import OPERATOR
from tests.acceptance.admin.site import BusySite

MOST_CLICKS = 3


class Asker:
    """Somebody at the admin's index whose clicks are counted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0
        page.goto("/admin/")

    def click(self, what: Locator) -> None:
        """Click on something, and count it."""
        self.clicks += 1
        what.click()

    def open(self, model: str) -> None:
        """Open a page of the index."""
        self.click(self.page.locator("#content").get_by_role("link", name=model, exact=True))


@pytest.fixture
def asker(visit: Visit) -> Iterator[Asker]:
    asker = Asker(visit().page)
    yield asker
    assert asker.clicks <= MOST_CLICKS


def test_is_everything_on_time(asker: Asker):
    """None: the line on the index says what is wrong. One: with all causes and since when."""
    line = asker.page.locator("#sl-health")
    expect(line).to_contain_text("low is paused")
    asker.click(line)
    expect(asker.page.locator("#sl-verdict")).to_contain_text("low is paused. Since")
    expect(asker.page.locator(".sl-probs")).to_contain_text("Read stock fails since")


def test_why_did_this_not_run_at_its_time(asker: Asker):
    """Two: schedules, and the schedule with the ledger of the day; three: the day before."""
    asker.open("Schedules")
    asker.click(asker.page.get_by_role("link", name="Import orders", exact=True))
    ledger = asker.page.locator("#ledger")
    missed = ledger.locator("tr", has_text="missed")
    expect(ledger).to_be_visible()
    if not missed.count():  # It was due 20 hours ago: on this day or on the one before.
        asker.click(ledger.get_by_role("link", name="Day before"))
    expect(missed).to_contain_text(
        "No scheduler dispatched it in time: none ran, or Redis was away (catch-up: none)."
    )


def test_why_did_this_not_run_when_it_still_waits(asker: Asker):
    """One: the overview has what waits, and why."""
    asker.open("Overview")
    expect(asker.page.locator("#overview-now")).to_contain_text("Clean up waits: low is paused")


def test_what_runs_now(asker: Asker):
    """One: the overview has each worker and what it runs, with its progress."""
    asker.open("Overview")
    workers = asker.page.locator(".sl-wk")
    expect(workers).to_contain_text(re.compile(r"Rebuild index #\d+"))
    expect(workers).to_contain_text(re.compile(r"page \d+ of 10000"))


def test_which_fail_most(asker: Asker):
    """Two: runs, and their failures in groups, the most frequent first; or schedules by success."""
    asker.open("Runs")
    asker.click(asker.page.get_by_role("link", name="Failures in groups"))
    first = asker.page.locator(".sl-group").first
    expect(first).to_contain_text(re.compile(r"\d+ runs"))
    expect(first).to_contain_text("Read stock")


def test_what_changed_and_who_changed_it(asker: Asker):
    """Two: schedules, and the schedule, whose history has the values before and after."""
    asker.open("Schedules")
    asker.click(asker.page.get_by_role("link", name="Send invoices", exact=True))
    line = asker.page.locator(".sl-hist li").first
    expect(line).to_contain_text("Interval 2 h → 1 h")
    expect(line).to_contain_text("by boris · “customers asked for it”")


def test_move_this_to_another_slot(asker: Asker):
    """Three: schedules, the schedule, Move in time, where one sees what would change."""
    asker.open("Schedules")
    asker.click(asker.page.get_by_role("link", name="Sync region 02", exact=True))
    asker.click(asker.page.get_by_role("button", name="Move in time…"))
    asker.page.fill("#id_amount", "7")
    asker.page.keyboard.press("Enter")
    expect(asker.page.locator(".sl-rows")).to_contain_text("Next due")
    asker.page.locator("button[name=confirmed]").focus()
    asker.page.keyboard.press("Enter")
    expect(asker.page.locator(".messagelist .success")).to_have_text("1 schedule was moved.")


def test_run_these_again(asker: Asker):
    """Three: runs, their failures in groups, Run these again, which says what it requests."""
    asker.open("Runs")
    asker.click(asker.page.get_by_role("link", name="Failures in groups"))
    group = asker.page.locator(".sl-group", has_text="Read stock")
    asker.click(group.get_by_role("button", name=re.compile(r"Run these \d+ again…")))
    expect(asker.page.locator("table.sl-t")).to_contain_text("runs for their due times")
    asker.page.locator(".sl-page form .sl-btn.primary").focus()
    asker.page.keyboard.press("Enter")
    expect(asker.page.locator(".messagelist .success")).to_be_visible()


def test_stop_that_run(asker: Asker, site: BusySite):
    """Three: the overview, Stop at the run, and yes. The last one: what ran is gone then."""
    run = site.run("Rebuild index", "running")
    asker.open("Overview")
    asker.click(asker.page.get_by_role("button", name=f"Stop Rebuild index #{run}…"))
    asker.click(asker.page.locator(".sl-page form button.sl-btn", has_text="Stop"))
    asker.page.goto(f"/admin/tasks/scheduledtaskinstance/{run}/change/")
    expect(asker.page.locator(".sl-runbar")).to_contain_text(f"Stopped by {OPERATOR}.")
