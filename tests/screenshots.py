"""The pictures of the README and of docs/, taken anew: `python -m tests.screenshots`.

A site of its own is filled with a shop's schedules and seven days of their history, and really
runs: with servers of its own, two schedulers and four workers. Each picture is taken in light and
in dark, into docs/images/.
"""

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.sync_api import Browser, Page, expect

from tests.browser import launched
from tests.processes import Site, run, running, start
from tests.servers import BASE_DIR, Valkey, free_port
from tests.shop import PASSWORD, SHOWN, USER, ZONE

IMAGES = BASE_DIR / "docs" / "images"
THEMES = ("light", "dark")
WIDE, NARROW = 1_280, 390
# The queues of each worker.
WORKERS = {
    "worker-1": ["default"],
    "worker-2": ["default"],
    "worker-3": ["feeds", "default"],
    "worker-4": ["reports"],
}
QUALITY = 85


class Shot(NamedTuple):
    """A picture: its name, how to get to what it shows, and how much of it is shown."""

    name: str
    show: Callable[[Page], None]
    height: int
    width: int = WIDE


def overview(page: Page) -> None:
    page.goto("/admin/tasks/overview/")


def schedules(page: Page) -> None:
    page.goto("/admin/tasks/scheduledtask/?tag=orders")


def schedule(page: Page) -> None:
    page.goto(f"/admin/tasks/scheduledtask/?q={SHOWN}")
    page.click("#result_list tbody a.name")


def running_run(page: Page) -> None:
    page.goto("/admin/tasks/scheduledtaskinstance/?status=running&q=catalogue")
    page.click("#result_list tbody a.name")


def failed_run(page: Page) -> None:
    page.goto(f"/admin/tasks/scheduledtaskinstance/?status=failed&q={SHOWN}")
    page.click("#result_list tbody a.name")


def failures(page: Page) -> None:
    page.goto("/admin/tasks/scheduledtaskinstance/failures/")


def form(page: Page) -> None:
    """Fill the form of a new schedule in; nothing is saved."""
    page.goto("/admin/tasks/scheduledtask/add/")
    page.select_option("#id_function", "shop.export_orders")
    page.fill("#id_name", "Order export, UK")
    page.select_option("[name='arg-region']", "uk")
    page.check("#id_face_cron")
    page.select_option("#id_cron_on", "weekdays")
    page.fill("#id_cron_at", "09:00, 17:00")
    expect(page.locator(".sl-words")).to_contain_text("17:00")
    page.locator("#id_face_cron").scroll_into_view_if_needed()
    page.evaluate("document.activeElement.blur()")


FINE = [
    Shot("overview", overview, 1_000),
    Shot("schedules", schedules, 860),
    Shot("schedule", schedule, 1_060),
    Shot("run", running_run, 860),
    Shot("failed-run", failed_run, 860),
    Shot("failures", failures, 560),
    Shot("form", form, 900),
    Shot("overview-narrow", overview, 844, NARROW),
    Shot("schedules-narrow", schedules, 844, NARROW),
    Shot("run-narrow", running_run, 844, NARROW),
]
TROUBLE = [Shot("trouble", overview, 1_000)]


def take_pictures() -> None:
    """Take all pictures: first of a day without trouble, then with it."""
    with running_shop() as (site, address), launched() as browser:
        print(f"The shop is at {address}", flush=True)
        with _logged_in(browser, address) as page:
            page.goto("/admin/tasks/overview/")
            expect(page.locator(".sl-wk")).to_contain_text("page 2", timeout=180_000)
        _take(browser, address, FINE)
        _execute(site, "make_trouble")
        with _logged_in(browser, address) as page:
            page.goto("/admin/tasks/overview/")
            expect(page.locator(".sl-waits")).to_contain_text("Sales figures", timeout=180_000)
        _take(browser, address, TROUBLE)


@contextmanager
def running_shop() -> Iterator[tuple[Site, str]]:
    """Run the shop's site inside the block; give the environment of its processes, its address."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="screenshots-"))
        valkey = Valkey()
        valkey.start()
        stack.callback(valkey.stop)
        site = {
            "DATA_DIR": f"{folder}/var",
            "REDIS_URL": valkey.url,
            "DJANGO_SETTINGS_MODULE": "tests.shop.settings",
            "LOG_LEVEL": "ERROR",
            "TIME_ZONE": "Europe/Berlin",
        }
        assert run(site, "migrate", "--verbosity", "0").returncode == 0
        _execute(site, "make_site")
        port = free_port()
        stack.enter_context(running(site, "runserver", "--noreload", "--verbosity", "0", str(port)))
        for _number in range(2):
            stack.enter_context(running(site, "rqscheduler"))
        for name, queues in WORKERS.items():
            stack.enter_context(
                running(site, "rqworker", "--verbosity", "0", "--name", name, *queues)
            )
        yield site, f"http://127.0.0.1:{port}"


def _execute(site: Site, function: str) -> None:
    """Call a function of the shop's data in a process of the site, however long it takes."""
    code = f"from tests.shop import data; data.{function}()"
    assert start(site, "shell", "--verbosity", "0", "-c", code).wait() == 0


@contextmanager
def _logged_in(
    browser: Browser, address: str, theme: str = "light", width: int = WIDE, height: int = 900
) -> Iterator[Page]:
    page = browser.new_page(
        base_url=address,
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        timezone_id=ZONE,
        reduced_motion="reduce",
    )
    page.goto("/admin/login/")
    page.fill("#id_username", USER)
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    page.wait_for_url("**/admin/")
    yield page
    page.close()


def _take(browser: Browser, address: str, shots: list[Shot]) -> None:
    for shot in shots:
        for theme in THEMES:
            with _logged_in(browser, address, theme, shot.width, shot.height) as page:
                shot.show(page)
                page.mouse.move(shot.width - 2, shot.height - 2)  # Nothing is under it.
                path = IMAGES / f"{shot.name}-{theme}.webp"
                path.write_bytes(_picture(page, shot))
                print(path.relative_to(BASE_DIR), f"{path.stat().st_size // 1024} KB", flush=True)


def _picture(page: Page, shot: Shot) -> bytes:
    """Return what the browser shows, in a format that Playwright's own method doesn't have."""
    clip = {"x": 0, "y": page.evaluate("scrollY"), "width": shot.width, "height": shot.height}
    clip["scale"] = 2 if shot.width == NARROW else 1
    options = {"format": "webp", "quality": QUALITY, "clip": clip}
    answer = page.context.new_cdp_session(page).send("Page.captureScreenshot", options)
    return base64.b64decode(answer["data"])


if __name__ == "__main__":
    take_pictures()
