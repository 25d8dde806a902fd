"""What people do with runs: one of them, many, and those that failed alike."""

import re

from playwright.sync_api import Locator, Page, expect

from tests.acceptance.admin.conftest import Visit
from tests.acceptance.admin.keys import follow, press_until, wait_for_refreshes
from tests.acceptance.admin.pages import RUNS, SCHEDULES
from tests.acceptance.admin.rows import OPERATOR, TOKEN, VIEWER
from tests.acceptance.admin.site import BusySite
from tests.servers import wait_for

SUCCESS = ".messagelist .success"


def open_run(page: Page, site: BusySite, name: str, status: str) -> None:
    page.goto(f"/admin/{RUNS}/{site.run(name, status)}/change/")


def rows(page: Page) -> Locator:
    return page.locator("#result_list tbody tr")


def start_a_long_run(page: Page, site: BusySite) -> None:
    """Run “Count pages”, which takes hours, and open the page of its run."""
    page.goto(f"/admin/{SCHEDULES}/{site.schedule('Count pages')}/")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator(SUCCESS)).to_be_visible()
    row = page.locator("table.runs tbody tr", has_text="running now")
    expect(row).to_be_visible()
    row.get_by_role("link").first.click()
    expect(page.locator(".sl-page h1")).to_contain_text("Count pages #")


def expect_stopped(page: Page) -> None:
    """Wait until the run has ended: by whom is said as soon as that is asked for."""
    expect(page.locator(".sl-runbar")).to_contain_text("cancelled")
    expect(page.locator(".sl-runbar")).to_contain_text(f"Stopped by {OPERATOR}.")


# One run


def test_a_running_run_shows_its_progress_and_its_newest_lines_by_itself(
    visit: Visit, site: BusySite
):
    page = visit(dark=True).page
    open_run(page, site, "Rebuild index", "running")
    expect(page.locator(".sl-prog")).to_contain_text(re.compile(r"page \d+ of 10000"))
    expect(page.locator(".sl-prog")).to_contain_text("left")
    # Only then it has its full height, and scrolls.
    log = page.locator(".sl-log")
    wait_for(lambda: log.evaluate("log => log.scrollHeight > 600"), "many lines")
    log.evaluate("log => log.scrollIntoView({block: 'end'})")
    last = page.locator(".sl-log .l").last
    expect(last).to_be_in_viewport()
    before = last.text_content() or ""
    expect(last).not_to_have_text(before)
    expect(last).to_be_in_viewport()


def test_the_log_is_filtered_searched_copied_and_downloaded(visit: Visit, site: BusySite):
    visitor = visit()
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.page
    open_run(page, site, "Read stock", "failed")
    shown = page.locator(".sl-log .l:visible")
    expect(shown).to_have_count(300)
    page.get_by_role("button", name="Warning").click()
    expect(shown).to_have_count(12)
    page.get_by_role("searchbox", name="Search the log").fill("order 249")
    expect(shown).to_have_count(1)
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.endswith("shop: order 249 read")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()
    lines = downloading.value.path().read_text().splitlines()
    assert len(lines) == 300


def test_a_failure_shows_the_users_own_line_first_and_folds_the_rest(page: Page, site: BusySite):
    open_run(page, site, "Read stock", "failed")
    expect(page.locator("#run-failure")).to_contain_text("JSONDecodeError: Expecting value")
    expect(page.locator(".sl-exc")).to_contain_text("/site/shop/tasks.py line 41, in import_orders")
    expect(page.locator(".sl-code")).to_contain_text('return len(json.loads(text)["orders"])')
    expect(page.locator(".sl-trace")).to_be_hidden()
    press_until(page, "Tab", "#run-traceback > summary")
    page.keyboard.press("Enter")
    expect(page.locator(".sl-trace")).to_contain_text("2 frames of libraries")


def test_a_failed_run_is_compared_with_the_last_success(page: Page, site: BusySite):
    open_run(page, site, "Read stock", "failed")
    page.get_by_role("link", name="Compare with the last success").click()
    table = page.locator("#compared")
    expect(table.locator("tr", has_text="Ended as")).to_contain_text("differs")
    page.get_by_text("How the logs differ").click()
    expect(table.locator(".sl-diff .come").first).to_be_visible()


def test_a_run_is_stopped_from_its_page_and_says_by_whom(page: Page, site: BusySite):
    start_a_long_run(page, site)
    page.get_by_role("button", name="Stop…").click()
    expect(page.locator(".sl-page")).to_contain_text("killed at once")
    page.get_by_role("button", name=re.compile("^Stop")).click()
    expect(page.locator(".sl-runbar")).to_contain_text(f"Stopped by {OPERATOR}.")
    expect(page.locator(".sl-runbar")).to_contain_text("cancelled")


def test_a_run_is_stopped_with_a_thumb_and_one_by_keyboard_in_the_dark(
    visit: Visit, site: BusySite
):
    page = visit(dark=True, narrow=True).page
    start_a_long_run(page, site)
    page.get_by_role("button", name="Stop…").tap()
    page.get_by_role("button", name=re.compile("^Stop")).tap()
    expect_stopped(page)
    start_a_long_run(page, site)
    press_until(page, "Tab", ".sl-acts .sl-btn.danger")
    wait_for_refreshes(page, "run-state", 1)
    assert page.evaluate("document.activeElement.matches('.sl-btn.danger')")
    page.keyboard.press("Enter")
    expect(page.locator(".sl-page")).to_contain_text("killed at once")
    press_until(page, "Tab", ".sl-page form .sl-btn")
    page.keyboard.press("Enter")
    expect_stopped(page)


