"""What people do on the overview and in the list of schedules."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.acceptance.admin.conftest import Visit
from tests.acceptance.admin.keys import follow, press_until, wait_for_refreshes
from tests.acceptance.admin.pages import SCHEDULES
from tests.acceptance.admin.rows import VIEWER
from tests.acceptance.admin.site import BusySite

SUCCESS = ".messagelist .success"


def rows(page: Page) -> Locator:
    return page.locator("#result_list tbody tr")


def test_the_first_sentence_says_what_is_wrong_worst_first_and_leads_to_the_fix(page: Page):
    page.goto("/admin/")
    page.locator("#sl-health").click()
    expect(page.locator("#sl-verdict")).to_contain_text("low is paused. Since")
    expect(page.locator("#sl-verdict")).to_contain_text("by olga: disk is full")
    causes = page.locator(".sl-probs > li")
    expect(causes).to_have_count(2)
    expect(causes.nth(1)).to_contain_text("Read stock fails since")
    causes.nth(1).get_by_role("link").click()
    expect(page.locator(".sl-page h1")).to_contain_text("Read stock")


def test_a_queue_is_paused_with_a_note_which_all_pages_show_until_it_goes_on(
    page: Page, site: BusySite
):
    page.goto("/admin/tasks/overview/")
    page.get_by_role("link", name="Pause the queue high…").click()
    page.fill("input[name=note]", "the bank is closed")
    page.get_by_role("button", name="Pause the queue").click()
    expect(page.locator("#overview-now")).to_contain_text("the bank is closed")
    page.goto(f"/admin/{SCHEDULES}/{site.schedule('Quick')}/")
    notice = page.locator(".sl-notice", has_text="the bank is closed")
    expect(notice).to_contain_text("by olga")
    notice.get_by_role("link", name="Resume…").click()
    page.get_by_role("button", name=re.compile("^Resume")).click()
    page.goto("/admin/tasks/overview/")
    expect(page.locator("#overview-now")).not_to_contain_text("the bank is closed")


def test_the_overview_follows_without_a_reload_and_keeps_the_focus(visit: Visit):
    page = visit(dark=True).go("tasks/overview/")
    page.locator("#overview-now").get_by_role("link", name="Import orders").first.focus()
    page.evaluate("window.notReloaded = true")
    message = page.locator(".sl-wk small", has_text=re.compile(r"page \d+ of"))
    before = message.first.text_content()
    expect(message.first).not_to_have_text(before or "")
    assert page.evaluate("window.notReloaded")
    assert page.evaluate("document.activeElement.textContent") == "Import orders"


def test_the_overview_says_since_when_the_server_is_gone_until_it_is_back(
    visit: Visit, site: BusySite
):
    visitor = visit()
    page = visitor.go("tasks/overview/")
    expect(page.locator(".sl-live").first).to_be_visible()
    site.stop_web()
    try:
        notice = page.locator("#sl-offline")
        expect(notice).to_be_visible()
        expect(notice).to_contain_text(re.compile(r"since \d\d:\d\d:\d\d\."))
        expect(notice).to_contain_text(re.compile(r"What you see is \d+ sec old"))
        expect(page.locator("#overview-now")).to_have_class(re.compile("sl-stale"))
    finally:
        site.restart_web()
    expect(notice).to_be_hidden()
    assert all("ERR_" in error for error in visitor.errors)
    visitor.errors.clear()


def test_lanes_lead_to_their_schedules_and_ranges_are_chosen(page: Page):
    page.goto("/admin/tasks/overview/")
    page.get_by_role("link", name="24 h", exact=True).click()
    expect(page).to_have_url(re.compile("hours=24"))
    page.locator(".sl-lanes .n a", has_text="Read stock").first.click()
    expect(page.locator(".sl-page h1")).to_have_text("Read stock")


def test_the_list_is_sorted_by_success_and_shows_the_worst_first(page: Page):
    page.goto(f"/admin/{SCHEDULES}/")
    header = page.get_by_role("columnheader", name="Success")
    follow(header.get_by_role("link"))
    if page.locator("th[aria-sort=descending]", has_text="Success").count():
        header.get_by_role("link").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text(re.compile("success", re.I))
    expect(rows(page).first).to_contain_text("Read stock")
    expect(rows(page).first.locator(".c-ok .is-failed")).to_be_visible()


def test_views_tags_and_the_search_choose_the_schedules(page: Page):
    page.goto(f"/admin/{SCHEDULES}/")
    page.locator("#views").get_by_role("link", name=re.compile("Failing")).click()
    expect(rows(page).locator(".name")).to_have_text(["Read stock"])
    page.locator("#views").get_by_role("link", name=re.compile("Paused")).click()
    expect(rows(page)).to_contain_text(["until the new template is there"])
    page.goto(f"/admin/{SCHEDULES}/")
    page.get_by_role("combobox", name="Tag").select_option("reports")
    expect(rows(page).locator(".name")).to_have_text(["Send invoices", "Nightly report"])
    page.get_by_role("searchbox", name="Search").fill("Nightly")
    page.keyboard.press("Enter")
    expect(rows(page).locator(".name")).to_have_text(["Nightly report"])


def test_ticked_schedules_are_paused_with_one_note_reported_and_in_the_history(
    page: Page, site: BusySite
):
    page.goto(f"/admin/{SCHEDULES}/?q=Sync+region+0")
    for number in ("01", "02"):
        page.get_by_role("checkbox", name=f"Select Sync region {number}").check()
    page.get_by_role("button", name="Pause…").click()
    expect(page.locator(".sl-rows")).to_contain_text("Sync region 01")
    page.fill("input[name=note]", "the region moves")
    page.get_by_role("button", name="Pause (2)").click()
    expect(page.locator(SUCCESS)).to_contain_text("2 schedules were paused.")
    page.goto(f"/admin/{SCHEDULES}/{site.schedule('Sync region 02')}/")
    history = page.locator(".sl-hist li").first
    expect(history).to_contain_text("Paused")
    expect(history).to_contain_text("by olga")
    expect(history).to_contain_text("the region moves")


def test_what_cannot_be_done_with_a_ticked_schedule_is_said_row_by_row(page: Page):
    page.goto(f"/admin/{SCHEDULES}/?q=Move")
    page.check("#action-toggle")
    page.get_by_role("button", name="Move in time…").click()
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator(".sl-rows")).to_contain_text("Not possible:")
    page.get_by_role("link", name="Back", exact=True).click()
    expect(page).to_have_url(re.compile("q=Move"))


def test_ticked_schedules_get_another_queue(page: Page):
    page.goto(f"/admin/{SCHEDULES}/?q=Sync+region+1")
    page.get_by_role("checkbox", name="Select Sync region 11").check()
    page.get_by_role("button", name="Change queue…").click()
    page.locator(".field-queue select").select_option("high")
    page.locator("button[name=confirmed]").click()
    expect(page.locator(SUCCESS)).to_contain_text("1 schedule")
    page.goto(f"/admin/{SCHEDULES}/?queue=high")
    expect(rows(page).locator(".name")).to_contain_text(["Charge cards", "Sync region 11"])


def test_cancelling_and_deleting_ask_and_say_what_goes(page: Page):
    page.goto(f"/admin/{SCHEDULES}/?q=Sync+region+3")
    for name in ("38", "39"):
        page.get_by_role("checkbox", name=f"Select Sync region {name}").check()
    bar = page.locator("#bulk")
    bar.get_by_role("button", name="Cancel…").click()
    page.get_by_role("link", name="Keep them").click()
    page.get_by_role("checkbox", name="Select Sync region 39").check()
    bar.get_by_role("button", name="Delete…").click()
    expect(page.locator(".sl-confirm")).to_contain_text("Runs: 5. This can't be undone.")
    page.locator("button[name=confirmed]").click()
    expect(page.locator(SUCCESS)).to_be_visible()
    expect(page.get_by_role("link", name="Sync region 39")).to_have_count(0)
    expect(page.get_by_role("link", name="Sync region 38")).to_be_visible()


def test_the_list_is_used_by_keyboard_alone_and_a_refresh_takes_nothing_away(visit: Visit):
    page = visit(dark=True, narrow=True).go(f"{SCHEDULES}/?q=Sync+region+2")
    press_until(page, "Tab", "input.action-select")
    page.keyboard.press("Space")
    expect(page.locator("#bulk")).to_contain_text("1 selected")
    wait_for_refreshes(page, "schedules")
    assert page.evaluate("document.activeElement.matches('input.action-select:checked')")
    press_until(page, "Shift+Tab", "#bulk button[value=pause]")
    page.keyboard.press("Enter")
    expect(page.locator(".sl-ask")).to_be_visible()
    press_until(page, "Tab", "input[name=note]")
    page.keyboard.type("by key")
    page.keyboard.press("Enter")
    expect(page.locator(SUCCESS)).to_contain_text("1 schedule was paused.")


def test_the_bars_of_a_strip_lead_to_their_runs_by_the_arrow_keys(page: Page):
    page.goto(f"/admin/{SCHEDULES}/?q=Read+stock")
    press_until(page, "Tab", ".sl-strip a")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".sl-page h1")).to_contain_text("Read stock #")


def test_a_viewer_is_refused_what_the_buttons_would_do(visit: Visit, site: BusySite):
    page = visit(VIEWER).go(f"{SCHEDULES}/")
    token = page.locator("[name=csrfmiddlewaretoken]").first.input_value()
    schedule = f"/admin/{SCHEDULES}/{site.schedule('Quick')}"
    addresses = {
        f"/admin/{SCHEDULES}/": {"action": "pause", "_selected_action": "1"},
        f"/admin/{SCHEDULES}/act/delete/": {"ids": "1", "confirmed": "yes"},
        f"/admin/{SCHEDULES}/add/": {"name": "x", "function": "shop.import_orders"},
        f"{schedule}/act/run_now/": {},
        f"{schedule}/act/pause/": {"confirmed": "yes"},
        f"{schedule}/act/cancel/": {"confirmed": "yes"},
        f"{schedule}/change/": {"name": "x"},
        f"{schedule}/run/": {},
        f"{schedule}/backfill/": {},
        f"{schedule}/delete/": {"post": "yes"},
        "/admin/tasks/overview/pause/": {"note": "x"},
        "/admin/tasks/overview/resume/1/": {},
        "/admin/tasks/task/add/": {"function": "shop.import_orders"},
        "/admin/feeds/feed/add/": {"url": "https://example.com/"},
    }
    refused = {
        address: page.request.post(address, form={"csrfmiddlewaretoken": token} | values).status
        for address, values in addresses.items()
    }
    assert refused == dict.fromkeys(addresses, 403)


def test_the_language_and_the_zone_are_chosen_in_the_header(page: Page):
    page.goto("/admin/tasks/overview/")
    page.locator("#header").get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    page.locator("#header").get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.locator("#header").get_by_role("link", name="Europe/Berlin").click()
    page.select_option("select[name=zone]", "Asia/Seoul")
    page.get_by_role("button", name="Use this zone").click()
    expect(page.locator(".sl-zone").first).to_have_text("Times in Asia/Seoul")
    page.goto(f"/admin/{SCHEDULES}/")
    expect(page.locator(".sl-zone").first).to_have_text("Times in Asia/Seoul")
