"""The admin of a running system, used through a browser."""

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.browser import launched
from tests.servers import Up, running_up

FEED = b"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Local news</title><id>urn:local</id>
<entry><id>urn:local:1</id><title>The first entry</title><link href="http://example.org/1"/>
<updated>2026-01-01T00:00:00Z</updated><summary>Something happened.</summary></entry></feed>"""


class FeedHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/atom+xml")
        self.end_headers()
        self.wfile.write(FEED)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def feed_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), FeedHandler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, feed_server: str) -> Iterator[Up]:
    data_dir = tmp_path_factory.mktemp("browser") / "var"
    feed = {"FEEDS": f"http://{feed_server}/news.xml", "FEEDS_ALLOWED_HOSTS": feed_server}
    with running_up(data_dir, **feed) as up:
        yield up


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def note_error(errors: list[str], page: Page, line: ConsoleMessage) -> None:
    if line.type == "error" and not line.location["url"].endswith("/favicon.ico"):
        errors.append(f"{page.url}: {line.text}")


@pytest.fixture(scope="module")
def page(browser: Browser, up: Up) -> Iterator[Page]:
    """Log in and return a page that waits up to 20 seconds for what it expects."""
    expect.set_options(timeout=20_000)
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    # What the Content-Security-Policy has refused is an error in the console.
    page.on("console", lambda line: note_error(errors, page, line))
    [password] = re.findall(r"admin with the password (\S+)", up.output)
    page.goto(up.address)
    page.fill("#id_username", "admin")
    page.fill("#id_password", password)
    page.click("input[type=submit]")
    expect(page.get_by_role("link", name="Schedules", exact=True).first).to_be_visible()
    yield page
    assert errors == []


def open_schedule(page: Page, up: Up, name: str) -> None:
    page.goto(f"{up.address}/admin/tasks/scheduledtask/?q={name}")
    page.click("#result_list tbody a.name")


def edit_schedule(page: Page, up: Up, name: str) -> None:
    open_schedule(page, up, name)
    page.get_by_role("link", name="Edit", exact=True).first.click()


def add_schedule(page: Page, up: Up, name: str, seconds: str, **fields: str) -> None:
    """Add a schedule of `long_task`; `cron` or `interval` says when."""
    page.goto(f"{up.address}/admin/tasks/scheduledtask/add/")
    page.fill("#id_name", name)
    page.select_option("#id_function", "examples.long_task")
    page.fill("[name='arg-seconds']", seconds)
    page.check("#id_face_cron" if "cron" in fields else "#id_face_every")
    for field, value in fields.items():
        page.fill(f"#id_{field}", value)
    page.click("input[name=_save]")


def wait_for_text(page: Page, text: str) -> None:
    """Load the page again until it shows a text."""
    for _ in range(20):
        if page.get_by_text(text, exact=True).count():
            return
        page.wait_for_timeout(1_000)
        page.reload()
    raise AssertionError(f"{page.url} never showed {text!r}")


def test_the_feed_has_been_polled_and_its_entry_is_shown(page: Page, up: Up):
    page.goto(f"{up.address}/admin/feeds/entry/?q=first")
    wait_for_text(page, "The first entry")
    page.goto(f"{up.address}/admin/tasks/scheduledtaskinstance/?q=news&status__exact=finished")
    expect(page.locator("#result_list tbody tr").first).to_be_visible()


def test_a_schedule_is_added_and_its_run_appears_with_its_result(page: Page, up: Up):
    add_schedule(page, up, "Counted", "1", interval="1h")
    expect(page.locator(".messagelist .success")).to_be_visible()
    open_schedule(page, up, "Counted")
    wait_for_text(page, "finished")


def test_invalid_values_are_reported_at_their_field_in_the_browser(page: Page, up: Up):
    add_schedule(page, up, "Bad", "a while", cron="61 * * * *")
    expect(page.locator(".field-cron .errtext")).to_contain_text("61 * * * *")
    expect(page.locator(".field-arg-seconds .errtext")).to_have_text("Give a number, such as 2.5.")
    expect(page.locator(".sl-errata")).to_contain_text(
        "2 fields need you: seconds, Cron expression"
    )
    page.locator(".sl-errata a").first.click()
    expect(page.locator("[name='arg-seconds']")).to_have_value("a while")


def test_what_is_due_next_and_the_consequences_follow_the_typing(page: Page, up: Up):
    page.goto(f"{up.address}/admin/tasks/scheduledtask/add/")
    page.check("#id_face_cron")
    page.select_option("#id_cron_on", "weekdays")
    page.fill("#id_cron_at", "09:00")
    expect(page.locator("#id_cron")).to_have_value("0 9 * * 1-5")
    expect(page.locator(".sl-words")).to_contain_text("At 09:00, Monday through Friday")
    expect(page.locator(".sl-ten li:not(.hd, .mark)")).to_have_count(10)
    page.fill("#id_cron", "30 6 L * *")
    expect(page.locator("#id_cron_on")).to_have_value("last")
    page.select_option("#id_overlap", "wait")
    expect(page.locator("#conseq-overlap")).to_contain_text("would wait until it has ended")
    page.check("#id_face_once")
    page.fill("#id_first_0", "2020-01-01")
    page.fill("#id_first_1", "12:00")
    expect(page.locator("#when-preview")).to_contain_text("This time has passed")


def test_a_schedule_is_added_by_keyboard_alone_on_a_narrow_screen_in_the_dark(page: Page, up: Up):
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.goto(f"{up.address}/admin/tasks/scheduledtask/add/?function=examples.long_task")
    page.focus("#id_name")
    page.keyboard.type("Keyed")
    for _ in range(20):
        if page.evaluate("document.activeElement.name") == "arg-seconds":
            break
        page.keyboard.press("Tab")
    page.keyboard.type("1")
    page.focus("#id_face_every")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#id_interval")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.type("2")
    expect(page.locator(".sl-words")).to_contain_text("Every 2 minutes")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist .success")).to_be_visible()
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 720})


def test_without_a_script_a_button_brings_the_fields_of_a_function(page: Page, up: Up):
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(
        java_script_enabled=False, storage_state=page.context.storage_state()
    )
    plain = context.new_page()
    plain.goto(f"{up.address}/admin/tasks/scheduledtask/add/")
    plain.fill("#id_name", "Plain")
    plain.select_option("#id_function", "examples.long_task")
    plain.get_by_role("button", name="Show its arguments").click()
    plain.fill("[name='arg-seconds']", "1")
    plain.check("#id_face_cron")
    plain.select_option("#id_cron_on", "first")
    plain.click("input[name=_save]")
    expect(plain.locator(".messagelist .success")).to_contain_text("Plain")
    context.close()


def test_a_second_editor_sees_what_the_first_has_changed(page: Page, up: Up):
    add_schedule(page, up, "Shared", "1", cron="0 0 1 1 *")
    edit_schedule(page, up, "Shared")
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(storage_state=page.context.storage_state())
    other = context.new_page()
    other.goto(page.url)
    page.fill("#id_retries", "2")
    page.click("input[name=_continue]")
    other.fill("#id_retry_delay", "30")
    other.click("input[name=_save]")
    expect(other.locator("#conflict")).to_contain_text("admin has changed this schedule")
    expect(other.locator("#conflict tr", has_text="Retries").locator("del")).to_have_text("2")
    other.get_by_role("button", name="Save mine over it").click()
    expect(other.locator(".messagelist .success")).to_be_visible()
    context.close()


def test_a_new_calendar_is_chosen_for_a_schedule_and_its_dates_are_excluded(page: Page, up: Up):
    page.goto(f"{up.address}/admin/tasks/calendar/add/")
    page.fill("#id_name", "Holidays")
    page.fill("#id_dates", "2026-01-01..2999-12-31\n25.12.2026")
    page.click("input[name=_save]")
    expect(page.locator(".field-dates .errorlist")).to_contain_text("25.12.2026")
    page.fill("#id_dates", "2026-01-01..2999-12-31")
    page.click("input[name=_save]")
    add_schedule(page, up, "Closed", "1", interval="1h")
    edit_schedule(page, up, "Closed")
    page.select_option("#id_calendar", label="Holidays")
    page.click("input[name=_save]")
    expect(page.locator(".sl-ten")).to_contain_text("3000")


def test_a_schedule_is_paused_with_a_reason_and_resumed(page: Page, up: Up):
    open_schedule(page, up, "Activity")
    page.get_by_role("button", name="Pause…").click()
    page.fill("input[name=note]", "because of a test")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator(".messagelist .success")).to_have_text("1 schedule was paused.")
    expect(page.get_by_text("because of a test").first).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".messagelist .success")).to_have_text("1 schedule was resumed.")


def test_ticked_schedules_are_moved_in_time_and_paused_from_the_list(page: Page, up: Up):
    page.goto(f"{up.address}/admin/tasks/scheduledtask/")
    expect(page.locator("#bulk")).to_be_hidden()
    page.check("#action-toggle")
    expect(page.locator("#bulk")).to_contain_text("selected")
    page.goto(f"{up.address}/admin/tasks/scheduledtask/?q=news")
    page.locator("input.action-select").first.check()
    page.get_by_role("button", name="Move in time…").click()
    page.fill("#id_amount", "7")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator(".sl-rows")).to_contain_text("Next due")
    page.get_by_role("button", name="Move in time", exact=True).click()
    expect(page.locator(".messagelist .success")).to_have_text("1 schedule was moved.")
    page.locator("input.action-select").first.check()
    page.get_by_role("button", name="Pause…").click()
    page.fill("input[name=note]", "not today")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#result_list .is-paused")).to_have_count(1)
    expect(page.locator("#result_list")).to_contain_text("not today")
    expect(page).to_have_url(re.compile(r"\?q=news$"))


def test_the_list_is_used_with_a_thumb_on_a_narrow_screen(page: Page, up: Up):
    page.set_viewport_size({"width": 390, "height": 800})
    try:
        page.goto(f"{up.address}/admin/tasks/scheduledtask/?q=news")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("input.action-select").first.check()
        bar = page.locator("#bulk").bounding_box()
        assert bar is not None
        assert bar["y"] + bar["height"] <= 800
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(page.locator(".messagelist .success")).to_have_text("1 schedule was resumed.")
    finally:
        page.set_viewport_size({"width": 1280, "height": 720})


def test_a_past_range_is_backfilled_from_the_page_of_its_schedule(page: Page, up: Up):
    add_schedule(page, up, "Past", "0", cron="0 * * * *")
    open_schedule(page, up, "Past")
    page.get_by_role("link", name="Backfill").click()
    page.fill("#id_limit", "3")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".backfill .is-failed, .backfill .errorlist").first).to_be_visible()
    page.fill("#id_limit", "30")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".preview")).to_contain_text("24 runs would be requested")
    page.get_by_role("button", name="Run 24").click()
    expect(page.locator(".messagelist .success")).to_have_text("24 runs were requested.")
    expect(page.locator("table.runs .is-finished").first).to_be_visible()


def test_a_pause_is_in_the_history_of_its_schedule(page: Page, up: Up):
    open_schedule(page, up, "Past")
    page.get_by_role("button", name="Pause…").click()
    page.fill("input[name=note]", "a break")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".sl-hist")).to_contain_text("a break")


def test_a_manual_run_shows_its_progress_until_it_has_finished(page: Page, up: Up):
    add_schedule(page, up, "Slow", "8", cron="0 0 1 1 *")
    open_schedule(page, up, "Slow")
    page.get_by_role("button", name="Run now").click()
    wait_for_text(page, "running now")
    page.locator("table.runs tbody a").first.click()
    expect(page.locator(".sl-prog .big").first).not_to_have_text("0 %")
    expect(page.locator(".sl-page .is-finished").first).to_be_visible()


def test_new_runs_wait_behind_a_button_while_a_tick_and_the_focus_stay(page: Page, up: Up):
    add_schedule(page, up, "Followed", "0", interval="5s")
    page.goto(f"{up.address}/admin/tasks/scheduledtaskinstance/?schedule=Followed")
    wait_for_text(page, "finished")
    first = page.locator("#run-rows tr").first
    row_id = first.get_attribute("id")
    first.locator("input").check()
    first.locator("a").focus()
    new = page.locator("[data-live-new]")
    expect(new).to_be_visible()
    expect(page.locator("#run-rows tr").first).to_have_id(row_id or "")
    expect(page.locator(f"#{row_id} input")).to_be_checked()
    expect(page.locator(f"#{row_id} a")).to_be_focused()
    expect(page.locator("[data-bulk-count]")).to_have_text("1")
    new.click()
    expect(page.locator("#run-rows tr").first).not_to_have_id(row_id or "")
    expect(page.locator(f"#{row_id} input")).to_be_checked()


def test_exact_times_are_switched_on_by_the_keyboard_and_stay(page: Page, up: Up):
    open_schedule(page, up, "Followed")
    exact = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
    due = page.locator(".sl-facts time.sl-when").first
    expect(due).not_to_have_text(exact)
    page.get_by_role("button", name="Exact times").focus()
    page.keyboard.press("Enter")
    expect(due).to_have_text(exact)
    page.goto(f"{up.address}/admin/tasks/scheduledtask/")
    expect(page.locator("#result_list time.sl-when").first).to_have_text(exact)
    page.get_by_role("button", name="Exact times", pressed=True).click()
    expect(page.get_by_role("button", name="Exact times", pressed=False)).to_be_visible()


def test_a_schedule_is_moved_to_a_better_time(page: Page, up: Up):
    add_schedule(page, up, "Early", "1", cron="0 6 * * *")
    open_schedule(page, up, "Early")
    page.get_by_role("link", name="Find a better time…").click()
    expect(page.locator("#id_schedule")).to_have_value("Early")
    page.goto(f"{page.url}&by=20")
    expect(page.locator(".sl-trial")).to_contain_text("At 06:20, every day")
    page.get_by_role("button", name="Move it there…").click()
    expect(page.locator(".sl-rows")).to_contain_text("At 06:20, every day")
    page.get_by_role("button", name="Move in time", exact=True).click()
    expect(page.locator(".messagelist .success")).to_have_text("1 schedule was moved.")
    expect(page.locator(".sl-hist")).to_contain_text("20 6 * * *")


def test_a_background_call_is_enqueued_and_finishes(page: Page, up: Up):
    page.goto(f"{up.address}/admin/tasks/task/add/")
    page.select_option("#id_function", "examples.count_words")
    page.fill("[name='arg-url']", f"{up.address}/feeds/activity/")
    page.click("input[name=_save]")
    page.goto(f"{up.address}/admin/tasks/task/")
    wait_for_text(page, "finished")


def test_django_rqs_dashboard_shows_queues_and_scheduled_jobs(page: Page, up: Up):
    page.goto(f"{up.address}/admin/tasks/scheduledtask/")
    page.get_by_role("link", name="Queues and workers").click()
    expect(page.get_by_text("default", exact=True).first).to_be_visible()
    page.goto(f"{up.address}/admin/django_rq/dashboard/schedulers/0/")
    expect(page.get_by_text("interval: 5").first).to_be_visible()
    page.click("#action-toggle")
    expect(page.locator("tr.selected").first).to_be_visible()


def test_the_lists_of_django_rq_are_shown_without_an_error(page: Page, up: Up):
    queue = f"{up.address}/admin/django_rq/dashboard/queues/0"
    for name in ("", "finished/", "failed/", "scheduled/", "started/", "deferred/"):
        page.goto(f"{queue}/{name}")
        expect(page.locator("#changelist-form")).to_be_visible()


def test_a_schedule_is_deleted_with_its_runs(page: Page, up: Up):
    open_schedule(page, up, "Counted")
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("button", name="Delete schedule").click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    page.goto(f"{up.address}/admin/tasks/scheduledtaskinstance/?q=Counted")
    expect(page.locator("#result_list")).to_have_count(0)


def test_everything_is_paused_with_a_reason_and_the_overview_says_so_without_a_reload(
    page: Page, up: Up, browser: Browser
):
    page.goto(f"{up.address}/admin/tasks/overview/")
    context = browser.new_context(storage_state=page.context.storage_state())
    other = context.new_page()
    other.goto(f"{up.address}/admin/tasks/overview/")
    other.get_by_role("link", name="Pause everything…").click()
    other.fill("input[name=note]", "because of a test")
    other.get_by_role("button", name="Pause everything").click()
    for one in (other, page):
        expect(one.locator("#sl-verdict")).to_contain_text("Everything is paused.")
        expect(one.locator("#sl-verdict")).to_contain_text("because of a test")
    open_schedule(page, up, "Activity")
    notice = page.locator(".sl-notice", has_text="Everything is paused by admin")
    notice.get_by_role("link", name="Resume…").click()
    page.get_by_role("button", name="Resume everything").click()
    expect(other.locator("#sl-verdict")).not_to_contain_text("paused")
    context.close()
