"""Failures in groups: the same exception at the same place, with their count and trend."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models.functions import MD5, Right

from tasks import clock
from tasks.ledger.summaries import WEEK
from tasks.models import ScheduledTaskInstance
from tasks.reports.origins import Origin, origin_of
from tasks.reports.scope import Schedules, of
from tasks.runs.recorder import TRACEBACK_LENGTH

# How many failed runs are read at most, the newest first.
READ_AT_MOST = 1_000
# How much of the end of a traceback is searched for the place, in characters: all that is kept, as
# the site's own code may be far above where a library has raised.
TRACEBACK_END = TRACEBACK_LENGTH
FRAME = re.compile(
    r'^[ |+]*File "(?P<file>[^"]+)", line (?P<line>[0-9]{1,9}), in (?P<function>.+)$', re.M
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the code that an exception has passed through."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Runs that failed in the same way: `exception` (or a reason's code) at `place`.

    `raised_at` is where the newest of them raised it, if that was the code of others below `place`.
    `number` failed in the period that was asked for, `before` in the one before that, which is as
    long. `first` and `last` are when the first and the last of them ended; `last_run` is the
    newest, without its log and traceback. `schedules` are the names by primary key; `runs` are the
    primary keys of the period's runs and when each ended, newest first.
    """

    exception: str
    place: Place | None
    raised_at: Place | None
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


class _Failed(NamedTuple):
    """What is read of a failed run; `digest` is the same for the same traceback."""

    pk: int
    ended: datetime
    parent_id: int
    name: str
    exception_class: str
    reason_code: str | None
    digest: str


def failure_groups(schedules: Schedules, period: timedelta = WEEK) -> Failures:
    """Return in which ways runs of these schedules failed in the last `period`, in three queries.

    A run that was tried again and then finished has not failed.
    """
    now = clock.now()
    since = now - period
    runs = ScheduledTaskInstance.objects.filter(
        of(schedules), status=ScheduledTaskInstance.Status.FAILED, ended__gte=since - period
    )
    newest = _read(runs)
    is_partial = len(newest) > READ_AT_MOST
    places = _places(newest[:READ_AT_MOST])
    groups: dict[tuple[str, Place | None], list[_Failed]] = defaultdict(list)
    for run in newest[:READ_AT_MOST]:
        place, _raised_at = places[run.digest]
        groups[run.exception_class or run.reason_code or "", place].append(run)
    recent = {
        key: some
        for key, failed in groups.items()
        if (some := [run for run in failed if run.ended >= since])
    }
    last_runs = ScheduledTaskInstance.objects.defer("log", "result", "traceback").in_bulk(
        [some[0].pk for some in recent.values()]
    )
    found = [
        _group(
            *(key, some, len(groups[key]), last_runs[some[0].pk]),
            raised_at=places[some[0].digest][1],
        )
        for key, some in recent.items()
        if some[0].pk in last_runs
    ]
    by_size = sorted(found, key=lambda one: (-one.number, one.exception))
    return Failures(since, tuple(by_size), is_partial)


def _read(runs: Any) -> list[_Failed]:
    """Return the newest of these runs, one more than are grouped, without their tracebacks.

    An index says which these are, also of some schedules, so that no others are read.
    """
    newest = runs.order_by("-ended", "-pk").values("pk")[: READ_AT_MOST + 1]
    columns = [name for name in _Failed._fields if name != "digest"]
    rows = ScheduledTaskInstance.objects.filter(pk__in=newest).order_by("-ended", "-pk")
    return list(map(_Failed._make, rows.values_list(*columns, MD5("traceback"))))


def _places(failed: Iterable[_Failed]) -> dict[str, tuple[Place | None, Place | None]]:
    """Return what `places_of` says of each traceback, by its digest: many have the same one."""
    examples = {run.pk: run.digest for run in failed}
    wanted = {digest: pk for pk, digest in examples.items()}
    runs = ScheduledTaskInstance.objects.filter(pk__in=wanted.values()).order_by()
    traces = runs.values_list("pk", Right("traceback", TRACEBACK_END))
    places = {examples[pk]: places_of(trace) for pk, trace in traces}
    return dict.fromkeys(wanted, (None, None)) | places


def _group(
    key: tuple[str, Place | None],
    recent: list[_Failed],
    number_of_all: int,
    last_run: ScheduledTaskInstance,
    *,
    raised_at: Place | None,
) -> FailureGroup:
    ends = [run.ended for run in recent]
    return FailureGroup(
        exception=key[0],
        place=key[1],
        raised_at=raised_at,
        number=len(recent),
        before=number_of_all - len(recent),
        first=min(ends),
        last=max(ends),
        last_run=last_run,
        schedules={run.parent_id: run.name for run in recent},
        runs=tuple((run.pk, run.ended) for run in recent),
    )


def place_of(traceback: str) -> Place | None:
    """Return the innermost place of the site's own code in a traceback.

    If all of it is the code of others, the innermost place of all; None if it names none. Of an
    exception that was raised while another one was handled, it is the last one's.
    """
    return places_of(traceback)[0]


def places_of(traceback: str) -> tuple[Place | None, Place | None]:
    """Return what `place_of` does, and the innermost place of all if that is another one."""
    frames = [
        Place(match["file"], int(match["line"]), match["function"])
        for match in FRAME.finditer(traceback)
    ][::-1]
    innermost = frames[0] if frames else None
    place = next((frame for frame in frames if origin_of(frame.file) is Origin.OWN), innermost)
    return place, None if innermost == place else innermost
