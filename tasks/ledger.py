"""Keeps the books: what is in Redis agrees with the rows, and each due instant has its row.

The scheduler that leads calls `Housekeeper.tick` about once a second, in a thread of its own.
"""

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, cast

from django.db import Error, close_old_connections
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from tasks import catchup, outcome, projection, registry, rescue, spec, spool
from tasks.exceptions import SpecError, TasksError
from tasks.job import Job, RunId, is_template
from tasks.models import (
    ScheduledTask,
    ScheduledTaskInstance,
)

logger = logging.getLogger(__name__)

# An occurrence that was due less long ago is still under way, not a hole.
SETTLING = timedelta(seconds=30)
CHUNK = 500
# How many due instants of one schedule are looked at in one go.
DUES_AT_ONCE = 10_000


class Housekeeper:
    """The leader's regular work; every part can be stopped at any line and done again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lost = rescue.Watch()
        self._lost_jobs = rescue.Watch()
        self._holes = rescue.Watch()
        self._next: dict[str, float] = {}

    def tick(self) -> None:
        """Do what is due of the regular work; one part's failure doesn't stop the others.

        Raises nothing: what goes wrong is logged and tried again at the next tick.
        """
        close_old_connections()
        parts: list[tuple[str, float, Callable[[], Any]]] = [
            ("spool", 0.5, lambda: spool.drain(self._redis)),
            ("projection", 10.0, lambda: reconcile(self._redis)),
            ("lost runs", 2.0, lambda: rescue.close_lost_runs(self._redis, self._lost)),
            ("lost jobs", 10.0, lambda: rescue.enqueue_lost_jobs(self._redis, self._lost_jobs)),
            ("books", 10.0, lambda: balance(self._redis, self._holes)),
            ("retention", 60.0, prune),
        ]
        if not self._redis.exists(projection.MARKER_KEY):
            self._next.clear()
        for name, every, work in parts:
            if time.monotonic() < self._next.get(name, 0):
                continue
            try:
                work()
            except Exception:
                logger.exception("The ledger's work on %s failed; it is tried again.", name)
            self._next[name] = time.monotonic() + every


def reconcile(redis: Redis) -> None:
    """Make Redis hold exactly the live schedules of the database, and all waiting calls.

    What Redis has right already isn't touched. A row that can't be scheduled is taken out and
    says why in `problem`; it comes back by itself when the cause is gone.
    """
    live: set[str] = set()
    tasks = ScheduledTask.objects.live().order_by("pk")
    for chunk in _chunks(tasks.iterator(CHUNK), CHUNK):
        live |= {task.job_id for task in chunk}
        for task in _out_of_date(chunk, redis):
            project(task, redis)
    known = {
        member.decode()
        for member, _ in cast(
            Iterable[tuple[bytes, float]], redis.zscan_iter(projection.SCHEDULES_KEY)
        )
        if is_template(member.decode(errors="replace"))
    }
    for stray in _chunks(known - live, CHUNK):
        # A schedule made since the rows were read is not a stray one.
        made = ScheduledTask.objects.live().filter(job_id__in=stray)
        projection.remove(set(stray) - set(made.values_list("job_id", flat=True)), redis)
    redis.set(projection.MARKER_KEY, 1)


def project(task: ScheduledTask, redis: Redis) -> str:
    """Put a schedule in Redis as its row says; return (and note on the row) why that can't be.

    `task` is the row as just read. Whoever changes a row projects it after the commit, and every
    projection looks at the row again afterwards: so the last one to write Redis has written what
    the row says, whichever came first. Raises RedisError if Redis is away.
    """
    while True:
        _project_as_read(task, redis)
        current = ScheduledTask.objects.filter(pk=task.pk).first()
        if current is None:
            projection.remove([task.job_id], redis)
            return ""
        if (current.updated, current.is_live) == (task.updated, task.is_live):
            return task.problem
        task = current


def _project_as_read(task: ScheduledTask, redis: Redis) -> None:
    problem = ""
    try:
        if task.is_live:
            projection.put(task, redis)
        else:
            projection.remove([task.job_id], redis)
    except (RedisError, Error):
        raise
    except Exception as error:
        known_kind = isinstance(error, TasksError)
        problem = str(error) if known_kind else f"{type(error).__name__}: {error}"
        problem = outcome.clean_text(problem)[:1000]
        projection.remove([task.job_id], redis)
        logger.exception("Schedule “%s” can't be scheduled.", task.name)
    if task.problem != problem:
        task.problem = problem
        ScheduledTask.objects.filter(pk=task.pk).update(problem=problem)


def _out_of_date(tasks: list[ScheduledTask], redis: Redis) -> list[ScheduledTask]:
    """Return those of which Redis doesn't have the template as it should be, or no moment."""
    with redis.pipeline(transaction=False) as pipe:
        for task in tasks:
            pipe.hmget(
                Job.key_for(task.job_id), projection.DISPATCH_FIELD, projection.CONTENT_FIELD
            )
            pipe.zscore(projection.SCHEDULES_KEY, task.job_id)
        answers = pipe.execute(raise_on_error=False)
    return [
        task
        for task, fields, moment in zip(tasks, answers[::2], answers[1::2], strict=True)
        if task.problem or not _is_projected(task, fields, moment)
    ]


