"""What waits and what is late: since when, and why."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from tasks import registry
from tasks.broker.connection import connect, once_a_page
from tasks.broker.enqueue import kind_of, kind_of_schedule
from tasks.broker.limits import PLACE_OF_SCHEDULE
from tasks.job import COROUTINE
from tasks.job_ids import RunId
from tasks.ledger.summaries import LATE
from tasks.masking import mask_text
from tasks.models import ScheduledTask
from tasks.reports.any_of import AnyOf
from tasks.reports.holds import read_holds
from tasks.reports.in_redis import ParkedSeen, QueueSeen, Snapshot, read_snapshot
from tasks.reports.scope import NO_CALLS, Calls, Schedules

SHOWN = 20


class Known(NamedTuple):
    """What is read of a schedule: which one it is, and what its kind of runs depends on.

    Hundreds may wait, and every page asks: making Django's models of them all takes longer.
    """

    pk: int
    job_id: str
    name: str
    function: str
    on_disconnect: str
    isolated: bool | None


@dataclass(frozen=True, slots=True)
class Place:
    """Of what only so many run at a time: its name, how many do and may; `most` None if unknown."""

    name: str
    taken: int
    most: int | None

    def __str__(self) -> str:
        if self.most is None:
            return _("As many of %(place)s as may run at a time are running.") % {
                "place": self.name
            }
        return _("It waits for a place: %(taken)d of %(most)d of %(place)s.") % {
            "taken": self.taken,
            "most": self.most,
            "place": self.name,
        }


class Why(StrEnum):
    """Why something waits."""

    PAUSED = "paused"  # Its queue is, or everything.
    SUSPENDED = "suspended"  # All workers are, by RQ's own command.
    NO_WORKER = "no_worker"
    BUSY = "busy"  # All workers of its queue are.
    IN_TURN = "in_turn"  # A worker of its queue is free, and is about to take it.
    PREVIOUS_RUN = "previous_run"
    PLACE = "place"  # Only so many of its function, or of its kind, run at a time.
    RETRY = "retry"  # It failed, and is to be tried again later.
    NOT_DISPATCHED = "not_dispatched"  # No scheduler has put it on its queue.

    def in_words(self, queue: str, place: Place | None = None) -> str:
        """Say it in a sentence; `place` is what it waits for if that is known."""
        texts = {
            Why.PAUSED: _("%(queue)s is paused."),
            Why.SUSPENDED: _("All workers are suspended (rq suspend)."),
            Why.NO_WORKER: _("No worker serves %(queue)s."),
            Why.BUSY: _("No worker of %(queue)s is free."),
            Why.IN_TURN: _("A worker of %(queue)s is about to take it."),
            Why.PREVIOUS_RUN: _("Its previous run is still going."),
            Why.PLACE: str(place or _("It waits for a place.")),
            Why.RETRY: _("It failed and will be tried again."),
            Why.NOT_DISPATCHED: _("No scheduler has put it on its queue."),
        }
        return texts[self] if self is Why.PLACE else texts[self] % {"queue": queue}


class Job(NamedTuple):
    """A job that waits, as its id tells; `due` is None for what nobody scheduled.

    `since` is when it was due, or requested; for a background call, when the first job of its
    queue began to wait. `until` is when it is tried again, if that is known. `why` is for one that
    runs by itself; `why_beside`, if it isn't the same, for one that can run beside others. `place`
    is what it waits for if only so many of that run at a time.
    """

    job_id: str
    run_id: RunId | None
    queue: str
    due: datetime | None
    since: datetime
    why: Why
    until: datetime | None = None
    why_beside: Why | None = None
    place: Place | None = None

    @property
    def schedule_job_id(self) -> str:
        return self.run_id.schedule_job_id if self.run_id else ""

    def why_of(self, kind: str) -> Why:
        """Return why it waits if it is of this kind."""
        return self.why_beside if kind == COROUTINE and self.why_beside else self.why


class Waiting(NamedTuple):
    """What waits: the oldest job of a schedule, of which `number` wait; or a background call.

    `since` is its due, or when it was requested. It is late if its due has passed by more than
    `tasks.ledger.summaries.LATE` and it is not to be tried again.
    """

    name: str
    schedule_pk: int | None
    call_pk: int | None
    queue: str
    due: datetime | None
    since: datetime
    number: int
    is_late: bool
    why: Why
    until: datetime | None = None
    place: Place | None = None

    @property
    def why_in_words(self) -> str:
        return self.why.in_words(self.queue, self.place)


@dataclass(frozen=True, slots=True)
class WaitingList:
    """What waits, the oldest first, at most as many as asked for.

    `waiting` jobs wait in all, and `late_by` says how many schedules are late, by queue and reason.
    If it `is_partial`, there are more: only the first jobs of a very long queue are looked at.
    """

    shown: tuple[Waiting, ...]
    waiting: int
    late_by: Mapping[tuple[str, Why], int]
    is_partial: bool

    @property
    def late(self) -> int:
        """How many schedules are late."""
        return sum(self.late_by.values())


def waiting(
    snapshot: Snapshot, schedules: Schedules, calls: Calls = NO_CALLS, number: int = SHOWN
) -> WaitingList:
    """Return what waits of these schedules and background calls.

    It takes three queries, and none if the page has asked before.
    """
    found = [*_of_schedules(snapshot, schedules)]
    found += once_a_page("waiting calls", lambda: _of_calls(_jobs(snapshot), calls))
    found.sort(key=lambda one: one.since)
    return WaitingList(
        shown=tuple(found[:number]),
        waiting=sum(one.number for one in found),
        late_by=Counter((one.queue, one.why) for one in found if one.is_late),
        is_partial=any(queue.depth > len(queue.job_ids) for queue in snapshot.queues),
    )


def waiting_of(schedules: Iterable[ScheduledTask]) -> dict[int, Waiting]:
    """Return, by primary key, what waits of these schedules; nothing if Redis is unavailable.

    That Redis is unavailable is for the page's health to say.
    """
    try:
        snapshot = read_snapshot(connect())
    except RedisError:
        return {}
    known = {
        one.job_id: Known(*(getattr(one, name) for name in Known._fields)) for one in schedules
    }
    found = _by_schedule(_jobs(snapshot), snapshot.now, known)
    return {one.schedule_pk: one for one in found if one.schedule_pk is not None}


def waiting_calls(calls: Calls) -> dict[int, Waiting]:
    """Return, by primary key, what waits of these calls; nothing if Redis is unavailable."""
    try:
        snapshot = read_snapshot(connect())
    except RedisError:
        return {}
    found = _of_calls(_jobs(snapshot), calls)
    return {one.call_pk: one for one in found if one.call_pk is not None}


def why_waits(run_id: RunId, queue: str) -> str:
    """Say why a run waits for a place or for its previous run; "" if it doesn't."""
    try:
        jobs = _jobs(read_snapshot(connect()))
    except RedisError:
        return ""
    parked = (job for job in jobs if job.why in (Why.PLACE, Why.PREVIOUS_RUN))
    return next((job.why.in_words(queue, job.place) for job in parked if job.run_id == run_id), "")


