"""Failures in groups: the same exception at the same place, with their count and trend."""

import os
import re
import sysconfig
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.db.models.functions import Right

from tasks import clock
from tasks.ledger.summaries import WEEK
from tasks.models import ScheduledTaskInstance
from tasks.reports.scope import Schedules, of

# How many failed runs are read at most, the newest first.
READ_AT_MOST = 1_000
# How much of the end of a traceback is searched for the place, in characters.
TRACEBACK_END = 8_000
FRAME = re.compile(
    r'^  File "(?P<file>[^"]+)", line (?P<line>[0-9]{1,9}), in (?P<function>.+)$', re.M
)
PACKAGE = Path(__file__).resolve().parent.parent
# Where the code of others is: the standard library, installed packages, and this framework.
PATHS = ("stdlib", "platstdlib", "purelib", "platlib")
OF_OTHERS = tuple(f"{path}{os.sep}" for path in (*map(sysconfig.get_path, PATHS), PACKAGE))
INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an exception was raised in the site's own code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Runs that failed in the same way: `exception` (or a reason's code) at `place`.

    `number` failed in the period that was asked for, `before` in the one before that, which is as
    long. `first` and `last` are when the first and the last of them ended; `last_run` is the
    newest, without its log and traceback. `schedules` are the names by primary key; `runs` are the
    primary keys of the period's runs and when each ended, newest first.
    """

    exception: str
    place: Place | None
    number: int
    before: int
    first: datetime
    last: datetime
    last_run: ScheduledTaskInstance
    schedules: dict[int, str]
    runs: tuple[tuple[int, datetime], ...]

    @property
    def change(self) -> int:
        return self.number - self.before


@dataclass(frozen=True, slots=True)
class Failures:
    """Groups of failed runs since `since`, the largest first.

    `is_partial`: there were more failed runs than are read, and the oldest of them are left out.
    """

    since: datetime
    groups: tuple[FailureGroup, ...]
    is_partial: bool


def failure_groups(schedules: Schedules, period: timedelta = WEEK) -> Failures:
    """Return in which ways runs of these schedules failed in the last `period`, in one query.

    A run that was tried again and then finished has not failed.
    """
    now = clock.now()
    since = now - period
    runs = ScheduledTaskInstance.objects.filter(
        of(schedules), status=ScheduledTaskInstance.Status.FAILED, ended__gte=since - period
    )
    shown = runs.defer("log", "result", "traceback").annotate(
        trace=Right("traceback", TRACEBACK_END)
    )
    newest = list(shown.order_by("-ended", "-pk")[: READ_AT_MOST + 1])
    is_partial = len(newest) > READ_AT_MOST
    groups: dict[tuple[str, Place | None], list[Any]] = defaultdict(list)
    place = cache(place_of)  # Many tracebacks are the same.
    for run in newest[:READ_AT_MOST]:
        groups[run.exception_class or run.reason_code or "", place(run.trace)].append(run)
    found = [_group(exception, place, runs, since) for (exception, place), runs in groups.items()]
    by_size = sorted(filter(None, found), key=lambda one: (-one.number, one.exception))
    return Failures(since, tuple(by_size), is_partial)


def _group(
    exception: str, place: Place | None, runs: list[ScheduledTaskInstance], since: datetime
) -> FailureGroup | None:
    recent = [run for run in runs if run.ended and run.ended >= since]
    if not recent:
        return None
    ends = [run.ended for run in recent if run.ended]
    return FailureGroup(
        exception=exception,
        place=place,
        number=len(recent),
        before=len(runs) - len(recent),
        first=min(ends),
        last=max(ends),
        last_run=recent[0],
        schedules={run.parent_id: run.name for run in recent},
        runs=tuple((run.pk, run.ended) for run in recent if run.ended),
    )


def place_of(traceback: str) -> Place | None:
    """Return the innermost place of the site's own code in a traceback.

    If all of it is the code of others, the innermost place of all; None if it names none. Of an
    exception that was raised while another one was handled, it is the last one's.
    """
    frames = [
        Place(match["file"], int(match["line"]), match["function"])
        for match in FRAME.finditer(traceback)
    ][::-1]
    return next((frame for frame in frames if is_own(frame.file)), frames[0] if frames else None)


def is_own(file: str) -> bool:
    """Return whether a file is the site's own: not a library's, nor Python's, nor this app's."""
    if file.startswith("<") or any(f"/{name}/" in file for name in INSTALLED):
        return False
    return not file.startswith(OF_OTHERS)
