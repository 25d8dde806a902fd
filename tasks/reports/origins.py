"""Whose code a file of a traceback is: the site's own, a library's, Python's, or this app's.

Pure: a traceback may come from another machine, so nothing is read from disk.
"""

import os
import re
import sysconfig
from enum import StrEnum
from pathlib import Path

INSTALLED = ("/site-packages/", "/dist-packages/")
# Where Python is on any machine, and what of it is in no file.
STANDARD_LIBRARY = re.compile(r"^<frozen |/lib(64)?/python3(\.[0-9]+)?[a-z]*/")
# Where it is on this one, which may be anywhere.
PATHS = ("stdlib", "platstdlib")
OF_THIS_PYTHON = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in PATHS)
# The directory of this app.
APP = str(Path(__file__).parent.parent)


class Origin(StrEnum):
    """Whose code a file is."""

    OWN = "own"
    LIBRARY = "library"  # What is installed: Django among others.
    APP = "app"  # This app, which calls the site's task functions.
    STANDARD = "standard"


def origin_of(path: str, app: str = APP) -> Origin:
    """Return whose code a file is."""
    normal = path.replace("\\", "/")
    if any(folder in normal for folder in INSTALLED):
        return Origin.LIBRARY
    if normal.startswith(f"{app.rstrip('/')}/"):
        return Origin.APP
    if STANDARD_LIBRARY.search(normal) or path.startswith(OF_THIS_PYTHON):
        return Origin.STANDARD
    return Origin.OWN
