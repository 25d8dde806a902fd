"""What a task function logs while it runs, kept within bounds."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from tasks.masking import hidden_now, mask_text
from tasks.storable import escape, type_name

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LIMIT = 64 * 1024
HALF = LIMIT // 2 - 64


class BoundedText:
    """Lines of text: the first and the last 32 KB are kept (UTF-8 bytes).

    However much is added, memory stays bounded and `str()` is at most 64 KB. One thread may add
    while another one reads.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._head: list[str] = []
        self._head_size = 0
        self._tail: deque[tuple[str, int]] = deque()
        self._tail_size = 0
        self._left_out = 0

    def add(self, line: str) -> None:
        """Add a line; one that is longer than the limit loses its middle."""
        line = _shorten(line) + "\n"
        with self._lock:
            self._add(line, len(line.encode()))

    def _add(self, line: str, size: int) -> None:
        if not self._tail and self._head_size + size <= HALF:
            self._head.append(line)
            self._head_size += size
            return
        self._tail.append((line, size))
        self._tail_size += size
        while self._tail_size > HALF:
            _, dropped = self._tail.popleft()
            self._tail_size -= dropped
            self._left_out += dropped

    def __str__(self) -> str:
        with self._lock:
            gap = [f"… {self._left_out} bytes left out …\n"] if self._left_out else []
            return "".join([*self._head, *gap, *(line for line, _ in self._tail)])


def _shorten(line: str) -> str:
    """Escape a line; keep only the beginning and the end of a long one."""
    if len(line) < HALF:
        escaped = escape(line)
        if len(escaped.encode()) < HALF:
            return escaped
    part = HALF // 16
    head, tail = escape(line[:part]), escape(line[-part:])
    return f"{head} … {len(line) - 2 * part} characters left out … {tail}"


class Lines(Protocol):
    """What takes the lines that are captured."""

    def add(self, line: str) -> None: ...


# What takes the lines of the run that goes on in this context, inside `capturing_by_context`.
lines_of_context: ContextVar[Lines | None] = ContextVar("tasks_lines", default=None)


class _Capture(logging.Handler):
    """Hears what any logger emits at INFO and above."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter(FORMAT))
        self._known: list[Any] = []
        self._loggers: list[logging.Logger] = []
        self._deaf: list[logging.Logger] = []

    def hear_deaf(self) -> None:
        """Be among the handlers of just the loggers whose lines don't reach the root's."""
        known = list(logging.root.manager.loggerDict.values())
        if known != self._known:
            self._known = known
            self._loggers = [one for one in known if isinstance(one, logging.Logger)]
        deaf = [one for one in self._loggers if not one.propagate]
        for one in self._deaf:
            if one.propagate:
                one.removeHandler(self)
        for one in deaf:
            if self not in one.handlers:
                one.addHandler(self)
        self._deaf = deaf

    def hear_nothing(self) -> None:
        """Be among no logger's handlers."""
        for one in [logging.root, *self._deaf]:
            one.removeHandler(self)
        self._deaf = []


class _Handler(_Capture):
    """Adds what is logged to the lines of the run that goes on in this process, if there is one."""

    def __init__(self) -> None:
        super().__init__()
        self._text: Lines | None = None
        self._hidden = hidden_now()

    @contextmanager
    def adding_to(self, text: Lines) -> Iterator[None]:
        """Add to these lines inside the block."""
        self._text = text
        self._hidden = hidden_now()  # Other threads, which may log too, don't know it.
        try:
            yield
        finally:
            self._text = None

    def emit(self, record: logging.LogRecord) -> None:
        text = self._text
        if text is not None:
            text.add(mask_text(_line(self, record), self._hidden))


# What captures in this process, while it is ready to.
_ready: _Handler | None = None


class _HandlerByContext(_Capture):
    """Adds what is logged to the lines of the context in which that is done, if it has some."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = lines_of_context.get()
        if lines is not None:
            lines.add(mask_text(_line(self, record)))


def _line(handler: logging.Handler, record: logging.LogRecord) -> str:
    try:
        return handler.format(record)
    except Exception as error:
        return handler.format(_malformed(record, error))


def _malformed(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """Return a record of the same call that says what was given and why it can't be formatted."""
    given = " ".join(map(_shown, [record.msg, record.args]))
    text = f"(malformed: {type(error).__name__}: {_shown(error, str)}) {given}"
    return logging.LogRecord(
        record.name, record.levelno, record.pathname, record.lineno, text, None, None
    )


def _shown(value: Any, show: Callable[[Any], str] = repr) -> str:
    try:
        return show(value)
    except Exception:
        return f"({type_name(value)} that can't be shown)"


@contextmanager
def capturing(text: Lines) -> Iterator[None]:
    """Add what any logger emits at INFO and above inside the block to `text`, without secrets.

    A root logger that is set to show less still does: only the capture sees more.
    """
    if _ready is None:
        with ready_to_capture(), capturing(text):
            yield
        return
    _ready.hear_deaf()
    with _ready.adding_to(text):
        yield


@contextmanager
def ready_to_capture() -> Iterator[None]:
    """Prepare this process for run after run inside the block: each time, that takes a while."""
    global _ready
    handler = _Handler()
    with _added(handler):
        _ready = handler
        try:
            yield
        finally:
            _ready = None


@contextmanager
def capturing_by_context() -> Iterator[None]:
    """Do what `capturing` does, for each context by its own `lines_of_context`."""
    with _added(_HandlerByContext()):
        yield


@contextmanager
def _added(handler: _Capture) -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    others = [(other, other.level) for other in root.handlers]
    if level > logging.INFO:
        for other, other_level in others:
            other.setLevel(max(other_level, level))
        root.setLevel(logging.INFO)
    root.addHandler(handler)
    handler.hear_deaf()
    try:
        yield
    finally:
        handler.hear_nothing()
        if level > logging.INFO:
            root.setLevel(level)
            for other, other_level in others:
                other.setLevel(other_level)
