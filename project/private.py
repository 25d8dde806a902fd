"""DATA_DIR belongs to one user of the machine: nobody else can read what is in it (R13)."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

# What files and folders must not allow: anything to the group and to others.
OTHERS = 0o077
KINDS = (stat.S_ISDIR, stat.S_ISREG, stat.S_ISSOCK)


def create_privately() -> None:
    """Have this process, and those that it starts, create files that only their owner can read."""
    os.umask(OTHERS)


def keep_private(folder: Path, *, warn: bool = True) -> None:
    """Take a folder and what is in it away from other users; say so if that changes anything.

    What belongs to somebody else stays as it is, and so does what a link leads to. With `warn`,
    a folder that can't be made private is reported.
    """
    try:
        changed = _mend(folder, warn)
    except OSError as error:
        if warn:
            logger.warning("DATA_DIR (%s) can't be made private: %s.", folder, error.strerror)
        return
    if changed:
        logger.warning(
            "DATA_DIR (%s) was open to other users of this machine: %d files and folders are "
            "their owner's alone now.",
            *(folder, changed),
        )


def _mend(folder: Path, warn: bool) -> int:
    """Return how many files and folders have been made private."""
    info = folder.stat()
    if info.st_uid != os.geteuid():
        if warn and info.st_mode & OTHERS:
            logger.warning(
                "DATA_DIR (%s) belongs to another user of this machine and is open to others: "
                "they can read passwords and session keys in it. Have its owner run: chmod -R "
                "go= %s",
                *(folder, folder),
            )
        return 0
    # The folder first: after that, nobody else can put anything in the way of the rest.
    return sum(_make_private(path) for path in (folder, *_inside(folder)))


def _inside(folder: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(folder):
        yield from (Path(directory, name) for name in (*folders, *files))


def _make_private(path: Path) -> bool:
    """Take a file or folder of this user's away from others; return whether they had it."""
    try:
        info = path.lstat()
        wanted = any(is_kind(info.st_mode) for is_kind in KINDS)
        if not wanted or info.st_uid != os.geteuid() or not info.st_mode & OTHERS:
            return False
        path.chmod(stat.S_IMODE(info.st_mode) & ~OTHERS)
    except FileNotFoundError:  # another process has just removed it
        return False
    return True
