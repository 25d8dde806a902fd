"""Watches the code of the site's apps for `manage.py up`, which restarts its programs then.

    python -m project.reload PID        PID: the process of `manage.py up`

When a Python file has changed and `manage.py check` passes, that process gets SIGUSR1.
"""

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import django
from django.apps import apps
from django.conf import settings
from watchfiles import PythonFilter, watch

MANAGE = [sys.executable, str(Path(__file__).parent.parent / "manage.py")]


def main(supervisor: int) -> None:
    """Watch until the process ends."""
    django.setup()
    for changes in watch(*folders(), watch_filter=PythonFilter(), raise_interrupt=False):
        names = sorted({Path(path).name for _change, path in changes})
        if passes_check(names):
            os.kill(supervisor, signal.SIGUSR1)


def folders() -> list[Path]:
    """Return the folders of the site and of its apps, without those of installed packages."""
    installed = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    site = Path(settings.ROOT_URLCONF.replace(".", "/")).parent
    found = {settings.BASE_DIR / site, *(Path(app.path) for app in apps.get_app_configs())}
    return sorted(one for one in found if not any(one.is_relative_to(at) for at in installed))


def passes_check(names: list[str]) -> bool:
    """Say what has changed, and whether the programs are restarted or why not."""
    changed = ", ".join(names)
    checked = subprocess.run([*MANAGE, "check"], capture_output=True, text=True)
    if checked.returncode == 0:
        print(f"{changed} changed: restarting", flush=True)
        return True
    print(checked.stderr.rstrip(), flush=True)
    print(f"{changed} changed, but the check fails: nothing is restarted", flush=True)
    return False


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    main(int(sys.argv[1]))
