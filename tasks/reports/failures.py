"""Failures in groups: the same exception at the same place, with their count and trend."""

import os
import re
import sysconfig
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from django.db.models import Count, Max, Min, Q
from django.db.models.functions import Right

from tasks import clock
from tasks.ledger.summaries import WEEK
from tasks.models import ScheduledTaskInstance
from tasks.reports.scope import Schedules, of

# How many failed runs are read at most, the newest first.
READ_AT_MOST = 1_000
# How much of the end of a traceback is searched for the place, in characters.
TRACEBACK_END = 4_000
FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)$', re.M)
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
    newest, without its log and traceback. `schedules` are the names by primary key.
    """

    exception: str
    place: Place | None
    number: int
    before: int
    first: datetime
    last: datetime
    last_run: ScheduledTaskInstance
    schedules: dict[int, str]

    @property
    def change(self) -> int:
        return self.number - self.before


@dataclass(frozen=True, slots=True)
class Failures:
    """Groups of failed runs since `since`, the largest first.

    `is_partial`: there are as many failed runs as are read, and older ones may be left out.
    """

    since: datetime
    groups: tuple[FailureGroup, ...]
    is_partial: bool


def failure_groups(schedules: Schedules, period: timedelta = WEEK) -> Failures:
    """Return in which ways runs of these schedules failed in the last `period`, in two queries.

    A run that was tried again and then finished has not failed.
    """
    since = clock.now() - period
    found: dict[tuple[str, Place | None], list[_Alike]] = defaultdict(list)
    read = 0
    for alike in _alike(schedules, since, period):
        exception = alike.exception_class or alike.reason_code or ""
        found[exception, place_of(alike.trace)].append(alike)
        read += alike.number
    recent = {key: some for key, many in found.items() if (some := [a for a in many if a.recent])}
    newest = {key: max(alike.last_pk or 0 for alike in some) for key, some in recent.items()}
    runs = ScheduledTaskInstance.objects.defer("log", "traceback", "result")
    last_runs = runs.in_bulk(newest.values())
    groups = [
        _group(key, found[key], last_runs[pk]) for key, pk in newest.items() if pk in last_runs
    ]
    groups.sort(key=lambda group: (-group.number, group.exception))
    return Failures(since, tuple(groups), is_partial=read >= READ_AT_MOST)


class _Alike(NamedTuple):
    """Runs of one schedule that failed with the same traceback; `recent` of them since then."""

    exception_class: str
    reason_code: str | None
    trace: str
    parent_id: int
    name: str
    number: int
    recent: int
    first: datetime | None
    last: datetime | None
    last_pk: int | None


def _alike(schedules: Schedules, since: datetime, period: timedelta) -> list[_Alike]:
    failed = ScheduledTaskInstance.objects.filter(
        of(schedules), status=ScheduledTaskInstance.Status.FAILED, ended__gte=since - period
    )
    newest = failed.order_by("-ended", "-pk").values("pk")[:READ_AT_MOST]
    recent = Q(ended__gte=since)
    rows = (
        ScheduledTaskInstance.objects.filter(pk__in=newest)
        .order_by()
        .annotate(trace=Right("traceback", TRACEBACK_END))
        .values_list("exception_class", "reason_code", "trace", "parent_id", "name")
        .annotate(
            Count("pk"),
            recent=Count("pk", filter=recent),
            first=Min("ended", filter=recent),
            last=Max("ended", filter=recent),
            last_pk=Max("pk", filter=recent),
        )
    )
    return [_Alike._make(row) for row in rows]


def _group(
    key: tuple[str, Place | None], alike: list[_Alike], last_run: ScheduledTaskInstance
) -> FailureGroup:
    number = sum(one.recent for one in alike)
    return FailureGroup(
        exception=key[0],
        place=key[1],
        number=number,
        before=sum(one.number for one in alike) - number,
        first=min(one.first for one in alike if one.first),
        last=max(one.last for one in alike if one.last),
        last_run=last_run,
        schedules={one.parent_id: one.name for one in alike if one.recent},
    )


def place_of(traceback: str) -> Place | None:
    """Return the innermost place of the site's own code in a traceback.

    If all of it is the code of others, the innermost place of all; None if it names none. Of an
    exception that was raised while another one was handled, it is the last one's.
    """
    frames = [
        Place(match["file"], int(match["line"]), match["function"])
        for match in FRAME.finditer(traceback)
    ]
    own = [frame for frame in frames if is_own(frame.file)]
    return next(reversed(own or frames), None)


def is_own(file: str) -> bool:
    """Return whether a file is the site's own: not a library's, nor Python's, nor this app's."""
    if file.startswith("<") or any(name in Path(file).parts for name in INSTALLED):
        return False
    return not file.startswith(OF_OTHERS)
