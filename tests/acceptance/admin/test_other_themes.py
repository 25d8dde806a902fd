"""Our pages in other people's sites: stock Django, django-unfold and django-jazzmin.

`make prove` runs these in all of them; without it, in django-unfold alone, which changes most.
"""

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.acceptance.admin.pages import RUNS, SCHEDULES
from tests.acceptance.admin.site import Visitor, running_site

THEMES = ["other", "unfold", "jazzmin"] if "PROOF_ALL_LOOKS" in os.environ else ["unfold"]
PAGES = [
    "tasks/overview/",
    "tasks/overview/pause/",
    "tasks/overview/what-if/",
    f"{SCHEDULES}/",
    f"{SCHEDULES}/1/",
    f"{SCHEDULES}/1/backfill/",
    f"{SCHEDULES}/2/change/",
    f"{RUNS}/",
    f"{RUNS}/399/change/",
    f"{RUNS}/failures/",
    "tasks/task/",
    "tasks/task/1/change/",
    "tasks/calendar/1/change/",
    "tasks/tag/",
    "feeds/feed/",
    "feeds/entry/1/change/",
]
# A button has an edge or a ground of its own, and a hand points at it.
PLAIN = """() => [...document.querySelectorAll(".sl-page .sl-btn:not(.calm)")]
  .filter(one => one.checkVisibility()).filter(one => {
    const style = getComputedStyle(one);
    const hasEdge = style.borderTopStyle !== "none" && style.borderTopWidth !== "0px";
    const hasGround = style.backgroundColor !== "rgba(0, 0, 0, 0)";
    return !(hasEdge || hasGround) || style.display === "inline" || one.offsetHeight < 26;
  }).map(one => one.textContent.trim())"""


@pytest.fixture(scope="module", params=THEMES)
def themed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> Iterator[Visitor]:
    settings = f"tests.acceptance.admin.{request.param}_settings"
    folder = tmp_path_factory.mktemp("theme") / "var"
    with running_site(folder, settings, with_workers=False) as site:
        visitor = Visitor(browser, site)
        yield visitor
        visitor.close()


def test_buttons_are_buttons_and_nothing_goes_wrong(themed: Visitor):
    found = {}
    for address in PAGES:
        response = themed.page.goto(f"/admin/{address}")
        assert response is not None
        assert (response.status, address) == (200, address)
        expect(themed.page.locator(".sl-page").first).to_be_visible()
        found[address] = themed.page.evaluate(PLAIN)
    assert {address: plain for address, plain in found.items() if plain} == {}
    assert themed.errors == []


def test_a_schedule_is_added_edited_and_paused(themed: Visitor):
    page = themed.page
    page.goto(f"/admin/{SCHEDULES}/add/")
    page.select_option("#id_function", "shop.send_invoices")
    page.locator("[name='arg-region']").select_option("eu")
    page.fill("#id_name", "Themed")
    page.check("#id_face_cron")
    page.fill("#id_cron", "0 6 * * *")
    expect(page.locator("#when-preview")).to_contain_text("At 06:00, every day")
    page.click("[name=_save]")
    expect(page).not_to_have_url(re.compile("/add/"))
    page.goto(f"/admin/{SCHEDULES}/?q=Themed")
    page.get_by_role("checkbox", name="Select Themed").check()
    page.locator("#bulk").get_by_role("button", name="Pause…").click()
    page.fill("input[name=note]", "because of the theme")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#result_list")).to_contain_text("because of the theme")
    page.locator("#result_list .name").click()
    page.get_by_role("link", name="Edit", exact=True).first.click()
    page.fill("[name='arg-days']", "x")
    page.click("[name=_save]")
    expect(page.locator(".errtext")).to_have_text("Give a whole number, such as 7.")
    page.fill("[name='arg-days']", "9")
    page.click("[name=_save]")
    expect(page.locator(".errtext")).to_have_count(0)
    assert themed.errors == []