def _is_projected(task: ScheduledTask, fields: Any, moment: Any) -> bool:
    try:
        registry.get(task.function)
        wanted = [projection.dispatch_field(task), projection.content_digest(task)]
        is_over = spec.next_due(task.spec(), task.accounted_until) is None
    except Exception:  # `project` says on the row what it is
        return False
    return fields == [value.encode() for value in wanted] and (moment is not None or is_over)


def balance(redis: Redis, watch: rescue.Watch) -> None:
    """Close the books of every live schedule, as far as they are complete.

    A due instant of half a minute ago or more without a row, whose job isn't in Redis either, is
    a hole: once that is certain, it is run or recorded as missed, by the catch-up policy. A
    schedule without anything left to be due, or to run, is over: `death`.
    """
    now = timezone.now()
    holes: dict[int, list[datetime]] = {}
    for task in ScheduledTask.objects.live().order_by("pk").iterator(CHUNK):
        try:
            unrecorded = _close_books(task, now, redis)
        except (RedisError, Error):
            raise
        except Exception:
            continue  # `reconcile` says so on the row.
        overdue = [due for due in unrecorded if due < now - SETTLING]
        if overdue:
            holes[task.pk] = _not_in_flight(task, overdue, redis)
    certain = set(watch.confirmed((pk, due) for pk, dues in holes.items() for due in dues))
    for pk, dues in holes.items():
        try:
            fill([due for due in dues if (pk, due) in certain], pk, redis)
        except (RedisError, Error):
            raise
        except Exception:
            logger.exception("Lost occurrences of schedule %s can't be made up for yet.", pk)


def _close_books(task: ScheduledTask, now: datetime, redis: Redis) -> list[datetime]:
    """Move a schedule's books forward up to its first due without a row; return those dues."""
    task_spec = task.spec()
    dues = list(islice(spec.dues(task_spec, task.accounted_until, now), DUES_AT_ONCE))
    unrecorded = _unrecorded(task, dues)
    complete = dues[: dues.index(unrecorded[0])] if unrecorded else dues
    if complete:
        ScheduledTask.objects.filter(pk=task.pk, accounted_until=task.accounted_until).update(
            accounted_until=complete[-1]
        )
    all_seen = not unrecorded and len(dues) < DUES_AT_ONCE
    if all_seen and spec.next_due(task_spec, now) is None:
        _end_if_idle(task, redis)
    return unrecorded


def _unrecorded(task: ScheduledTask, dues: list[datetime]) -> list[datetime]:
    if not dues:
        return []
    recorded = set(
        task.runs.filter(due__gte=dues[0], due__lte=dues[-1]).values_list("due", flat=True)
    )
    return [due for due in dues if due not in recorded]


def _end_if_idle(task: ScheduledTask, redis: Redis) -> None:
    """Declare a schedule over that will never be due again and has no run or retry to come."""
    if task.runs.running().exists():
        return
    failed = task.runs.filter(status="failed", attempt__lte=task.retries).select_related("parent")
    if any(rescue.awaits_retry(run) for run in failed):
        return
    ended = ScheduledTask.objects.filter(
        pk=task.pk, status__in=ScheduledTask.LIVE, updated=task.updated
    ).update(status=ScheduledTask.Status.DEATH)
    if ended:
        projection.remove([task.job_id], redis)


