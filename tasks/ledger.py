"""Keeps the books: what is in Redis agrees with the rows, and each due instant has its row.

The scheduler that leads calls `Housekeeper.tick` about once a second, in a thread of its own.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice, zip_longest
from typing import Any, cast

from django.db import Error, close_old_connections, connection
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError, ResponseError

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
# How often a round of reconciliation begins at most, and for how long it goes on without a pause
# when it hurries, in seconds.
ROUND_EVERY = 10.0
ROUND_AT_ONCE = 5.0
# How many due instants of one schedule are looked at in one go.
DUES_AT_ONCE = 10_000


class Housekeeper:
    """The leader's regular work; every part can be stopped at any line and done again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reconciler = Reconciler(redis)
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
            ("projection", 0, self._reconciler.tick),
            ("lost runs", 2.0, lambda: rescue.close_lost_runs(self._redis, self._lost)),
            ("lost jobs", 10.0, lambda: rescue.enqueue_lost_jobs(self._redis, self._lost_jobs)),
            ("books", 10.0, lambda: balance(self._redis, self._holes)),
            ("retention", 60.0, prune),
        ]
        for name, every, work in parts:
            if time.monotonic() < self._next.get(name, 0):
                continue
            try:
                work()
            except Exception:
                logger.exception("The ledger's work on %s failed; it is tried again.", name)
            self._next[name] = time.monotonic() + every


class Reconciler:
    """Makes Redis hold what the rows say, in rounds over all rows and all members, bit by bit.

    A round is made at once at the start, when Redis may have lost something, and after an outage;
    otherwise slowly, so that its cost is bounded however many schedules there are.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._round: Iterator[None] | None = None
        self._began = 0.0
        self._hurries = True
        # What the marker said at the end of the last whole round, and which server it was.
        self._seen: tuple[bytes | None, Any] | None = None

    def tick(self) -> None:
        """Go on with the round for a moment; begin one when it is time."""
        try:
            self._go_on()
        except (RedisError, Error):
            self._hurries, self._round = True, None
            raise

    def _go_on(self) -> None:
        if self._seen is not None and self._look() != self._seen:
            logger.warning("Redis is not as it was left: all schedules are looked at.")
            self._hurries, self._round, self._seen = True, None, None
        if self._round is None:
            if not self._hurries and time.monotonic() < self._began + ROUND_EVERY:
                return
            self._round, self._began = self._make_round(), time.monotonic()
        until = time.monotonic() + (ROUND_AT_ONCE if self._hurries else 0)
        for _ in self._round:
            if time.monotonic() >= until:
                return
        self._round = None

    def whole_round(self) -> None:
        """Make a whole round at once."""
        for _ in self._make_round():
            pass

    def _make_round(self) -> Iterator[None]:
        """Reconcile chunk by chunk. What was lost meanwhile shows in the marker at the end."""
        mark = secrets.token_hex(8).encode()
        if self._redis.get(projection.MARKER_KEY) is None:
            self._redis.set(projection.MARKER_KEY, mark)
        else:
            mark = cast(bytes, self._redis.get(projection.MARKER_KEY))
        steps = zip_longest(_project_live(self._redis), _remove_strays(self._redis))
        for _ in steps:
            yield
        if self._redis.get(projection.MARKER_KEY) == mark:
            self._redis.set(projection.MARKER_KEY, secrets.token_hex(8))
            self._seen, self._hurries = self._look(), False

    def _look(self) -> tuple[bytes | None, Any]:
        """Return what is not the same when Redis has been emptied, restored or replaced."""
        marker = cast(bytes | None, self._redis.get(projection.MARKER_KEY))
        try:
            return marker, self._redis.info("server").get("run_id")
        except ResponseError:  # Not everybody may ask for it.
            return marker, None


def reconcile(redis: Redis) -> None:
    """Make Redis hold exactly the live schedules of the database.

    What Redis has right already isn't touched. A row that can't be scheduled is taken out and
    says why in `problem`; it comes back by itself when the cause is gone.
    """
    Reconciler(redis).whole_round()


def _project_live(redis: Redis) -> Iterator[None]:
    """Project the live rows of which Redis doesn't have what they say, chunk by chunk."""
    last = 0
    live = ScheduledTask.objects.live().order_by("pk")
    while chunk := list(live.filter(pk__gt=last)[:CHUNK]):
        last = chunk[-1].pk
        project_all(_out_of_date(chunk, redis), redis)
        yield


def _remove_strays(redis: Redis) -> Iterator[None]:
    """Take out of Redis the schedules that have no live row, chunk by chunk."""
    cursor = -1
    while cursor != 0:
        cursor, entries = cast(
            tuple[int, list[tuple[bytes, float]]],
            redis.zscan(projection.SCHEDULES_KEY, max(cursor, 0), count=CHUNK),
        )
        members = {member.decode(errors="replace") for member, _ in entries}
        _remove_stray({member for member in members if is_template(member)}, redis)
        yield


def _remove_stray(members: set[str], redis: Redis) -> None:
    # Read after the members: a schedule that is made now has its row before it is in Redis.
    rows = ScheduledTask.objects.live()
    stray = members - set(rows.filter(job_id__in=members).values_list("job_id", flat=True))
    if stray:
        projection.remove(stray, redis)
        # One may have been resumed between the look and the removal.
        project_all(rows.filter(job_id__in=stray), redis)


