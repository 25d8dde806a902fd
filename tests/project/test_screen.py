import io

import pytest

from project.screen import Screen


class Terminal(io.StringIO):
    """A terminal that shows what is written as a real one does, without wrapping lines."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = [""]

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        head, *rest = text.split("\x1b[")
        self._type(head)
        for part in rest:
            number, command, shown = self._parse(part)
            if command == "A":
                del self.rows[len(self.rows) - 1 - number : -1]
                self.rows[-1] = ""
            self._type(shown)
        return len(text)

    def _parse(self, part: str) -> tuple[int, str, str]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        return int(digits or 0), part[len(digits)], part[len(digits) + 1 :]

    def _type(self, text: str) -> None:
        first, *others = text.split("\n")
        self.rows[-1] += first
        self.rows += others


BOX = ["+---+", "| a |", "+---+"]


def test_pinned_lines_stay_the_last_on_the_screen():
    terminal = Terminal()
    screen = Screen(terminal)
    print("before", file=screen)
    screen.pin(BOX)
    print("one", file=screen)
    print("two\nthree", file=screen)
    assert terminal.rows == ["before", "one", "two", "three", *BOX, ""]


def test_unpinned_lines_scroll_away():
    terminal = Terminal()
    screen = Screen(terminal)
    screen.pin(BOX)
    screen.unpin()
    print("after", file=screen)
    assert terminal.rows == [*BOX, "after", ""]


def test_a_pinned_line_that_the_terminal_wraps_is_moved_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "10")
    output = io.StringIO()
    monkeypatch.setattr(output, "isatty", lambda: True)
    screen = Screen(output)
    screen.pin(["x" * 25, ""])
    screen.write("line\n")
    assert "\x1b[4A" in output.getvalue()


def test_in_a_file_pinned_lines_are_written_once_and_nothing_moves():
    file = io.StringIO()
    screen = Screen(file)
    screen.pin(BOX)
    print("after", file=screen)
    assert file.getvalue().splitlines() == [*BOX, "after"]


def test_a_line_is_shown_when_it_is_complete():
    file = io.StringIO()
    screen = Screen(file)
    screen.write("be")
    screen.write("gun\nand")
    assert file.getvalue() == "begun\n"
