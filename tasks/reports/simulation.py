"""What-if: what the coming days would be like, by the specs and by how long runs have taken.

`simulate` is pure. It plays the coming occurrences through the workers there are: each starts on
the first free worker of its queue, in the order of their dues, and takes as long as the median of
its schedule's runs. A worker that runs coroutines side by side is free for these as long as it runs
fewer than it may, whatever its other child does. What is due every few seconds isn't played one by
one: it is a steady load of its workers. Manual runs, background calls, retries and failures aren't
played, and limits (`max_concurrent`) don't count.
"""

import dataclasses
import heapq
import math
import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

from django.db.models import QuerySet

from tasks import clock
from tasks.broker.enqueue import kind_of
from tasks.exceptions import SpecError
from tasks.job import COROUTINE
from tasks.models import ScheduledTask
from tasks.reports.in_redis import WorkerSeen
from tasks.reports.scope import Schedules
from tasks.reports.weeks import with_week
from tasks.timing import spec as specs
from tasks.timing.instants import MICROSECOND
from tasks.timing.spec import Spec

# Loads are given for slots of this length.
SLOT = timedelta(minutes=5)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
# How many occurrences are played; what comes later isn't, and the simulation says until when it is.
PLAYED_AT_MOST = 200_000
# What is due more often than this, in seconds, is a steady load.
STEADY = 60
# What a schedule without finished runs is taken to need.
UNKNOWN = timedelta(seconds=1)
# A slot in which workers are busy for at least this share of the time is full.
FULL = 0.9
SUGGESTED = 3
# What is read of a schedule.
READ = (
    *ScheduledTask.SPEC_FIELDS,
    *("job_id", "name", "function", "queue", "overlap", "jitter", "exclude", "calendar__dates"),
    *("on_disconnect", "isolated"),
)


class Every(StrEnum):
    """How often a new job is to run."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def period(self) -> timedelta:
        """The time after which it repeats."""
        return {Every.HOUR: HOUR, Every.DAY: DAY, Every.WEEK: WEEK}[self]


@dataclass(frozen=True, slots=True)
class Planned:
    """A schedule as it is played. `takes` is how long a run takes; `is_known` if that is measured.

    `may_overlap` says whether a run may start while the one before is going on, and `kind` whether
    its runs can go on side by side in one process (`tasks.job.COROUTINE`, or "").
    """

    pk: int
    name: str
    queue: str
    spec: Spec
    takes: timedelta = UNKNOWN
    is_known: bool = True
    may_overlap: bool = False
    function: str = ""
    kind: str = ""

    @property
    def is_steady(self) -> bool:
        """Whether it is due so often that its runs aren't played one by one."""
        return self.spec.interval is not None and self.spec.interval < STEADY


@dataclass(frozen=True, slots=True)
class PlayedWorker:
    """A worker as it is played: its queues, and how many coroutines it runs side by side."""

    queues: tuple[str, ...]
    concurrency: int = 0


@dataclass(slots=True)
class Outlook:
    """What would come of one schedule: how many runs, how many of its dues find one going on."""

    planned: Planned
    runs: int = 0
    overlaps: int = 0
    longest_wait: timedelta = timedelta(0)
    longest_wait_at: datetime | None = None


@dataclass(slots=True)
class QueueLoad:
    """What would come of one queue.

    `busy` is, for each slot, for what share of it the workers that serve the queue are busy, with
    whatever queue's runs: 0 to 1; for the kind of runs that has the least room, and `busy_by_kind`
    for each. Without a worker nothing of it is run, and it is empty. `room` is how many runs of a
    kind go on at a time.
    """

    name: str
    workers: int
    runs: int = 0
    work: timedelta = timedelta(0)
    longest_wait: timedelta = timedelta(0)
    longest_wait_at: datetime | None = None
    busy: Sequence[float] = ()
    busy_by_kind: Mapping[str, Sequence[float]] = field(default_factory=dict)
    room: Mapping[str, int] = field(default_factory=dict)

    @property
    def peak(self) -> float:
        """The largest share of a slot."""
        return max(self.busy, default=0.0)


@dataclass(frozen=True, slots=True)
class Slot:
    """A time for a new job, as an offset in its period, and how busy the workers are then at most.

    `first` is the first such time.
    """

    first: datetime
    busy: float


