"""The stored log of a run as lines with time, level and text, and how two logs differ. Pure."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from itertools import islice
from zlib import crc32

from tasks.admin_pages.times import EARLIEST, LATEST

LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]\w*) (?P<text>.*)$",
    re.ASCII,
)
# How the last line of a failed run begins, which the recorder writes.
FAILED = "Failed for: "
ERRORS, WARNINGS = ("ERROR", "CRITICAL", "FATAL"), ("WARNING", "WARN")
# How many lines a page shows, the newest, and how many of each log are compared.
MOST_SHOWN, MOST_COMPARED = 2_000, 500
# How many lines of a difference are shown, and how many equal ones around each.
MOST_DIFFERENCES, CONTEXT = 200, 2


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log; one that continues another has its level, and no time.

    By its `key` a page knows it again when the log has grown, or lost its beginning.
    """

    time: datetime | None
    level: str
    text: str
    key: str = field(default="", compare=False)

    @property
    def kind(self) -> str:
        """How serious it is: `error`, `warning` or `info`."""
        if self.level in ERRORS:
            return "error"
        return "warning" if self.level in WARNINGS else "info"


@dataclass(frozen=True, slots=True)
class Log:
    """The lines of a log that a page shows: `left_out` says how many came before."""

    lines: tuple[Line, ...]
    left_out: int
    counts: Counter[str]

    @property
    def total(self) -> int:
        """How many lines the log has."""
        return self.left_out + len(self.lines)


def read(text: str, written_in: tzinfo) -> Log:
    """Read a log whose times are of the zone `written_in`, which the processes log in."""
    lines: list[Line] = []
    level = "INFO"
    equal: Counter[str] = Counter()
    for raw in text.splitlines():
        equal[raw] += 1
        key = f"{crc32(raw.encode(errors='replace')):x}-{equal[raw]}"
        found = LINE.match(raw)
        if found is not None:
            level = found["level"]
            lines.append(Line(_time(found["time"], written_in), level, found["text"], key))
        else:
            level = "ERROR" if raw.startswith(FAILED) else level
            lines.append(Line(None, level, raw, key))
    shown = lines[-MOST_SHOWN:]
    return Log(tuple(shown), len(lines) - len(shown), Counter(line.kind for line in shown))


def _time(text: str, written_in: tzinfo) -> datetime | None:
    """Return the time of a line; None if a function has printed what only looks like one."""
    try:
        time = datetime.fromisoformat(text).replace(tzinfo=written_in)
    except ValueError:
        return None
    return time if EARLIEST <= time <= LATEST else None


@dataclass(frozen=True, slots=True)
class Difference:
    """A line of a comparison: `sign` is “-” for the first log's, “+” for the second's.

    It is “ ” for a line of both, and “…” where equal lines are left out.
    """

    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two logs differ: `parts_at` is what each says at the first line that differs."""

    differences: tuple[Difference, ...]
    parts_at: tuple[str, str] | None
    is_cut: bool


def compare(one: Log, other: Log) -> Comparison:
    """Compare two logs, without their times; only so many lines of each, and of what differs."""
    before = [line.text for line in one.lines[:MOST_COMPARED]]
    after = [line.text for line in other.lines[:MOST_COMPARED]]
    found = list(_differences(before, after))
    return Comparison(
        differences=tuple(found[:MOST_DIFFERENCES]),
        parts_at=_parts_at(before, after),
        is_cut=len(found) > MOST_DIFFERENCES
        or max(len(one.lines), len(other.lines)) > MOST_COMPARED,
    )


def _differences(before: Sequence[str], after: Sequence[str]) -> Iterable[Difference]:
    named = difflib.unified_diff(before, after, n=CONTEXT, lineterm="")
    for line in islice(named, 2, None):  # The first two name the files.
        if line.startswith("@@"):
            yield Difference("…", "")
        else:
            yield Difference(line[:1], line[1:])


def _parts_at(before: Sequence[str], after: Sequence[str]) -> tuple[str, str] | None:
    for at in range(max(len(before), len(after))):
        pair = ["".join(lines[at : at + 1]) for lines in (before, after)]
        if pair[0] != pair[1] or at >= min(len(before), len(after)):
            return pair[0], pair[1]
    return None