def _not_in_flight(task: ScheduledTask, dues: list[datetime], redis: Redis) -> list[datetime]:
    """Return the dues whose job is neither waiting nor being started."""
    states = rescue.in_flight([(RunId(task.job_id, due).job_id, task.queue) for due in dues], redis)
    return [due for due, in_flight in zip(dues, states, strict=True) if not in_flight]


def are_known(schedule_job_id: str, dues: list[datetime], redis: Redis) -> set[datetime]:
    """Return those dues of which Redis has a job, waiting or ended."""
    known = _exist([RunId(schedule_job_id, due).job_id for due in dues], redis)
    return {due for due, exists in zip(dues, known, strict=True) if exists}


def _exist(job_ids: list[str], redis: Redis) -> list[bool]:
    with redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.exists(Job.key_for(job_id))
        return [bool(answer) for answer in pipe.execute()]


def fill(dues: list[datetime], schedule_pk: int, redis: Redis) -> None:
    """Run lost occurrences of a schedule, or record them as missed, by its policies."""
    task = ScheduledTask.objects.live().filter(pk=schedule_pk).first()
    if task is None or not dues:
        return
    now = timezone.now()
    policy = cast(catchup.CatchUp, task.catch_up)
    plan = catchup.plan(dues, now, policy, task.start_deadline)
    record_missed(task, plan)
    for due in plan.run:
        run_id = RunId(task.job_id, due)
        redis.delete(Job.key_for(run_id.job_id))
        projection.enqueue_run(task, run_id, redis)
    logger.warning("%d lost occurrences of “%s” were made up for.", len(dues), task.name)


def record_missed(task: ScheduledTask, plan: catchup.Plan) -> None:
    """Write the rows of occurrences that will not run; existing rows stay as they are."""
    late = f"It could not start within its start deadline of {task.start_deadline} s."
    missed = f"It could not be dispatched in time (catch-up: {task.catch_up})."
    reasons = dict.fromkeys(plan.late, late) | dict.fromkeys(plan.missed, missed)
    _write_missed(task, reasons)


def _write_missed(task: ScheduledTask, reasons: dict[datetime, str]) -> None:
    now = timezone.now()
    ScheduledTaskInstance.objects.bulk_create(
        [
            ScheduledTaskInstance(
                parent=task,
                name=task.name,
                due=due,
                status=ScheduledTaskInstance.Status.MISSED,
                reason=reason,
                ended=now,
            )
            for due, reason in reasons.items()
        ],
        batch_size=CHUNK,
        ignore_conflicts=True,
    )


def settle(
    task: ScheduledTask, until: datetime, reason: str, still_owed: datetime | None = None
) -> None:
    """Close a schedule's books up to `until`, before what it owes changes.

    Due instants without a row are recorded as missed, all but `still_owed`. A job of theirs that
    still waits on its queue finds that row and doesn't run, whatever Redis holds.
    """
    with suppress(SpecError):  # then nothing was owed
        for dues in _chunks(spec.dues(task.spec(), task.accounted_until, until), DUES_AT_ONCE):
            open_dues = [due for due in _unrecorded(task, dues) if due != still_owed]
            _write_missed(task, dict.fromkeys(open_dues, reason))
    task.accounted_until = max(task.accounted_until, until)


def prune() -> None:
    """Delete the ended runs that their schedule doesn't keep any more."""
    kept = ScheduledTask.objects.exclude(keep_runs=None, keep_days=None)
    for task in kept.only("pk", "keep_runs", "keep_days").iterator(CHUNK):
        old = task.runs.ended().filter(due__lte=task.accounted_until) | task.runs.ended().filter(
            due=None
        )
        if task.keep_days is not None:
            cutoff = timezone.now() - timedelta(days=task.keep_days)
            _delete_in_chunks(old.filter(ended__lt=cutoff))
        if task.keep_runs is not None:
            boundary = task.runs.order_by("-id").values_list("id", flat=True)
            oldest_kept = boundary[task.keep_runs - 1 : task.keep_runs].first()
            if oldest_kept is not None:
                _delete_in_chunks(old.filter(id__lt=oldest_kept))


def _delete_in_chunks(rows: Any) -> None:
    while ids := list(rows.order_by("id").values_list("id", flat=True)[:CHUNK]):
        ScheduledTaskInstance.objects.filter(id__in=ids).delete()


def _chunks(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
