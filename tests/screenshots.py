"""The pictures of the README and of docs/, taken anew: `python -m tests.screenshots [FOLDER]`.

A site of its own is filled with a shop's schedules and seven days of their history, and really
runs: its servers, two schedulers and four workers. Each picture is taken in light and in dark.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import launched
from tests.processes import Site, execute, run, running
from tests.servers import BASE_DIR, Valkey, free_port, wait_for

IMAGES = BASE_DIR / "docs" / "images"
THEMES = ("light", "dark")
WIDE, NARROW = 1_280, 390
WORKERS = {
    "worker-1": ["default"],
    "worker-2": ["default"],
    "worker-3": ["feeds", "default"],
    "worker-4": ["reports"],
}
QUALITY = 90


class Shot(NamedTuple):
    """A picture: of which page, and how much of it; `prepare` does something to the page first."""

    name: str
    path: str
    height: int
    width: int = WIDE
    prepare: Callable[[Page], None] = lambda page: None


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
        execute(site, "from tests.shop import data; data.make_site()")
        port = free_port()
        stack.enter_context(running(site, "runserver", "--noreload", "--verbosity", "0", str(port)))
        for _number in range(2):
            stack.enter_context(running(site, "rqscheduler"))
        for name, queues in WORKERS.items():
            stack.enter_context(running(site, "rqworker", "--name", name, *queues))
        yield site, f"http://127.0.0.1:{port}"
