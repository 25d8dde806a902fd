"""What people do in the form of a schedule, and on the page of one."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.admin.conftest import Visit
from tests.acceptance.admin.keys import follow, press_until, wait_for_refreshes
from tests.acceptance.admin.pages import RUNS, SCHEDULES
from tests.acceptance.admin.rows import VIEWER
from tests.acceptance.admin.site import BusySite

SUCCESS = ".messagelist .success"


def open_schedule(page: Page, site: BusySite, name: str, end: str = "") -> None:
    page.goto(f"/admin/{SCHEDULES}/{site.schedule(name)}/{end}")


# The form


def test_the_form_has_a_field_for_each_argument_and_saves_them_as_they_are_typed(
    page: Page, site: BusySite
):
    page.goto(f"/admin/{SCHEDULES}/add/")
    page.select_option("#id_function", "shop.send_invoices")
    page.get_by_label("region").select_option("us")
    expect(page.get_by_text("Overdue by at least this many days.")).to_be_visible()
    page.fill("#id_name", "Typed")
    page.fill("[name='arg-days']", "14")
    page.fill("[name='arg-since']", "2026-02-03")
    page.check("[name='arg-sender.given']")
    page.fill("[name='arg-sender.name']", "the shop")
    page.get_by_role("combobox", name="closed").fill("Public")
    page.locator(".sl-combo").get_by_role("option", name="Public holidays").click()
    page.check("#id_face_every")
    page.fill("#id_interval", "6")
    page.click("input[name=_save]")
    expect(page.locator(SUCCESS)).to_contain_text("Typed")
    open_schedule(page, site, "Typed", "run/")
    expect(page.get_by_label("region").locator("option:checked")).to_have_text("us")
    expect(page.locator("[name='arg-sender.name']")).to_have_value("the shop")
    expect(page.locator("[name='arg-since']")).to_have_value("2026-02-03")
    expect(page.locator("[name='arg-closed']")).to_have_value("1")
    expect(page.get_by_role("combobox", name="closed")).to_have_value("Public holidays")


def test_all_that_is_wrong_is_said_at_once_and_nothing_typed_is_lost(page: Page):
    page.goto(f"/admin/{SCHEDULES}/add/?function=shop.send_invoices")
    typed = {"arg-days": "soon", "arg-total": "a lot", "cron": "61 * * * *", "exclude": "never"}
    page.fill("#id_name", "Wrong")
    page.check("#id_face_cron")
    for name, value in typed.items():
        page.fill(f"[name='{name}']", value)
    page.click("input[name=_save]")
    expect(page.locator(".sl-errata a")).to_have_count(5)
    for name, value in typed.items():
        expect(page.locator(f"[name='{name}']")).to_have_value(value)
        expect(page.locator(f".sl-f:has([name='{name}']) .errtext")).to_be_visible()
    page.locator(".sl-errata a", has_text="region").click()
    expect(page.locator("[name='arg-region']")).to_be_focused()


def test_the_preview_marks_the_hours_that_the_clocks_skip_and_repeat(page: Page):
    page.goto(f"/admin/{SCHEDULES}/add/")
    page.check("#id_face_cron")
    page.select_option("#id_timezone", "Europe/Berlin")
    page.fill("#id_cron", "30 2 * 3,10 SUN")
    preview = page.locator("#when-preview")
    expect(preview).to_contain_text(
        "At 02:30, only on Sunday, only in March and October (Europe/Berlin)"
    )
    expect(preview).to_contain_text("Its time of day doesn’t exist then")
    expect(preview).to_contain_text("This time of day comes twice then.")
    expect(preview).to_contain_text("The clocks of Berlin go back by 1 h")


def test_a_clone_starts_with_what_its_original_has(page: Page, site: BusySite):
    page.goto(f"/admin/{SCHEDULES}/add/?clone_of={site.schedule('Send invoices')}")
    expect(page.locator("#id_name")).to_have_value("Send invoices (copy)")
    expect(page.locator("[name='arg-days']")).to_have_value("3")
    page.click("input[name=_save]")
    expect(page.locator(SUCCESS)).to_contain_text("Send invoices (copy)")


def test_a_second_editor_sees_the_difference_and_can_start_again(visit: Visit, site: BusySite):
    first, second = visit().page, visit().page
    for page in (first, second):
        open_schedule(page, site, "Sync region 05", "change/")
    first.fill("#id_retries", "4")
    first.click("input[name=_save]")
    expect(first.locator(SUCCESS)).to_be_visible()
    second.fill("#id_retries", "9")
    second.click("input[name=_save]")
    row = second.locator("#conflict tr", has_text="Retries")
    expect(row.locator("del")).to_have_text("4")
    expect(row.locator("ins")).to_have_text("9")
    second.get_by_role("link", name="Start from what is stored").click()
    expect(second.locator("#id_retries")).to_have_value("4")


# The page of a schedule


def test_a_viewer_sees_the_page_of_a_schedule_without_its_secret_and_its_buttons(
    visit: Visit, site: BusySite
):
    page = visit(VIEWER, dark=True, narrow=True).page
    open_schedule(page, site, "Charge cards")
    expect(page.locator(".sl-page")).to_contain_text("•••")
    expect(page.get_by_role("button", name="Run now")).to_have_count(0)
    expect(page.get_by_role("link", name="Edit")).to_have_count(0)


def test_the_ledger_says_what_happened_at_a_time_of_another_day_and_why(page: Page, site: BusySite):
    open_schedule(page, site, "Import orders")
    ledger = page.locator("#ledger")
    for _ in range(2):  # It was due 20 hours ago: on this day or on the one before.
        if ledger.get_by_text("missed", exact=True).count():
            break
        follow(ledger.get_by_role("link", name="Day before"))
    row = ledger.locator("tr", has_text="missed")
    expect(row).to_contain_text(
        "No scheduler dispatched it in time: none ran, or Redis was away (catch-up: none)."
    )
    row.get_by_role("link", name="Backfill…").click()
    expect(page.locator("[name=begin]")).to_have_value(re.compile(r"^\d{4}-\d\d-\d\dT"))


def test_each_bar_of_the_chart_leads_to_its_run_by_the_keyboard(page: Page, site: BusySite):
    open_schedule(page, site, "Import orders")
    page.get_by_role("link", name="1000", exact=True).click()
    expect(page).to_have_url(re.compile("runs=1000"))
    press_until(page, "Tab", ".run-chart a")
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator(".sl-page h1")).to_contain_text("Import orders #")


def test_a_change_is_told_with_its_values_and_put_back(page: Page, site: BusySite):
    open_schedule(page, site, "Send invoices")
    line = page.locator(".sl-hist li", has_text="boris").first
    expect(line).to_contain_text("Interval 2 h → 1 h")
    expect(line).to_contain_text("customers asked for it")
    line.get_by_role("link", name="Put back").click()
    page.fill("#id_note", "they didn't")
    page.get_by_role("button", name="Put back").click()
    first = page.locator(".sl-hist li").first
    expect(first).to_contain_text("Interval 1 h → 2 h")
    expect(first).to_contain_text("by olga · “they didn't”")


def test_a_run_with_other_arguments_appears_by_itself_and_the_focus_stays(
    page: Page, site: BusySite
):
    open_schedule(page, site, "Quick")
    page.get_by_role("link", name="Run now with other arguments").click()
    page.fill("[name='arg-text']", '{"orders": [1, 2, 3]}')
    page.get_by_role("button", name="Run once").click()
    expect(page.locator(SUCCESS)).to_be_visible()
    page.get_by_role("link", name="Edit", exact=True).first.focus()
    run = page.locator("table.runs tbody tr", has_text="finished").first
    expect(run).to_contain_text("3")
    wait_for_refreshes(page, "schedule-live")
    assert page.evaluate("document.activeElement.textContent") == "Edit"
    run.get_by_role("link").first.click()
    expect(page.locator(".sl-kv")).to_contain_text('"{\\"orders\\": [1, 2, 3]}"')


def test_a_schedule_is_paused_and_resumed_with_a_thumb_in_the_dark(visit: Visit, site: BusySite):
    page = visit(dark=True, narrow=True).page
    open_schedule(page, site, "Sync region 06")
    page.get_by_role("button", name="Pause…").tap()
    page.fill("input[name=note]", "holiday")
    page.get_by_role("button", name="Pause", exact=True).tap()
    expect(page.locator(".sl-notice", has_text="holiday")).to_be_visible()
    page.get_by_role("button", name="Resume").tap()
    expect(page.locator(SUCCESS)).to_be_visible()
    expect(page.locator(".sl-hist")).to_contain_text("Resumed after")


def test_cancelling_asks_and_can_be_left(page: Page, site: BusySite):
    open_schedule(page, site, "Sync region 07")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("link", name="Keep it").click()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel schedule").click()
    expect(page.locator(".sl-title")).to_contain_text("ended")


def test_backfill_says_how_many_and_how_long_and_runs_also_what_failed(page: Page, site: BusySite):
    open_schedule(page, site, "Import orders", "backfill/")
    begin = datetime.now(UTC) - timedelta(hours=48)
    page.fill("[name=begin]", begin.strftime("%Y-%m-%dT%H:%M"))
    page.get_by_role("button", name="Preview").click()
    preview = page.locator(".preview")
    expect(preview).to_contain_text("2 runs would be requested")
    expect(preview).to_contain_text("by the durations of the last 7 days")
    page.check("[name=failed]")
    page.get_by_role("button", name="Preview").click()
    expect(preview).to_contain_text("3 runs would be requested")
    page.get_by_role("button", name="Run 3").click()
    expect(page.locator(SUCCESS)).to_contain_text("3 runs were requested.")
    expect(page.locator(".sl-hist").first).to_contain_text("Backfill of")


# Tags and calendars


def test_a_new_tag_is_given_to_a_schedule_and_chosen_in_the_list(page: Page, site: BusySite):
    page.goto("/admin/tasks/tag/add/")
    page.fill("#id_name", "seasonal")
    page.click("input[name=_save]")
    open_schedule(page, site, "Sync region 08", "change/")
    page.get_by_label("seasonal").check()
    page.click("input[name=_save]")
    page.goto("/admin/tasks/tag/")
    page.get_by_role("link", name="1 schedule", exact=True).last.click()
    expect(page.locator("#result_list .name")).to_have_text(["Sync region 08"])


@pytest.mark.parametrize("face", ["once", "every", "cron"])
def test_each_face_of_when_is_reached_and_filled_by_keyboard_alone(page: Page, face: str):
    page.goto(f"/admin/{SCHEDULES}/add/?function=shop.import_orders")
    field = {"once": "#id_first_0", "every": "#id_interval", "cron": "#id_cron"}[face]
    text = {"once": "2999-12-31", "every": "45", "cron": "0 6 * * *"}[face]
    press_until(page, "Tab", "[name=face]")
    for _ in range(3):
        if page.locator(f"#id_face_{face}").is_checked():
            break
        page.keyboard.press("ArrowRight")
    press_until(page, "Tab", field)
    page.keyboard.type(text)
    if face == "once":
        press_until(page, "Tab", "#id_first_1")
        page.keyboard.type("12:00")
    expect(page.locator(".sl-ten li").nth(1)).to_be_visible()
    assert page.evaluate("document.activeElement.matches('#call-form input')")


def test_runs_are_found_from_the_page_of_their_schedule(page: Page, site: BusySite):
    open_schedule(page, site, "Import orders")
    page.get_by_role("link", name=re.compile(r"^All \d+ runs")).click()
    expect(page).to_have_url(re.compile(f"{RUNS}/.schedule="))
    expect(page.locator("#result_list .name").first).to_have_text("Import orders")
