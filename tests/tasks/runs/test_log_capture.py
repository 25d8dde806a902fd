"""Logs of a run: from all loggers, within bounds, and safe to show."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tasks.runs.log_capture import LIMIT, BoundedText, capturing, ready_to_capture
from tasks.storable import escape


@pytest.fixture(autouse=True)
def quiet_root() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.WARNING)
    yield
    root.setLevel(level)


def captured(name: str, level: int = logging.INFO, message: str = "hello") -> str:
    text = BoundedText()
    with capturing(text):
        logging.getLogger(name).log(level, message)
    return str(text)


def test_a_log_line_at_info_is_captured_though_the_root_shows_warnings_only():
    assert "INFO tests.some: hello" in captured("tests.some")


def test_a_log_line_at_debug_is_not_captured():
    assert captured("tests.some", logging.DEBUG) == ""


def test_a_logger_that_does_not_propagate_is_captured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logging.getLogger("tests.deaf"), "propagate", False)
    assert captured("tests.deaf").count("hello") == 1
    assert captured("tests.deaf.child").count("hello") == 1


def test_a_process_that_is_ready_captures_run_after_run_each_line_for_its_own_run():
    with ready_to_capture():
        first = captured("tests.some", message="first")
        logging.getLogger("tests.some").info("between")
        second = captured("tests.some", message="second")
    assert [text.split(": ")[1] for text in (first, second)] == ["first\n", "second\n"]


def test_a_process_that_is_ready_hears_loggers_that_propagate_no_more_and_again_once(
    monkeypatch: pytest.MonkeyPatch,
):
    logger = logging.getLogger("tests.turning")
    with ready_to_capture():
        for propagates in (True, False, True):
            monkeypatch.setattr(logger, "propagate", propagates)
            assert captured("tests.turning").count("hello") == 1
    assert logger.handlers == []


def test_other_log_handlers_show_no_more_during_capture():
    shown: list[str] = []
    other = logging.Handler()
    other.emit = lambda record: shown.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(other)
    captured("tests.some")
    logging.getLogger().removeHandler(other)
    assert shown == []


def test_capturing_leaves_no_change_of_logging_behind():
    root = logging.getLogger()
    before = (root.level, [(handler, handler.level) for handler in root.handlers])
    with pytest.raises(KeyError), capturing(BoundedText()):
        raise KeyError
    assert (root.level, [(handler, handler.level) for handler in root.handlers]) == before


def test_control_characters_and_lone_surrogates_in_a_log_are_escaped():
    assert escape("a\0b\x1b[31m\r\ud800\x9b") == r"a\x00b\x1b[31m\r\ud800\x9b"


def test_newlines_tabs_and_letters_in_a_log_are_kept():
    assert escape("ä\t한\n😀") == "ä\t한\n😀"


def test_of_a_long_log_the_head_and_the_tail_are_kept():
    text = BoundedText()
    for number in range(20_000):
        text.add(f"line {number}")
    kept = str(text).splitlines()
    assert (kept[0], kept[-1]) == ("line 0", "line 19999")
    assert any("bytes left out" in line for line in kept)
    assert 0.9 * LIMIT < len(str(text).encode()) <= LIMIT


@pytest.mark.parametrize("character", ["x", "한", "\0", "😀", "\ud800"])
def test_a_log_line_longer_than_the_limit_loses_its_middle(character: str):
    text = BoundedText()
    text.add("begin" + character * 10 * LIMIT + "end")
    assert str(text).startswith("begin")
    assert str(text).endswith("end\n")
    assert len(str(text).encode()) <= LIMIT


def test_a_captured_log_can_be_read_while_another_thread_adds():
    text, stop = BoundedText(), threading.Event()

    def add() -> None:
        while not stop.is_set():
            text.add("x")

    for _ in range(40_000):
        text.add("x")
    adding = threading.Thread(target=add)
    adding.start()
    try:
        for _ in range(100):
            str(text)
    finally:
        stop.set()
        adding.join()


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("message", "args", "line"),
    [
        (
            "%d new",
            ("x",),
            "(malformed: TypeError: %d format: a real number is required, not str) ",
        ),
        ("%s and %s", ("x",), "(malformed: TypeError: not enough arguments for format string) "),
        ("new", ("x",), "(malformed: TypeError: not all arguments converted "),
        ("%(n)s new", ({"m": 1},), "(malformed: KeyError: 'n') "),
        (Unspeakable(), (), "(malformed: RuntimeError: no words) "),
    ],
)
def test_a_malformed_log_call_is_captured_as_it_was_given(
    message: Any, args: tuple[Any, ...], line: str
):
    text = BoundedText()
    with without_other_handlers(), capturing(text):
        logging.getLogger("tests.some").info(message, *args)
    captured = str(text)
    assert f"INFO tests.some: {line}" in captured
    assert "x" not in args or "'x'" in captured


def test_an_argument_that_cannot_be_shown_does_not_keep_a_log_call_from_being_captured():
    text = BoundedText()
    with without_other_handlers(), capturing(text):
        logging.getLogger("tests.some").info("%d", Unspeakable())
    assert "that can't be shown)" in str(text)


@contextmanager
def without_other_handlers() -> Iterator[None]:
    """Remove the handlers of pytest, which raise what is wrong with a log call."""
    root = logging.getLogger()
    handlers, root.handlers[:] = root.handlers[:], []
    try:
        yield
    finally:
        root.handlers[:] = handlers
