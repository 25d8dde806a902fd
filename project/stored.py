"""What a site decides once, and keeps in DATA_DIR."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def stored(path: Path, make: Callable[[], str]) -> str:
    """Return the text kept in a file that only its owner can read; make it if there is none.

    Processes that start at the same time get the same text.
    """
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name) as draft:
            draft.write(make())
            draft.flush()
            # Linking fails if another process got there first, and never shows a half-written file.
            with suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text()