@dataclass(frozen=True, slots=True)
class Simulation:
    """The days from `begin` to `end`, as they would be."""

    begin: datetime
    end: datetime
    is_whole: bool
    queues: Mapping[str, QueueLoad]
    outlooks: Sequence[Outlook] = field(default_factory=tuple)

    @property
    def overlapping(self) -> list[Outlook]:
        """Those of whose dues some find the run before still going on, most first."""
        found = [one for one in self.outlooks if one.overlaps]
        return sorted(found, key=lambda one: (-one.overlaps, one.planned.name))

    def full_hours(self, queue: str) -> list[datetime]:
        """Return the hours in which the workers of a queue have hardly any time left."""
        per_hour = HOUR // SLOT
        busy = self.queues[queue].busy
        return [
            self.begin + index * SLOT
            for index in range(0, len(busy), per_hour)
            if _mean(busy[index : index + per_hour]) >= FULL
        ]

    def emptiest(self, queue: str, takes: timedelta, every: Every) -> list[Slot]:
        """Return the best times for a new job that takes so long, emptiest first.

        A time is as busy as the busiest of the slots that the job would need, in any of its
        periods. The times are apart from each other; there are none without a worker.
        """
        busy = self.queues[queue].busy if queue in self.queues else ()
        needed, in_period = max(-(-takes // SLOT), 1), every.period // SLOT
        rated = sorted(
            (_worst(busy, start, needed, in_period), start)
            for start in range(min(in_period, len(busy)))
        )
        chosen: list[tuple[float, int]] = []
        for worst, start in rated:
            if all(_apart(start, other, in_period) > needed for _, other in chosen):
                chosen.append((worst, start))
        return [Slot(self.begin + start * SLOT, worst) for worst, start in chosen[:SUGGESTED]]


def simulate(
    planned: Iterable[Planned],
    workers: Sequence[PlayedWorker],
    begin: datetime,
    days: int = 7,
    at_most: int = PLAYED_AT_MOST,
) -> Simulation:
    """Play what is due in the coming days; `begin` is rounded down to an hour."""
    begin = begin.replace(minute=0, second=0, microsecond=0)
    return _simulate(planned, workers, begin, begin + days * DAY, at_most)


def simulate_beside(
    planned: Iterable[Planned], workers: Sequence[PlayedWorker], other: Simulation
) -> Simulation:
    """Play another plan for the very span of a simulation, so that the two can be compared."""
    # What is due at the end of one that was cut off wasn't played.
    until = other.end if other.is_whole else other.end - MICROSECOND
    played = _simulate(planned, workers, other.begin, until)
    return dataclasses.replace(played, end=other.end, is_whole=other.is_whole)


def _simulate(
    planned: Iterable[Planned],
    workers: Sequence[PlayedWorker],
    begin: datetime,
    end: datetime,
    at_most: float = math.inf,
) -> Simulation:
    schedules = list(planned)
    play = _Play(workers, begin, -(-(end - begin) // SLOT))
    outlooks = {one.pk: Outlook(one) for one in schedules}
    is_whole, number = True, 0
    punctual = [one for one in schedules if not one.is_steady]
    # What is due at the same time is played as a whole, or not at all.
    for due, group in groupby(_dues(punctual, begin, end), key=itemgetter(0)):
        together = [one for _due, one in group]
        if number and number + len(together) > at_most:
            is_whole, end = False, due
            break
        number += len(together)
        for one in together:
            play.run(due, outlooks[one.pk])
    slots = -(-(end - begin) // SLOT)
    for one in schedules:
        if one.is_steady:
            play.run_steadily(outlooks[one.pk], end - begin)
    return Simulation(begin, end, is_whole, play.loads(schedules, slots), tuple(outlooks.values()))


def _dues(
    schedules: Iterable[Planned], begin: datetime, end: datetime
) -> Iterator[tuple[datetime, Planned]]:
    def of(one: Planned) -> Iterator[tuple[datetime, Planned]]:
        with suppress(SpecError):  # It says so on its row (R7).
            yield from ((due, one) for due in specs.dues(one.spec, begin, end))

    return heapq.merge(*map(of, schedules), key=itemgetter(0))


class _Child:
    """A worker's child: how busy it is in each slot, and when it is free again.

    `free` is a heap of such times, one for each run that it can have at a time.
    """

    def __init__(self, begin: datetime, slots: int, room: int = 1) -> None:
        self._begin = begin
        self.room = room
        self.free = [begin] * room
        self.busy = [0.0] * slots

    def run(self, due: datetime, takes: timedelta) -> datetime:
        """Take a run that is due as soon as there is room; return when it starts."""
        started = max(due, self.free[0])
        heapq.heapreplace(self.free, started + takes)
        at, left = started - self._begin, takes
        while left and (index := at // SLOT) < len(self.busy):
            part = min(left, (index + 1) * SLOT - at)
            self.busy[index] += part / SLOT / self.room
            at, left = at + part, left - part
        return started

    def run_steadily(self, share: float) -> None:
        """Be busy with something for this share of the time."""
        self.busy = [min(busy + share, 1.0) for busy in self.busy]


class _Play:
    """The workers, as they take one run after the other."""

    def __init__(self, workers: Sequence[PlayedWorker], begin: datetime, slots: int) -> None:
        self._begin = begin
        # Which children take a kind of runs from a queue.
        self._serving: dict[tuple[str, str], list[_Child]] = defaultdict(list)
        for worker in workers:
            alone = beside = _Child(begin, slots)
            if worker.concurrency:
                beside = _Child(begin, slots, worker.concurrency)
            for queue in worker.queues:
                self._serving[queue, ""].append(alone)
                self._serving[queue, COROUTINE].append(beside)
        self._ends: dict[int, datetime] = {}
        self._loads: dict[str, QueueLoad] = {}

    def run(self, due: datetime, outlook: Outlook) -> None:
        """Start what is due as soon as a worker is free; or skip it, if the one before goes on."""
        one, load = outlook.planned, self._load(outlook.planned.queue)
        is_going_on = due < self._ends.get(one.pk, self._begin)
        outlook.overlaps += is_going_on
        if is_going_on and not one.may_overlap:
            return
        outlook.runs += 1
        load.runs += 1
        load.work += one.takes
        serving = self._serving.get((one.queue, one.kind))
        if not serving:
            return
        started = min(serving, key=lambda child: child.free[0]).run(due, one.takes)
        self._ends[one.pk] = started + one.takes
        for about in (outlook, load):
            if started - due > about.longest_wait:
                about.longest_wait, about.longest_wait_at = started - due, due

    def run_steadily(self, outlook: Outlook, span: timedelta) -> None:
        """Have the workers of its queue share the runs of a schedule that is due all the time."""
        one, load = outlook.planned, self._load(outlook.planned.queue)
        interval = timedelta(seconds=one.spec.interval or STEADY)
        outlook.runs = span // interval
        load.runs += outlook.runs
        load.work += outlook.runs * one.takes
        serving = self._serving.get((one.queue, one.kind), [])
        room = sum(child.room for child in serving)
        for child in serving:
            child.run_steadily(min(one.takes / interval, room) / room)

    def loads(self, schedules: Iterable[Planned], slots: int) -> dict[str, QueueLoad]:
        """Return what came of each queue that is used or served."""
        served = {queue for queue, _kind in self._serving}
        for queue in served | {one.queue for one in schedules}:
            load = self._load(queue)
            if queue in served:
                children = {kind: self._serving[queue, kind] for kind in ("", COROUTINE)}
                load.room = {kind: sum(one.room for one in its) for kind, its in children.items()}
                load.busy_by_kind = {kind: _shares(its, slots) for kind, its in children.items()}
                load.busy = [max(pair) for pair in zip(*load.busy_by_kind.values(), strict=True)]
        return dict(sorted(self._loads.items()))

    def _load(self, queue: str) -> QueueLoad:
        if queue not in self._loads:
            self._loads[queue] = QueueLoad(queue, len(self._serving.get((queue, ""), ())))
        return self._loads[queue]


def _shares(children: Sequence[_Child], slots: int) -> list[float]:
    """Return for each slot how much of the room of these children is taken."""
    room = sum(child.room for child in children)
    columns = zip(*(child.busy[:slots] for child in children), strict=True)
    rooms = [child.room for child in children]
    return [sum(map(operator.mul, column, rooms)) / room for column in columns]


def played(workers: Iterable[WorkerSeen]) -> list[PlayedWorker]:
    """Return the workers that there are now, as they are played."""
    return [PlayedWorker(worker.queues, worker.concurrency) for worker in workers]


def read_planned(schedules: Schedules) -> list[Planned]:
    """Return the live schedules as they are played, by the median durations of the last 7 days."""
    live = with_week(cast(Any, schedules.filter(status__in=ScheduledTask.LIVE)))
    rows: QuerySet[Any] = live.select_related("calendar")
    found = []
    for one in rows.only(*READ):
        with suppress(SpecError):  # It says so on its row (R7).
            found.append(_planned(one, one.spec()))
    return found


def _planned(one: Any, spec: Spec) -> Planned:
    return Planned(
        pk=one.pk,
        name=one.name,
        queue=one.queue,
        spec=spec,
        takes=one.week_p50 or UNKNOWN,
        is_known=one.week_p50 is not None,
        may_overlap=one.overlap != ScheduledTask.Overlap.SKIP,
        function=one.function,
        kind=kind_of(one),
    )


def simulate_schedules(
    schedules: Schedules, workers: Sequence[PlayedWorker], days: int = 7
) -> Simulation:
    """Play what the live ones of these schedules have due in the coming days."""
    return simulate(read_planned(schedules), workers, clock.now(), days)


def _worst(busy: Sequence[float], start: int, needed: int, period: int) -> float:
    starts = range(start, len(busy), period)
    return max(max(busy[at : at + needed]) for at in starts)


def _apart(one: int, other: int, period: int) -> int:
    """Return how many slots are between two of a period, which begins again at its end."""
    distance = abs(one - other)
    return min(distance, period - distance)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