def late_schedules(schedules: Schedules) -> list[int]:
    """Return which of these schedules are late, by primary key; none if Redis is unavailable."""
    try:
        snapshot = read_snapshot(connect())
    except RedisError:
        return []
    found = _of_schedules(snapshot, schedules)
    return [one.schedule_pk for one in found if one.is_late and one.schedule_pk is not None]


def waiting_jobs(snapshot: Snapshot, held: frozenset[str]) -> Iterator[Job]:
    """Yield the jobs that wait, and why each does. Pure."""
    for queue in snapshot.queues:
        why = why_of_queue(queue.name, snapshot, held)
        beside = why_of_queue(queue.name, snapshot, held, COROUTINE)
        for job_id in queue.job_ids:
            run_id = RunId.parse(job_id)
            since = _since(run_id) or queue.oldest or snapshot.now
            due = None if run_id is None else run_id.due
            yield Job(job_id, run_id, queue.name, due, since, why, why_beside=beside)
        yield from _put_off(queue, snapshot.now)
    for parked in snapshot.parked:
        is_own = parked.place.startswith(PLACE_OF_SCHEDULE)
        why = Why.PREVIOUS_RUN if is_own else Why.PLACE
        place = None if is_own else _place(parked)
        for job_id in parked.job_ids:
            run_id = RunId.parse(job_id)
            due = None if run_id is None else run_id.due
            since = _since(run_id) or snapshot.now
            yield Job(job_id, run_id, "", due, since, why, place=place)
    for schedule_job_id, due in snapshot.undispatched:
        run_id = RunId(schedule_job_id, due)
        yield Job(run_id.job_id, run_id, "", due, due, Why.NOT_DISPATCHED)


def _place(parked: ParkedSeen) -> Place:
    """Return of what only so many run at a time: of a function, or of those that share a key.

    The key is made of arguments, so it isn't shown if any of these are secret (R13).
    """
    name, _colon, key = parked.place.partition(":")
    function = registry.find(name)
    if function is None:
        return Place(name, parked.taken, None)
    if key and not any(map(function.is_secret, function.signature.parameters)):
        name = f"{name} [{mask_text(key)}]"
    return Place(name, parked.taken, function.max_concurrent)


