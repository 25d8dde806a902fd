"""Reads a stored traceback: which of its frames are the site's own code, and which one failed.

Pure: the text goes in, as Python formats it or as far as it was kept. Nothing is read from disk:
the text may come from another machine, and its paths may be anything.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from tasks.reports.origins import Origin, origin_of

FRAME = re.compile(
    r'^[\s|+]*File "(?P<path>[^"]+)", line (?P<line>[0-9]{1,9})(?:, in (?P<function>.+))?$'
)
CARETS = re.compile(r"^(?=[^~^]*[~^])[\s|~^]+$")


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in the code; `code` is its line as the traceback shows it, if it does."""

    path: str
    line: int
    function: str
    code: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring lines of a traceback: `folded` frames of others, or what is shown at once."""

    text: str
    folded: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A traceback as a page shows it; the texts of its segments are the whole of it.

    `failing` is the innermost frame of the site's own code, and `raised_at` the one of others below
    it that raised, if there is one.
    """

    failing: Frame | None
    raised_at: Frame | None
    own: int
    others: int
    segments: tuple[Segment, ...]


def read(text: str, app: str) -> Reading:
    """Read a traceback; `app` is the directory of this app.

    Of several exceptions, one of which led to the other, the last that passed through the site's
    own code counts.
    """
    parts = list(_parts(text.splitlines(keepends=True), app))
    frames = [part.frame for part in parts if part.frame is not None]
    own = [frame for frame in frames if frame.origin is Origin.OWN]
    return Reading(
        failing=own[-1] if own else None,
        raised_at=frames[-1] if frames and frames[-1].origin is not Origin.OWN else None,
        own=len(own),
        others=len(frames) - len(own),
        segments=tuple(_segments(parts)),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """Lines that belong together: a frame with its code, or one line of anything else."""

    text: str
    frame: Frame | None

    @property
    def is_folded(self) -> bool:
        return self.frame is not None and self.frame.origin is not Origin.OWN


def _parts(lines: list[str], app: str) -> Iterator[_Part]:
    at = 0
    while at < len(lines):
        found = FRAME.match(lines[at].rstrip("\r\n"))
        end = at + 1
        if found is None:
            yield _Part(lines[at], None)
        else:
            while end < len(lines) and _is_code(lines[end], lines[at]):
                end += 1
            code = (line.strip(" |\r\n") for line in lines[at + 1 : end] if not CARETS.match(line))
            path, function = found["path"], found["function"] or ""
            frame = Frame(path, int(found["line"]), function, next(code, ""), origin_of(path, app))
            yield _Part("".join(lines[at:end]), frame)
        at = end


def _is_code(line: str, frame_line: str) -> bool:
    """Return whether a line belongs to the frame above it: it is indented further."""
    return not FRAME.match(line.rstrip("\r\n")) and _indent(line) > _indent(frame_line)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" |+"))


def _segments(parts: Iterable[_Part]) -> Iterator[Segment]:
    for is_folded, group in groupby(parts, key=lambda part: part.is_folded):
        members = list(group)
        yield Segment("".join(part.text for part in members), len(members) if is_folded else 0)