def test_a_run_is_run_again_from_its_page(page: Page, site: BusySite):
    open_run(page, site, "Sync region 20", "finished")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator(SUCCESS)).to_contain_text("1 run")


def test_a_viewer_sees_a_run_but_no_secret_and_no_button(visit: Visit, site: BusySite):
    page = visit(VIEWER).page
    open_run(page, site, "Rebuild index", "running")
    expect(page.locator(".sl-prog")).to_be_visible()
    expect(page.locator(".sl-title form")).to_have_count(0)
    page.goto("/admin/tasks/task/5/change/")
    expect(page.locator(".sl-kv")).to_contain_text("•••")
    assert TOKEN not in page.content()
    page.goto(f"/admin/{RUNS}/")
    expect(page.get_by_role("checkbox")).to_have_count(0)


# Many runs


def test_runs_are_chosen_by_status_schedule_and_lateness(page: Page):
    page.goto(f"/admin/{RUNS}/")
    page.get_by_role("combobox", name="Status").select_option(label="lost")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("Lost: its process was killed by signal 9.")
    page.get_by_role("link", name="Clear").click()
    page.locator("[name=schedule]").press_sequentially("Import o")
    expect(page.locator("#schedule-names option")).to_have_attribute("value", "Import orders")
    page.locator("[name=schedule]").fill("Import orders")
    page.keyboard.press("Escape")
    page.locator("#run-filters summary").click()
    page.locator("[name=late]").select_option("60")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("12 min")


def test_ticked_runs_are_run_again_after_a_question_that_counts_them(page: Page):
    page.goto(f"/admin/{RUNS}/?q=Sync+region+21")
    for box in rows(page).get_by_role("checkbox").all()[:2]:
        box.check()
    expect(page.locator("[data-bulk]")).to_contain_text("2 chosen")
    page.get_by_role("button", name="Run again…").click()
    expect(page.locator("table.sl-t")).to_contain_text("Sync region 21")
    page.get_by_role("button", name=re.compile("^R")).last.click()
    expect(page.locator(SUCCESS)).to_be_visible()


def test_a_ticked_run_is_stopped_from_the_list_by_keyboard(page: Page, site: BusySite):
    start_a_long_run(page, site)
    page.goto(f"/admin/{RUNS}/?status=running&q=Count")
    press_until(page, "Tab", "#result_list tbody input[type=checkbox]")
    page.keyboard.press("Space")
    press_until(page, "Shift+Tab", "[data-bulk] button[value=stop]")
    page.keyboard.press("Enter")
    expect(page.locator(".sl-page")).to_contain_text("killed at once")
    press_until(page, "Tab", ".sl-page form .sl-btn")
    page.keyboard.press("Enter")
    expect(page.locator(SUCCESS)).to_be_visible()
    page.goto(f"/admin/{RUNS}/")  # A search is refreshed less often than this.
    run = rows(page).filter(has_text="Count pages").first
    expect(run).to_contain_text("cancelled")
    expect(run).to_contain_text(f"Stopped by {OPERATOR}.")


# What failed alike


def test_equal_failures_are_one_group_with_its_runs_and_its_trend(page: Page):
    page.goto(f"/admin/{RUNS}/")
    page.get_by_role("link", name="Failures in groups").click()
    group = page.locator(".sl-group", has_text="JSONDecodeError")
    expect(group).to_contain_text("26 runs")
    expect(group).to_contain_text("0 in the period before · Read stock")
    expect(group.get_by_role("img", name="Failures a day")).to_be_visible()
    group.get_by_role("link", name="Its runs").click()
    expect(rows(page)).to_have_count(26)
    page.go_back()
    page.get_by_role("link", name="30 days").click()
    group.get_by_role("button", name="Run these 26 again…").click()
    expect(page.locator("table.sl-t")).to_contain_text("26 runs for their due times")


# What would happen


def test_what_if_finds_an_empty_time_and_a_schedule_is_added_then(page: Page):
    page.goto("/admin/tasks/overview/")
    page.get_by_role("link", name=re.compile("What-if")).click()
    expect(page.locator("#sl-load")).to_be_visible()
    expect(page.locator(".sl-page")).to_contain_text("workers")
    page.get_by_role("button", name="Find the emptiest times").click()
    found = page.locator(".sl-times-found li").first
    expect(found).to_contain_text("workers busy for up to")
    found.get_by_role("link", name="Add a schedule then").click()
    expect(page.locator("#when-preview .sl-ten li").nth(1)).to_be_visible()


def test_a_background_call_is_made_and_called_again(page: Page):
    page.goto("/admin/tasks/task/add/?function=shop.import_orders")
    page.fill("[name='arg-text']", '{"orders": [7, 8]}')
    page.click("input[name=_save]")
    expect(page.locator(SUCCESS)).to_be_visible()
    page.goto("/admin/tasks/task/")
    rows(page).first.get_by_role("link").first.click()
    expect(page.locator(".sl-runbar")).to_contain_text("finished")
    expect(page.locator(".sl-json")).to_have_text("2")
    page.get_by_role("button", name="Call again").click()
    expect(page.locator(SUCCESS)).to_be_visible()


def test_the_pages_of_django_rq_that_ours_lead_to_show_no_error(page: Page):
    page.goto(f"/admin/{SCHEDULES}/")
    follow(page.get_by_role("link", name="Queues and workers"))
    links = page.locator("#content a[href*='/django_rq/']:not([href*=json])")
    addresses = [link.get_attribute("href") or "" for link in links.all()]
    # The queues are alike: one of them will do.
    chosen = {one for one in addresses if not re.search(r"(queues|workers)/[12]/", one)}
    assert len(chosen) > 8
    for address in sorted(chosen):
        response = page.goto(address)
        assert response is not None
        assert response.status == 200
