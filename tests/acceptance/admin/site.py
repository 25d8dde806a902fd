"""A busy site for the tests: real processes with what `rows` has stored, and who looks at it."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TextIO

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from tests.acceptance.admin.rows import OPERATOR, session_key
from tests.processes import Site, environment_of, execute, start
from tests.servers import BASE_DIR, Valkey, free_port, wait_for

SETTINGS = "tests.acceptance.admin.settings"
FILL = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tests.acceptance.admin.rows import fill
fill()
"""
WORKER = ("rqworker", "high", "default", "low")
PROGRAMS = [("rqscheduler",), WORKER, WORKER]
WIDE = {"width": 1400, "height": 900}
NARROW = {"width": 390, "height": 844}
# In milliseconds: the machine is busy with other tests.
PATIENCE = 30_000


class BusySite:
    """A running site; `web` is its web server."""

    def __init__(self, environment: Site, port: int, log: TextIO) -> None:
        self.environment = environment
        self.address = f"http://127.0.0.1:{port}"
        self._port = port
        self._log = log
        self.web = self.start_web()

    def start_web(self) -> "subprocess.Popen[bytes]":
        """Start the web server, as `manage.py up` does, and return its process."""
        program = ["-m", "gunicorn", "project.wsgi", "--bind", f"127.0.0.1:{self._port}"]
        options = ["--worker-class", "gthread", "--workers", "1", "--threads", "8"]
        quiet = ["--no-control-socket", "--log-level", "warning"]
        return subprocess.Popen(
            [sys.executable, *program, *options, *quiet],
            cwd=BASE_DIR,
            env=environment_of(self.environment),
            stdout=self._log,
            stderr=self._log,
        )

    def schedule(self, name: str) -> int:
        """Return the primary key of a schedule."""
        return self._number("SELECT id FROM tasks_scheduledtask WHERE name = ?", name)

    def run(self, name: str, status: str) -> int:
        """Return the primary key of the newest run of a schedule that has this status, or 0."""
        query = "SELECT coalesce(max(id), 0) FROM tasks_scheduledtaskinstance"
        return self._number(f"{query} WHERE name = ? AND status = ?", name, status)

    def _number(self, query: str, *values: str) -> int:
        path = Path(self.environment["DATA_DIR"]) / "db.sqlite3"
        with closing(sqlite3.connect(path, timeout=20)) as database:
            [(number,)] = database.execute(query, values).fetchall()
        return int(number)

    def answers(self) -> bool:
        """Return whether the web server answers."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=10)) as connection:
            try:
                connection.request("GET", "/admin/login/")
                return connection.getresponse().status == 200
            except (OSError, HTTPException):
                return False

    def stop_web(self) -> None:
        """Stop the web server and wait until it is gone."""
        self.web.terminate()
        self.web.wait(30)

    def restart_web(self) -> None:
        """Start the web server again, at the same address."""
        self.web = self.start_web()
        wait_for(self.answers, "an answer of the web server", 60)


@contextmanager
def running_site(
    data_dir: Path, settings: str = SETTINGS, *, with_workers: bool = True
) -> Iterator[BusySite]:
    """Run a site inside the block, with a scheduler and two workers, or the web server alone."""
    valkey = Valkey()
    valkey.start()
    data_dir.mkdir(exist_ok=True)
    environment = {
        "DATA_DIR": str(data_dir),
        "DJANGO_SETTINGS_MODULE": settings,
        "REDIS_URL": valkey.url,
        "LOG_LEVEL": "WARNING",
    }
    with ExitStack() as stack:
        stack.callback(valkey.stop)
        log = stack.enter_context((data_dir / "log").open("w"))
        execute(environment, FILL)
        for command in PROGRAMS if with_workers else ():
            output = {"stdout": log, "stderr": log, "start_new_session": True}
            stack.callback(_kill, start(environment, *command, **output))
        site = BusySite(environment, free_port(), log)
        stack.callback(site.stop_web)
        wait_for(site.answers, "an answer of the web server", 60)
        if with_workers:
            wait_for(lambda: site.run("Rebuild index", "running"), "the run that goes on", 60)
        yield site


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process with all of its own: nobody waits for the run that goes on."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Visitor:
    """Somebody who looks at a site with a browser of his own; what goes wrong in it is noted.

    `errors` has what was thrown or refused and what a console showed as an error; `foreign` has
    the requests to other hosts.
    """

    def __init__(
        self,
        browser: Browser,
        site: BusySite,
        name: str = OPERATOR,
        *,
        dark: bool = False,
        narrow: bool = False,
        **options: Any,
    ) -> None:
        self.site = site
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.context: BrowserContext = browser.new_context(
            viewport=NARROW if narrow else WIDE,
            has_touch=narrow,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            timezone_id="Europe/Berlin",
            base_url=site.address,
            **options,
        )
        self.context.set_default_timeout(PATIENCE)
        cookie = {"name": "sessionid", "value": session_key(name), "url": site.address}
        # Chosen already: times are in one zone from the first page on.
        zone = {"name": "schedule_ledger_zone", "value": "Europe/Berlin", "url": site.address}
        self.context.add_cookies([cookie, zone])  # type: ignore[list-item]
        self.context.on("page", self._watch)
        self.page = self.context.new_page()

    def close(self) -> None:
        """Close the browser's window."""
        self.context.close()

    def go(self, path: str, page: Page | None = None) -> Page:
        """Open a page of the admin."""
        page = page or self.page
        page.goto(f"/admin/{path}")
        return page

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        # What the Content-Security-Policy has refused is an error in the console.
        page.on("console", lambda line: self._note_line(page, line))
        page.on("request", self._note_request)

    def _note_line(self, page: Page, line: ConsoleMessage) -> None:
        if line.type == "error":
            self.errors.append(f"{page.url}: {line.text} ({line.location['url']})")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.site.address}/", "data:", "blob:", "about:")):
            self.foreign.append(request.url)
