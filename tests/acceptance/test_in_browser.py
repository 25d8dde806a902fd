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
    page.click("#result_list tbody th a")


def add_schedule(page: Page, up: Up, name: str, function: str, args: str, **fields: str) -> None:
    page.goto(f"{up.address}/admin/tasks/scheduledtask/add/")
    page.fill("#id_name", name)
    page.select_option("#id_function", function)
    page.fill("#id_args", args)
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
    add_schedule(page, up, "Counted", "examples.long_task", "[1]", interval="3600")
    expect(page.locator(".messagelist .success")).to_be_visible()
    open_schedule(page, up, "Counted")
    wait_for_text(page, "finished")


def test_invalid_values_are_reported_at_their_field_in_the_browser(page: Page, up: Up):
    add_schedule(page, up, "Bad", "examples.long_task", '["a", "b", "c"]', cron="61 * * * *")
    expect(page.locator(".field-cron .errorlist")).to_contain_text("61 * * * *")
    expect(page.locator(".field-args .errorlist")).to_be_visible()


def test_a_new_calendar_is_chosen_for_a_schedule_and_its_dates_are_excluded(page: Page, up: Up):
    page.goto(f"{up.address}/admin/tasks/calendar/add/")
    page.fill("#id_name", "Holidays")
    page.fill("#id_dates", "2026-01-01..2999-12-31\n25.12.2026")
    page.click("input[name=_save]")
    expect(page.locator(".field-dates .errorlist")).to_contain_text("25.12.2026")
    page.fill("#id_dates", "2026-01-01..2999-12-31")
    page.click("input[name=_save]")
    add_schedule(page, up, "Closed", "examples.long_task", "[1]", interval="1h")
    open_schedule(page, up, "Closed")
    page.locator("summary", has_text="Limits").click()
    page.select_option("#id_calendar", label="Holidays")
    page.click("input[name=_continue]")
    expect(page.locator(".field-next_due")).to_contain_text("3000-01-01")


def test_a_schedule_is_paused_with_a_reason_and_resumed(page: Page, up: Up):
    open_schedule(page, up, "Activity")
    page.fill("input[name=note]", "because of a test")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".is-paused").first).to_be_visible()
    expect(page.locator("#id_note")).to_have_value("because of a test")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".field-status_badge .is-finished")).to_be_visible()


def test_a_past_range_is_backfilled_from_the_page_of_its_schedule(page: Page, up: Up):
    add_schedule(page, up, "Past", "examples.long_task", "[0]", cron="0 * * * *")
    open_schedule(page, up, "Past")
    page.get_by_role("link", name="Backfill").click()
    page.fill("#id_limit", "3")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".errornote")).to_be_visible()
    page.fill("#id_limit", "30")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".preview")).to_contain_text("24 runs would be requested")
    page.get_by_role("button", name="Run them").click()
    expect(page.locator(".messagelist .success")).to_have_text("24 runs were requested.")
    expect(page.locator(".latest-runs .is-finished").first).to_be_visible()


def test_a_pause_is_among_the_earlier_periods_of_its_schedule(page: Page, up: Up):
    open_schedule(page, up, "Past")
    page.fill("input[name=note]", "a break")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").click()
    page.get_by_text("Earlier periods").click()
    expect(page.locator(".history .is-paused")).to_be_visible()
    expect(page.locator(".history")).to_contain_text("a break")


def test_a_manual_run_shows_its_progress_until_it_has_finished(page: Page, up: Up):
    page.goto(f"{up.address}/admin/tasks/scheduledtask/add/")
    add_schedule(page, up, "Slow", "examples.long_task", "[8]", cron="0 0 1 1 *")
    open_schedule(page, up, "Slow")
    page.get_by_role("button", name="Run now").click()
    wait_for_text(page, "running now")
    page.locator(".latest-runs tbody a").first.click()
    expect(page.locator(".progress progress").first).not_to_have_attribute("value", "0")
    expect(page.locator(".is-finished")).to_be_visible()


def test_a_background_call_is_enqueued_and_finishes(page: Page, up: Up):
    page.goto(f"{up.address}/admin/tasks/task/add/")
    page.select_option("#id_function", "examples.count_words")
    page.fill("#id_args", f'["{up.address}/feeds/activity/"]')
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
    page.get_by_role("link", name="Delete").click()
    page.click("#content input[type=submit]")
    expect(page.locator(".messagelist .success")).to_be_visible()
    page.goto(f"{up.address}/admin/tasks/scheduledtaskinstance/?q=Counted")
    expect(page.locator("#result_list")).to_have_count(0)
