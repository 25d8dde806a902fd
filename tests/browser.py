"""The browser of the acceptance tests. `python -m tests.browser` installs one if necessary.

It is an installed Chromium or Chrome, else Playwright's own download, else Debian's package.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ARGUMENTS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HELP = """\
The acceptance tests need a browser, and there is none: no Chromium or Chrome in PATH, \
`playwright install chromium` failed, and Debian's package can't be installed here.
Install Chromium or Chrome in any way, then run `make test` again."""


class NoBrowser(Exception):
    """The machine has no browser and can't get one."""


def find() -> str | None:
    """Return the path of a browser of this machine, None if it has none."""
    paths = [shutil.which(name) for name in NAMES]
    with sync_playwright() as playwright:
        paths.append(playwright.chromium.executable_path)
    return next((path for path in paths if path and _starts(path)), None)


def ensure() -> str:
    """Return the path of a browser, after installing one if necessary; raises NoBrowser."""
    for install in (_nothing, _download, _debian_package):
        install()
        if path := find():
            return path
    raise NoBrowser(HELP)


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser without a window, and close it after the block."""
    path = ensure()
    arguments = ARGUMENTS + (["--no-sandbox"] if os.geteuid() == 0 else [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def _starts(path: str) -> bool:
    """Return whether a browser exists and starts; some packages only point to another one."""
    if not Path(path).exists():
        return False
    return subprocess.run([path, "--version"], capture_output=True).returncode == 0


def _nothing() -> None:
    pass


def _download() -> None:
    _run(sys.executable, "-m", "playwright", "install", "chromium")


def _debian_package() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        _run("apt-get", "update", "--quiet")
        _run("apt-get", "install", "--quiet", "--yes", "chromium")


def _run(*command: str) -> None:
    print("Running", *command, flush=True)
    subprocess.run(command, check=False)


if __name__ == "__main__":
    try:
        print("Browser:", ensure())
    except NoBrowser as error:
        sys.exit(str(error))