def project(task: ScheduledTask, redis: Redis) -> str:
    """Put a schedule in Redis as its row says; return (and note on the row) why that can't be.

    `task` is the row as just read. Raises RedisError if Redis is away.
    """
    return project_all([task], redis)[task.pk]


def project_all(tasks: Iterable[ScheduledTask], redis: Redis) -> dict[int, str]:
    """Put schedules in Redis as their rows say; return their problems by primary key.

    Whoever changes a row projects it after the commit, and every projection looks at the rows
    again afterwards: so the last one to write Redis has written what the row says, whichever came
    first. Raises RedisError if Redis is away.
    """
    problems: dict[int, str] = {}
    pending = {task.pk: task for task in tasks}
    while pending:
        problems |= _project_as_read(list(pending.values()), redis)
        states = ScheduledTask.objects.filter(pk__in=pending).values_list("pk", "updated", "status")
        now = {pk: (updated, status in ScheduledTask.LIVE) for pk, updated, status in states}
        deleted = [task for pk, task in pending.items() if pk not in now]
        projection.remove([task.job_id for task in deleted], redis)
        problems |= {task.pk: "" for task in deleted}
        changed = [
            pk for pk, state in now.items() if state != (pending[pk].updated, pending[pk].is_live)
        ]
        pending = ScheduledTask.objects.in_bulk(changed)
    return problems


def _project_as_read(tasks: Sequence[ScheduledTask], redis: Redis) -> dict[int, str]:
    problems = {task.pk: "" for task in tasks}
    images: list[projection.Image] = []
    gone = [task.job_id for task in tasks if not task.is_live]
    for task in tasks:
        if not task.is_live:
            continue
        try:
            images.append(projection.image(task))
        except (RedisError, Error):
            raise
        except Exception as error:
            known_kind = isinstance(error, TasksError)
            problem = str(error) if known_kind else f"{type(error).__name__}: {error}"
            problems[task.pk] = outcome.clean_text(problem)[:1000]
            gone.append(task.job_id)
            logger.exception("Schedule “%s” can't be scheduled.", task.name)
    projection.put_images(images, redis)
    projection.remove(gone, redis)
    for task in tasks:
        if task.problem != problems[task.pk]:
            task.problem = problems[task.pk]
            ScheduledTask.objects.filter(pk=task.pk).update(problem=task.problem)
    return problems


def _out_of_date(tasks: Sequence[ScheduledTask], redis: Redis) -> list[ScheduledTask]:
    """Return those of which Redis doesn't have the text, the moment and the template."""
    ids = [task.job_id for task in tasks]
    with redis.pipeline(transaction=False) as pipe:
        pipe.hmget(projection.TEXTS_KEY, ids)
        pipe.zmscore(projection.SCHEDULES_KEY, ids)
        pipe.exists(*(Job.key_for(job_id) for job_id in ids))
        texts, moments, templates = pipe.execute()
    there = [True] * len(ids) if templates == len(ids) else _exist(ids, redis)
    return [
        task
        for task, text, moment, template in zip(tasks, texts, moments, there, strict=True)
        if task.problem or not template or not _is_projected(task, text, moment)
    ]


def _is_projected(task: ScheduledTask, text: bytes | None, moment: float | None) -> bool:
    try:
        registry.get(task.function)
        if text is None or text != projection.dispatch_text(task).encode():
            return False
        return moment is not None or spec.next_due(task.spec(), task.accounted_until) is None
    except Exception:  # `project` says on the row what it is
        return False


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


def record_not_run(plans: Mapping[str, catchup.Plan], redis: Redis) -> None:
    """Write the rows of what won't run, for many schedules by their job ids.

    What Redis has a job of did run, or will. Existing rows stay as they are.
    """
    rows = {task.job_id: task for task in ScheduledTask.objects.filter(job_id__in=list(plans))}
    runs: list[ScheduledTaskInstance] = []
    for job_id, task in rows.items():
        reasons = _reasons(task, plans[job_id])
        for due in are_known(job_id, list(reasons), redis):
            del reasons[due]
        runs += _missed_runs(task, reasons)
        if len(runs) >= CHUNK:
            _write(runs)
            runs = []
    _write(runs)


def record_missed(task: ScheduledTask, plan: catchup.Plan) -> None:
    """Write the rows of occurrences that will not run; existing rows stay as they are."""
    _write_missed(task, _reasons(task, plan))


def _reasons(task: ScheduledTask, plan: catchup.Plan) -> dict[datetime, str]:
    late = f"It could not start within its start deadline of {task.start_deadline} s."
    missed = f"It could not be dispatched in time (catch-up: {task.catch_up})."
    return dict.fromkeys(plan.late, late) | dict.fromkeys(plan.missed, missed)


def _write_missed(task: ScheduledTask, reasons: dict[datetime, str]) -> None:
    _write(_missed_runs(task, reasons))


def _missed_runs(task: ScheduledTask, reasons: dict[datetime, str]) -> list[ScheduledTaskInstance]:
    now = timezone.now()
    return [
        ScheduledTaskInstance(
            parent=task,
            name=task.name,
            due=due,
            status=ScheduledTaskInstance.Status.MISSED,
            reason=reason,
            ended=now,
        )
        for due, reason in reasons.items()
    ]


def _write(runs: list[ScheduledTaskInstance]) -> None:
    ScheduledTaskInstance.objects.bulk_create(runs, batch_size=CHUNK, ignore_conflicts=True)


def database_answers() -> bool:
    """Tell whether the database can be asked."""
    try:
        close_old_connections()
        connection.ensure_connection()
    except Error:
        return False
    return True


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
