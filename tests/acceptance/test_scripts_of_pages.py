"""The scripts of our pages in a real browser: what changes by itself, what stays, what is said.

The page is served from memory, so that each answer is what the test wants it to be.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser import launched

STATIC = Path(__file__).resolve().parents[2] / "tasks" / "static" / "tasks"
ADDRESS = "http://ledger.test"
PAGE = """<!doctype html><html lang="en"><head><title>Live</title>
<script src="/static/vendor/idiomorph.min.js" defer></script>
<script src="/static/live.js" defer></script>
<script src="/static/strip.js" defer></script>
<script src="/static/zone.js" defer></script></head><body>
<span data-zone="Asia/Seoul"></span>
<span class="sl-live" hidden>Live, <span data-live-age></span> old</span>
<div id="sl-offline" role="status" hidden>since <b data-live-since></b>, <i data-live-age></i>
<button type="button" data-live-retry>Try now</button>
<span class="unsent" hidden>unsent</span></div>
<div id="sl-locked" hidden>locked</div>
<form method="post" action="/act"><button>Act</button></form>
%s</body></html>"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


class Server:
    """Answers a page's requests: `body` is what the page holds, None for no answer at all."""

    def __init__(self, page: Page) -> None:
        self.body: str | None = ""
        self.status = 200
        self.requests = self.posts = 0
        page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(ADDRESS)
        if path.startswith("/static/"):
            route.fulfill(path=STATIC / path.removeprefix("/static/"))
        elif route.request.method == "POST":
            self.posts += 1
            route.fulfill(body="done")
        elif self.body is None:
            route.abort()
        else:
            self.requests += route.request.headers.get("x-live") == "1"
            route.fulfill(status=self.status, content_type="text/html", body=PAGE % self.body)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a page whose clock the test moves."""
    context = browser.new_context(viewport={"width": 800, "height": 600}, timezone_id="Asia/Tokyo")
    page = context.new_page()
    page.clock.install(time="2026-10-24T20:32:00Z")
    yield page
    context.close()


@pytest.fixture
def server(page: Page) -> Server:
    return Server(page)


def show(page: Page, server: Server, body: str) -> None:
    server.body = body
    page.goto(f"{ADDRESS}/page")


def pass_time(page: Page, milliseconds: int) -> None:
    """Let the page's clock go on, one tick of the script after the other."""
    for _ in range(milliseconds // 1000):
        page.clock.run_for(1000)
        page.evaluate("() => new Promise((done) => queueMicrotask(done))")


def part(text: str, more: str = "", interval: int = 1000) -> str:
    return f'<div id="part" data-live="{interval}"><p id="text">{text}</p>{more}</div>'


def test_a_part_shows_what_the_server_says_now(page: Page, server: Server):
    show(page, server, part("old"))
    server.body = part("new")
    pass_time(page, 2000)
    expect(page.locator("#text")).to_have_text("new")


def test_what_is_outside_a_part_stays(page: Page, server: Server):
    show(page, server, part("old") + '<p id="outside">old</p>')
    server.body = part("new") + '<p id="outside">new</p>'
    pass_time(page, 2000)
    expect(page.locator("#text")).to_have_text("new")
    expect(page.locator("#outside")).to_have_text("old")


def test_ticks_typed_text_focus_and_open_folds_stay(page: Page, server: Server):
    more = (
        '<input type="checkbox" id="tick"><input type="text" id="field">'
        '<details id="fold"><summary>More</summary>text</details>'
    )
    show(page, server, part("old", more))
    page.check("#tick")
    page.locator("summary").click()
    page.locator("#field").press_sequentially("typed")
    server.body = part("new", more)
    pass_time(page, 2000)
    expect(page.locator("#text")).to_have_text("new")
    expect(page.locator("#tick")).to_be_checked()
    expect(page.locator("#field")).to_have_value("typed")
    expect(page.locator("#field")).to_be_focused()
    expect(page.locator("#fold")).to_have_attribute("open", "")


def test_a_focused_link_that_moves_keeps_the_focus(page: Page, server: Server):
    show(page, server, part("old", '<a id="a" href="#">a</a>'))
    page.focus("#a")
    server.body = part("new", '<a id="b" href="#">b</a><a id="a" href="#">a</a>')
    pass_time(page, 2000)
    expect(page.locator("#b")).to_be_attached()
    expect(page.locator("#a")).to_be_focused()


def test_scroll_inside_a_part_stays(page: Page, server: Server):
    lines = "".join(f"<p>{number}</p>" for number in range(50))
    box = f'<div id="box" tabindex="0">{lines}</div>'
    show(page, server, part("old", box))
    page.evaluate("document.getElementById('box').style.cssText = 'height:80px;overflow:auto'")
    page.evaluate("document.getElementById('box').dataset.liveKeep = ''")
    page.evaluate("document.getElementById('box').scrollTop = 300")
    server.body = part("new", box)
    pass_time(page, 2000)
    expect(page.locator("#text")).to_have_text("new")
    assert page.evaluate("document.getElementById('box').scrollTop") == 300


def test_a_selection_stays_and_its_text_is_left_alone(page: Page, server: Server):
    show(page, server, part("selected words", '<p id="other">old</p>'))
    page.evaluate("getSelection().selectAllChildren(document.getElementById('text'))")
    server.body = part("others", '<p id="other">new</p>')
    pass_time(page, 2000)
    expect(page.locator("#other")).to_have_text("new")
    assert page.evaluate("getSelection().toString()") == "selected words"


def test_new_rows_wait_behind_a_button_and_known_ones_are_brought_up_to_date(
    page: Page, server: Server
):
    def rows(*numbers: int, state: str) -> str:
        items = "".join(f'<li id="run-{number}">{number} {state}</li>' for number in numbers)
        button = (
            '<button type="button" data-live-new="runs" hidden>'
            "<span data-live-count></span> new</button>"
        )
        return button + part("", f'<ul id="runs" data-live-rows>{items}</ul>')

    show(page, server, rows(2, 1, state="running"))
    server.body = rows(4, 3, 2, 1, state="finished")
    pass_time(page, 2000)
    expect(page.locator("#runs li")).to_have_text(["2 finished", "1 finished"])
    expect(page.locator("[data-live-new]")).to_have_text("2 new")
    page.locator("[data-live-new]").click()
    expect(page.locator("#runs li")).to_have_count(4)
    pass_time(page, 2000)
    expect(page.locator("[data-live-new]")).to_be_hidden()


def pickable(*numbers: int) -> str:
    """Return a page of a list of runs that can be ticked."""
    rows = "".join(
        f'<tr id="run-{number}"><td><input type="checkbox" value="{number}"></td>'
        f'<td><a href="#">{number}</a></td></tr>'
        for number in numbers
    )
    button = (
        '<button type="button" data-live-new="rows" hidden><i data-live-count></i> new</button>'
    )
    return button + part("", f'<table><tbody id="rows" data-live-rows>{rows}</tbody></table>')


def test_rows_for_which_there_is_no_place_stay_until_the_new_ones_are_wanted(
    page: Page, server: Server
):
    show(page, server, pickable(3, 2, 1))
    server.body = pickable(5, 4, 3)
    pass_time(page, 2000)
    expect(page.locator("#rows a")).to_have_text(["3", "2", "1"])
    page.locator("[data-live-new]").click()
    expect(page.locator("#rows a")).to_have_text(["5", "4", "3"])


def test_all_rows_stay_if_none_of_them_has_a_place_any_more(page: Page, server: Server):
    show(page, server, pickable(2, 1))
    server.body = pickable(4, 3)
    pass_time(page, 2000)
    expect(page.locator("#rows a")).to_have_text(["2", "1"])


def test_a_ticked_row_stays_although_it_is_not_on_the_list_any_more(page: Page, server: Server):
    show(page, server, pickable(4, 3, 2, 1))
    page.check("#run-3 input")
    page.focus("#run-3 a")
    server.body = pickable(4, 1)
    pass_time(page, 2000)
    expect(page.locator("#rows a")).to_have_text(["4", "3", "1"])
    expect(page.locator("#run-3 input")).to_be_checked()
    expect(page.locator("#run-3 a")).to_be_focused()


def test_a_part_that_has_ended_is_not_fetched_again(page: Page, server: Server):
    show(page, server, part("old"))
    server.body = part("ended", interval=0)
    pass_time(page, 2000)
    expect(page.locator("#text")).to_have_text("ended")
    before = server.requests
    pass_time(page, 5000)
    assert server.requests == before


def test_five_seconds_without_an_answer_are_said_and_an_answer_ends_it(page: Page, server: Server):
    show(page, server, part("old"))
    pass_time(page, 2000)
    expect(page.locator(".sl-live")).to_be_visible()
    server.body = None
    pass_time(page, 3000)
    expect(page.locator("#sl-offline")).to_be_hidden()
    pass_time(page, 6000)
    expect(page.locator("#sl-offline")).to_be_visible()
    # In the viewer's zone.
    expect(page.locator("[data-live-since]")).to_have_text(re.compile(r"^05:32:0\d$"))
    expect(page.locator("#part")).to_have_class(re.compile("sl-stale"))
    server.body = part("back")
    pass_time(page, 7000)
    expect(page.locator("#text")).to_have_text("back")
    expect(page.locator("#sl-offline")).to_be_hidden()
    expect(page.locator("#part")).not_to_have_class(re.compile("sl-stale"))


def test_a_part_that_takes_long_looks_like_an_outage_only_when_its_patience_is_over(
    page: Page, server: Server
):
    show(page, server, part("old").replace("data-live=", 'data-live-patience="20000" data-live='))
    server.body = None
    pass_time(page, 12_000)
    expect(page.locator("#sl-offline")).to_be_hidden()
    pass_time(page, 12_000)
    expect(page.locator("#sl-offline")).to_be_visible()


def test_nothing_is_sent_while_the_server_is_away(page: Page, server: Server):
    show(page, server, part("old"))
    server.body = None
    pass_time(page, 9000)
    page.get_by_role("button", name="Act").click()
    expect(page.locator(".unsent")).to_be_visible()
    assert server.posts == 0


def test_a_reader_who_is_logged_out_is_told(page: Page, server: Server):
    show(page, server, part("old"))
    server.status = 403
    pass_time(page, 2000)
    expect(page.locator("#sl-locked")).to_be_visible()
    before = server.requests
    pass_time(page, 5000)
    assert server.requests == before


def test_a_hidden_page_asks_for_nothing(page: Page, server: Server):
    show(page, server, part("old"))
    pass_time(page, 2000)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    before = server.requests
    pass_time(page, 10_000)
    assert server.requests == before
    server.body = part("new")
    page.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#text")).to_have_text("new")


def test_the_arrow_keys_move_between_the_bars_of_a_strip(page: Page, server: Server):
    bars = "".join(
        f'<a href="#{number}" id="bar-{number}" tabindex="{0 if number == 3 else -1}">'
        '<rect width="6" height="22"/></a>'
        for number in (1, 2, 3)
    )
    show(page, server, f'<button id="before"></button><svg class="sl-strip">{bars}</svg>')
    page.focus("#before")
    page.keyboard.press("Tab")
    expect(page.locator("#bar-3")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#bar-2")).to_be_focused()
    page.keyboard.press("Home")
    expect(page.locator("#bar-1")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#bar-1")).to_be_focused()
    expect(page.locator(".sl-strip [tabindex='0']")).to_have_count(1)


def zone_cookie(page: Page) -> str | None:
    found = {cookie["name"]: cookie["value"] for cookie in page.context.cookies(ADDRESS)}
    return found.get("schedule_ledger_zone")


def test_the_browsers_own_zone_is_taken_until_somebody_chooses(page: Page, server: Server):
    show(page, server, "")
    assert zone_cookie(page) == "Asia/Tokyo"
    page.context.add_cookies(
        [{"name": "schedule_ledger_zone", "value": "Asia/Seoul", "url": ADDRESS}]
    )
    page.reload()
    assert zone_cookie(page) == "Asia/Seoul"
