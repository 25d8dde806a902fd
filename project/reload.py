"""Watches the code of the site's apps for `manage.py up`, which restarts its programs then.

    python -m project.reload PID STATE        PID: the process of `manage.py up`
                                              STATE: the code that its programs have loaded

When the code has become another one and `manage.py check` passes, that process gets SIGUSR1. While
the check fails nothing is restarted: the next save is checked again. What counts is how the files
are, not what was heard of them, so that nothing is missed while this process starts.
"""

import hashlib
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from watchfiles import PythonFilter, watch

MANAGE = [sys.executable, str(Path(__file__).parent.parent / "manage.py")]
# How often the files are looked at if nothing is heard of them, in milliseconds.
LOOK_MS = 1_000
# After how many seconds a site that can't be set up is tried again.
RETRY_SECONDS = 1.0
# Where the process that is started again finds what it has said already.
SAID = "RELOAD_SAID"
WHAT_FOLLOWS = "what runs goes on, and the next save is checked"
# The files of the code, each with when it was changed, in nanoseconds, and its size.
Files = dict[str, tuple[int, int]]


def main(supervisor: int, loaded: str) -> None:
    """Watch until the process ends."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # It is told of new code as all programs are.
    try:
        django.setup()
    except Exception as error:  # whatever the site's code raises
        text = f"the code can't be loaded ({error!r}): waiting for the next save"
        if os.environ.get(SAID) != text:
            print(text, flush=True)
        os.environ[SAID] = text
        time.sleep(RETRY_SECONDS)
        start_again(supervisor, loaded)
    os.environ.pop(SAID, None)
    watched = folders()
    seen, refused = files(watched), None
    for _changes in watch(
        *watched,
        watch_filter=PythonFilter(),
        raise_interrupt=False,
        yield_on_timeout=True,
        rust_timeout=LOOK_MS,
    ):
        present = files(watched)
        if state_of(present) == loaded or present == refused:
            continue
        names, seen = changed(seen, present), present
        problem = what_check_says()
        if files(watched) != present:
            continue  # Saved again meanwhile: that is what counts.
        if not problem:
            print(f"{names} changed: restarting", flush=True)
            os.kill(supervisor, signal.SIGUSR1)
            start_again(supervisor, state_of(present))
        print(problem, flush=True)
        print(f"{names} changed, but the check fails: {WHAT_FOLLOWS}", flush=True)
        refused = present


def start_again(supervisor: int, loaded: str) -> None:
    """Go on as a new process, which may find other apps."""
    command = [sys.executable, "-m", "project.reload", str(supervisor), loaded]
    os.execv(sys.executable, command)


def files(watched: list[Path]) -> Files:
    """Return the files of the code as they are now."""
    found: Files = {}
    for folder in watched:
        for path in folder.rglob("*.py"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # It has just been removed.
            found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found


def state_of(found: Files) -> str:
    """Return a short text that is another one for other files."""
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def changed(before: Files, after: Files) -> str:
    """Name the files that have changed, as far as it is known which."""
    differences = dict(set(before.items()) ^ set(after.items()))
    return ", ".join(sorted({Path(path).name for path in differences})) or "code"


def folders() -> list[Path]:
    """Return the folders of the site and of its apps, without those of installed packages."""
    installed = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    site = Path(settings.ROOT_URLCONF.replace(".", "/")).parent
    found = {settings.BASE_DIR / site, *(Path(app.path) for app in apps.get_app_configs())}
    return sorted(one for one in found if not any(one.is_relative_to(at) for at in installed))


def what_check_says() -> str:
    """Return what `manage.py check` finds wrong with the code as it is now, "" if nothing."""
    checked = subprocess.run([*MANAGE, "check"], capture_output=True, text=True)
    return "" if checked.returncode == 0 else checked.stderr.rstrip() or "The check fails."


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    main(int(sys.argv[1]), sys.argv[2])
