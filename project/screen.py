"""A terminal's output, at whose end some lines can stay."""

import shutil
from collections.abc import Sequence
from typing import TextIO

from tasks.management.columns import width

UP_AND_CLEAR = "\x1b[{}A\x1b[J"


class Screen:
    """Writes whole lines, above those that are pinned.

    Where the output isn't a terminal, such as a file, pinned lines are written once.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._begun = ""
        self._pinned: Sequence[str] = ()

    def write(self, text: str) -> int:
        """Write the lines that are complete; the rest waits for its end."""
        *lines, self._begun = f"{self._begun}{text}".split("\n")
        if lines:
            self._clear()
            self._output.writelines(f"{line}\n" for line in lines)
            self._show()
        return len(text)

    def flush(self) -> None:
        """Have the terminal show what was written."""
        self._output.flush()

    def isatty(self) -> bool:
        """Return whether the output is a terminal."""
        return self._output.isatty()

    def pin(self, lines: Sequence[str]) -> None:
        """Keep these lines at the end until `unpin`."""
        self._clear()
        self._pinned = lines
        self._output.writelines(f"{line}\n" for line in lines)
        self._output.flush()

    def unpin(self) -> None:
        """Let the pinned lines scroll away, like any others."""
        self._pinned = ()

    def _show(self) -> None:
        if self.isatty():
            self._output.writelines(f"{line}\n" for line in self._pinned)

    def _clear(self) -> None:
        if self._pinned and self.isatty():
            columns = shutil.get_terminal_size().columns
            rows = sum(max(-(-width(line) // columns), 1) for line in self._pinned)
            self._output.write(UP_AND_CLEAR.format(rows))
