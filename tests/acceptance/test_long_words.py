"""Long names and numbers in a real browser: nothing is pushed out, no number breaks in two.

Parts of pages are put into a page of their own, so that no site has to run.
"""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.template import engines
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Page

from tasks import clock
from tests.browser import launched

STATIC = Path(__file__).resolve().parents[2] / "tasks" / "static" / "tasks"
PAGE = """<!doctype html><html lang="{language}"><body>
<div class="sl-page" lang="{language}">{body}</div></body></html>"""
NAMES = {"words": "Nightly export of the orders " * 4, "one word": "w" * 120}
# Numbers that are on more than one line.
BROKEN = r"""() => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); )
    for (const match of node.data.matchAll(/\d+/g)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      const tops = [...range.getClientRects()].map((one) => Math.round(one.top));
      if (new Set(tops).size > 1) found.push(match[0]);
    }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def show(page: Page, body: str, width: int, language: str = "en") -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.set_content(PAGE.format(language=language, body=body))
    for name in ("admin.css", "overview.css", "what_if.css"):
        page.add_style_tag(path=STATIC / name)


def waiting(name: str) -> str:
    """Return the panel of what waits, with one schedule that is late."""
    now = clock.now()
    seen = SimpleNamespace(
        is_late=True, schedule_pk=1, name=name, due=now, since=now, number=1, why_in_words="No one."
    )
    row = SimpleNamespace(seen=seen, hold=None, previous=None, can_change_queue=True)
    found = SimpleNamespace(waiting=1, shown=[seen], is_partial=False)
    context = {"waiting": found, "waiting_rows": [row], "late": 1, "now": now}
    return render_to_string("admin/tasks/overview/waiting.html", context)


@pytest.mark.parametrize("width", [1_120, 390])
@pytest.mark.parametrize("kind", NAMES)
def test_a_long_name_leaves_room_for_why_and_for_what_to_do(page: Page, width: int, kind: str):
    show(page, waiting(NAMES[kind]), width)
    panel = page.locator(".sl-panel").bounding_box()
    button = page.locator(".sl-waits button").bounding_box()
    why = page.locator(".sl-waits td.y").bounding_box()
    assert panel is not None
    assert button is not None
    assert why is not None
    assert button["x"] + button["width"] <= panel["x"] + panel["width"]
    assert why["width"] > 250


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_number_breaks_in_two_on_a_phone(page: Page, language: str):
    worker = engines["django"].from_string("{% load schedule_ledger %}{{ name|sl_worker }}")
    name = worker.render({"name": "warehouse-and-orders-host-a1.1234567.0af0"})
    cells = f'<td><span class="b sl-worker">{name}</span></td><td class="r">19274</td>' * 3
    show(
        page,
        f'<table class="sl-t mid"><tr><td>Order export</td>{cells}</tr></table>',
        390,
        language,
    )
    assert page.evaluate(BROKEN) == []
