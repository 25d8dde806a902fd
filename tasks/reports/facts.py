"""The facts by which it is judged whether everything is on time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from django.db.models import F, Q
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker.keys import explain
from tasks.job_ids import RunId
from tasks.models import Hold, ScheduledTask, ScheduledTaskInstance, Task
from tasks.queue import usable_queues
from tasks.reports.holds import read_holds
from tasks.reports.in_redis import SchedulerSeen, Snapshot, WorkerSeen, read_snapshot
from tasks.reports.numbers import numbers_of
from tasks.reports.remaining import time_left
from tasks.reports.scope import NO_CALLS, Calls, Schedules, is_everything
from tasks.reports.strips import strips
from tasks.reports.upcoming import next_due
from tasks.reports.waiting import WaitingList, Why, known_waiting, waiting, why_of_queue

# How many runs that go on now are read, and how many of the failing schedules are looked into.
RUNNING_READ = 500
FAILING_SHOWN = 3
# How many of a failing schedule's latest runs are read.
LATEST_READ = 50
# What is read of a failed run: when it was due, why it failed, and what to mask in that.
WHY_IT_FAILED = (
    *("due", "requested", "reason", "reason_code", "reason_values", "arguments"),
    *("parent__function", "parent__args", "parent__kwargs"),
)


@dataclass(frozen=True, slots=True)
class Work:
    """A run, or a background call, that goes on now. `usual` is the median of a week's durations.

    `pk` is that of the run, or of the call if there is no `schedule_pk`; `job_id` that of its job.
    """

    name: str
    pk: int
    schedule_pk: int | None
    worker: str
    started: datetime
    progress: int
    message: str
    usual: timedelta | None
    job_id: str = ""

    def left(self, now: datetime) -> timedelta | None:
        """Return about how long it takes from now on, by its progress and by earlier runs."""
        return time_left(self.progress, now - self.started, self.usual)


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker and what it runs: `work` by itself, what is `beside` each other in its second child.

    What the reader may not see isn't among them, though the worker is busy with it.
    """

    seen: WorkerSeen
    work: Work | None
    beside: tuple[Work, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue: its depth, since when its first job waits and why, and how many workers it has."""

    name: str
    depth: int
    oldest: datetime | None
    why: Why
    workers: int
    busy: int
    hold: Hold | None


@dataclass(frozen=True, slots=True)
class Failing:
    """A schedule whose latest runs failed: how many in a row, and since which due.

    Only the last 50 runs are looked at: if all of these failed, there `may_be_more` before them.
    """

    pk: int
    name: str
    in_a_row: int
    may_be_more: bool
    since: datetime
    last_run: ScheduledTaskInstance


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything by which `tasks.reports.health` judges, about the schedules that are seen.

    `obstacle` is why Redis is unavailable, "" if it isn't; then what only Redis knows is empty, and
    `snapshot` and `waiting` are None. `known` are schedules in any state; `with_problem` are live
    schedules that can't be scheduled, as their rows say.
    """

    now: datetime
    obstacle: str
    snapshot: Snapshot | None
    database_round_trip: timedelta
    workers: tuple[WorkerFacts, ...]
    queues: tuple[QueueFacts, ...]
    waiting: WaitingList | None
    holds: tuple[Hold, ...]
    known: int
    live: int
    paused: int
    failing: int
    with_problem: int
    worst: tuple[Failing, ...]

    @property
    def leader(self) -> SchedulerSeen | None:
        seen = self.snapshot.schedulers if self.snapshot else ()
        return next((one for one in seen if one.leads), None)

    @property
    def standbys(self) -> tuple[SchedulerSeen, ...]:
        seen = self.snapshot.schedulers if self.snapshot else ()
        return tuple(one for one in seen if not one.leads)


def read_facts(redis: Redis, schedules: Schedules, calls: Calls = NO_CALLS) -> Facts:
    """Return the facts about these schedules and calls.

    It takes at most twelve queries and two calls of Redis; three more queries and one more call if
    these aren't all schedules. Raises the database's errors; that Redis is unavailable is one of
    the facts.
    """
    holds, round_trip = read_holds()
    used = None if is_everything(schedules) else queues_of(schedules)
    snapshot, obstacle = _snapshot(redis, schedules, used)
    if used is not None:
        holds = tuple(hold for hold in holds if not hold.queue or hold.queue in used)
    held = {hold.queue: hold for hold in holds}
    works, numbers = running_now(schedules, calls), numbers_of(schedules)
    return Facts(
        now=clock.now(),
        obstacle=obstacle,
        snapshot=snapshot,
        database_round_trip=round_trip,
        workers=tuple(_workers(snapshot, works) if snapshot else ()),
        queues=tuple(_queues(snapshot, held) if snapshot else ()),
        waiting=waiting(snapshot, schedules, calls) if snapshot else None,
        holds=holds,
        worst=worst_failing(schedules),
        known=numbers.known,
        live=numbers.live,
        paused=numbers.by_status[ScheduledTask.Status.PAUSED],
        failing=numbers.by_status[ScheduledTask.Status.FAILED],
        with_problem=numbers.with_problem,
    )


def running_now(schedules: Schedules, calls: Calls = NO_CALLS) -> list[Work]:
    """Return what runs now of these schedules and calls, the oldest first, in two queries."""
    runs = ScheduledTaskInstance.objects.running().filter(
        Q() if is_everything(schedules) else Q(parent__in=schedules.order_by().values("pk"))
    )
    told = ("worker_name", "started", "progress", "progress_message")
    columns = ("name", "pk", "parent_id", *told, "parent__week__p50")
    of_job = ("parent__job_id", "due", "requested", "attempt")
    found: Any = runs.order_by("pk").values_list(*columns, *of_job)[:RUNNING_READ]
    rows: list[Any] = [(*row[:-4], RunId.of_row(*row[-4:]).job_id) for row in found]
    running = calls.filter(status=Task.Status.RUNNING).order_by("pk")
    found = running.values_list("name", "pk", *told, "job_id")[:RUNNING_READ]
    rows += [(name, pk, None, *rest, None, job_id) for name, pk, *rest, job_id in found]
    return [Work(*row) for row in rows]


def _workers(snapshot: Snapshot, works: Sequence[Work]) -> Iterator[WorkerFacts]:
    """Yield the workers with what they run: one with a second child runs by itself what it took."""
    of_worker: dict[str, list[Work]] = defaultdict(list)
    for work in works:
        of_worker[work.worker].append(work)
    for seen in snapshot.workers:
        its = of_worker[seen.name]
        alone = next((work for work in its if work.job_id == seen.job_id), None)
        if seen.concurrency:
            yield WorkerFacts(seen, alone, tuple(work for work in its if work is not alone))
        else:
            yield WorkerFacts(seen, alone or (its[-1] if its else None))


def worst_failing(schedules: Schedules, number: int = FAILING_SHOWN) -> tuple[Failing, ...]:
    """Return the schedules that failed most in the last 7 days and fail now, in three queries."""
    failing = schedules.filter(status=ScheduledTask.Status.FAILED)
    by_number = failing.order_by(F("week__failed").desc(nulls_last=True), "name")
    names = dict(by_number.values_list("pk", "name")[:number])
    failed, whole = {}, set()
    for pk, runs in strips(names, LATEST_READ).items():
        ended = [run for run in runs if run.has_started and run.status != "running"]
        failed[pk] = [run.pk for run in takewhile(lambda run: run.status == "failed", ended)]
        if len(runs) < LATEST_READ or len(failed[pk]) < len(ended):
            whole.add(pk)
    read = {run for runs in failed.values() for run in (*runs[:1], *runs[-1:])}
    with_parent = ScheduledTaskInstance.objects.select_related("parent")
    found = with_parent.only(*WHY_IT_FAILED).in_bulk(read)
    return tuple(
        Failing(pk, names[pk], len(runs), pk not in whole, since, found[runs[0]])
        for pk, runs in failed.items()
        if runs and found.keys() >= {runs[0], runs[-1]} and (since := _at(found[runs[-1]]))
    )


def _at(run: ScheduledTaskInstance) -> datetime | None:
    """Return when a run was due, or requested: it may have been run again since."""
    return run.due or run.requested


def _snapshot(
    redis: Redis, schedules: Schedules, used: frozenset[str] | None
) -> tuple[Snapshot | None, str]:
    try:
        snapshot = read_snapshot(redis)
        return (snapshot if used is None else seen_of(snapshot, redis, schedules, used)), ""
    except RedisError as error:
        return None, explain(error, redis, usable_queues())


def seen_of(
    snapshot: Snapshot, redis: Redis, schedules: Schedules, used: frozenset[str]
) -> Snapshot:
    """Return what Redis says to somebody who sees only these schedules.

    Of the queues that these use, the depth and the oldest wait stay those of all jobs: they are the
    load that these wait behind, and say nothing of whose jobs it is.
    """
    seen = replace(snapshot, queues=tuple(queue for queue in snapshot.queues if queue.name in used))
    own = known_waiting(seen, schedules)
    return replace(
        seen,
        undispatched=tuple(one for one in snapshot.undispatched if one[0] in own),
        next_due=next_due(redis, schedules),
    )


def queues_of(schedules: Schedules) -> frozenset[str]:
    """Return the queues that these schedules use."""
    return frozenset(schedules.order_by().values_list("queue", flat=True).distinct())


def _queues(snapshot: Snapshot, held: dict[str, Hold]) -> Sequence[QueueFacts]:
    found = []
    for queue in snapshot.queues:
        workers = [worker for worker in snapshot.workers if queue.name in worker.queues]
        found.append(
            QueueFacts(
                name=queue.name,
                depth=queue.depth,
                oldest=queue.oldest,
                why=why_of_queue(queue.name, snapshot, frozenset(held), queue.kind),
                workers=len(workers),
                busy=sum(worker.is_busy for worker in workers),
                hold=held.get(queue.name) or held.get(""),
            )
        )
    return found