def why_of_queue(name: str, snapshot: Snapshot, held: frozenset[str], kind: str = "") -> Why:
    """Return why the jobs of a queue wait that are of this kind. Pure.

    What can run beside others doesn't wait for a worker that has room beside what it runs.
    """
    if "" in held or name in held:
        return Why.PAUSED
    if snapshot.are_suspended:
        return Why.SUSPENDED
    workers = [worker for worker in snapshot.workers if name in worker.queues]
    if not workers:
        return Why.NO_WORKER
    return Why.IN_TURN if any(worker.has_room(kind) for worker in workers) else Why.BUSY


def _put_off(queue: QueueSeen, now: datetime) -> Iterator[Job]:
    """Yield what waits for a previous run, or for its next attempt; calls are reserved for later.

    An occurrence is put off again and again as long as the previous run goes on.
    """
    for job_id, at in queue.put_off:
        run_id = RunId.parse(job_id)
        since = _since(run_id)
        if run_id is None or since is None:
            continue
        if run_id.attempt > 1:
            yield Job(job_id, run_id, queue.name, run_id.due, since, Why.RETRY, at)
        else:
            yield Job(job_id, run_id, queue.name, run_id.due, since, Why.PREVIOUS_RUN)


def _since(run_id: RunId | None) -> datetime | None:
    """Return when a run was due, or requested: what backfill runs was due long ago."""
    if run_id is None or run_id.is_backfill:
        return None
    return run_id.due or run_id.requested


def _jobs(snapshot: Snapshot) -> list[Job]:
    """Return the jobs that wait, worked out once for a page."""
    return once_a_page("waiting jobs", lambda: list(waiting_jobs(snapshot, read_holds().queues)))


def _of_schedules(snapshot: Snapshot, schedules: Schedules) -> list[Waiting]:
    """Return what waits of these schedules; on a page, read once, they are its viewer's."""

    def read() -> list[Waiting]:
        known = known_waiting(snapshot, schedules)
        return _by_schedule(_jobs(snapshot), snapshot.now, known)

    return once_a_page("waiting schedules", read)


def known_waiting(snapshot: Snapshot, schedules: Schedules) -> dict[str, Known]:
    """Return those of these schedules that wait, by their job ids.

    On a page, read once, they are its viewer's.
    """

    def read() -> dict[str, Known]:
        job_ids = {job.schedule_job_id for job in _jobs(snapshot)} - {""}
        waits = AnyOf("job_id", job_ids)
        rows = schedules.filter(waits).order_by().values_list(*Known._fields)
        return {known.job_id: known for known in map(Known._make, rows)}

    return once_a_page("known waiting", read)


def _by_schedule(jobs: Iterable[Job], now: datetime, known: dict[str, Known]) -> list[Waiting]:
    """Return what waits of each known schedule, by its oldest job."""
    of_schedule: dict[str, list[Job]] = defaultdict(list)
    kind = cache(kind_of_schedule)  # Hundreds may wait, of a few functions.
    for job in jobs:
        if (job_id := job.schedule_job_id) in known:
            of_schedule[job_id].append(job)
    found = []
    for job_id, its in of_schedule.items():
        one = known[job_id]
        kind_of_runs = kind(one.function, one.on_disconnect, one.isolated)
        found.append(_oldest(its, now, one, kind_of_runs))
    return found


def _oldest(jobs: list[Job], now: datetime, schedule: Known, kind: str) -> Waiting:
    late = [job for job in jobs if is_late(job, now)]
    oldest = min(late or jobs, key=lambda job: job.since)
    return Waiting(
        name=schedule.name,
        schedule_pk=schedule.pk,
        call_pk=None,
        queue=oldest.queue,
        due=oldest.due,
        since=oldest.since,
        number=len(jobs),
        is_late=bool(late),
        why=oldest.why_of(kind),
        until=oldest.until,
        place=oldest.place,
    )


def is_late(job: Job, now: datetime) -> bool:
    """Return whether an occurrence should have started by now."""
    if job.run_id is None or job.run_id.is_requested or job.why is Why.RETRY:
        return False
    return job.due is not None and now - job.due > LATE


def _of_calls(jobs: Iterable[Job], calls: Calls) -> list[Waiting]:
    """Return which of these calls are among the jobs; jobs that have no row are RQ's own."""
    others = {job.job_id: job for job in jobs if job.run_id is None}
    rows = calls.filter(job_id__in=others).only("job_id", "name", "created", "function")
    return [
        Waiting(
            name=call.name,
            schedule_pk=None,
            call_pk=call.pk,
            queue=others[call.job_id].queue,
            due=None,
            since=call.created,
            number=1,
            is_late=False,
            why=others[call.job_id].why_of(kind_of(call)),
            place=others[call.job_id].place,
        )
        for call in rows
    ]
