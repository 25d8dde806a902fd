"""The secret key of a site that wasn't given one."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from django.core.management.utils import get_random_secret_key


def stored_secret_key(path: Path) -> str:
    """Return the key kept in a file that only its owner can read; make it if there is none.

    Processes that start at the same time get the same key.
    """
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name) as draft:
            draft.write(get_random_secret_key())
            draft.flush()
            # Linking fails if another process got there first, and never shows a half-written file.
            with suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text()
