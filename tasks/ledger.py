"""Keeps the books: what is in Redis agrees with the rows, and each due instant has its row.

The scheduler that leads calls `Housekeeper.tick` about once a second, in a thread of its own.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, zip_longest
from typing import Any, cast

from django.conf import settings
from django.db import Error, close_old_connections, connection, transaction
from django.db.models import Count, F, Min
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from tasks import books, catchup, key_types, outcome, projection, registry, rescue, spec, spool
from tasks.books import DUES_AT_ONCE, SETTLING
from tasks.exceptions import TasksError
from tasks.job import Job, RunId, is_template
from tasks.models import (
    ScheduledTask,
    ScheduledTaskInstance,
)

logger = logging.getLogger(__name__)

CHUNK = 500
# How many schedules' books are looked at in one go: it should not take long.
BOOKS_AT_ONCE = 200
# How many in a round at most; the next one, a second later, goes on with the others.
BOOKS_A_ROUND = 50_000
# The rows of schedules with so few due instants to look at are asked for together.
FEW = 100
# How long after something was due its books are looked at, and how often while they are open.
LOOK_AGAIN = timedelta(seconds=5)
# How long no schedule's books stay unlooked at, and those of a row whose spec can't be.
LOOK_AT_LEAST = timedelta(hours=1)
LOOK_AT_BROKEN = timedelta(minutes=1)
# For how long one part of the regular work on many rows may take in one tick, in seconds.
TIME_SLICE = 0.2
# How often a round of reconciliation begins at most, and for how long it goes on without a pause
# when it hurries, in seconds.
ROUND_EVERY = 10.0
ROUND_AT_ONCE = 5.0
# Columns that Redis isn't told of, and that take long to read for very many rows.
NOT_PROJECTED = (
    "created",
    "description",
    "fingerprint",
    "look_at",
    "note",
    "paused_at",
    "pruned_until",
    "since",
)


class Housekeeper:
    """The leader's regular work; every part can be stopped at any line and done again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        lost, lost_jobs, lost_dues = rescue.Watch(), rescue.Watch(), rescue.Watch()
        self._parts = [
            _Part(redis, "spool", 0.5, lambda: spool.drain(redis)),
            _Part(redis, "projection", 0.0, Reconciler(redis).tick),
            _Part(redis, "lost runs", 2.0, lambda: rescue.close_lost_runs(redis, lost)),
            _Part(redis, "lost jobs", 10.0, lambda: rescue.enqueueing_lost_jobs(redis, lost_jobs)),
            _Part(redis, "books", 1.0, lambda: balancing(redis, lost_dues)),
            _Part(redis, "retention", 300.0, lambda: pruning()),
        ]

    def tick(self) -> None:
        """Do what is due of the regular work; one part's failure doesn't stop the others.

        Raises nothing: what goes wrong is logged and tried again at the next tick.
        """
        close_old_connections()
        if not self._redis.exists(projection.MARKER_KEY):
            for part in self._parts:
                part.hurry()
        for part in self._parts:
            part.go_on()


class _Part:
    """One part of the regular work: how often it is due, and where it was interrupted.

    Work on many rows is a generator that yields wherever it can be interrupted: it goes on at
    the next tick when its time is up.
    """

    def __init__(self, redis: Redis, name: str, every: float, begin: Callable[[], Any]) -> None:
        self._redis = redis
        self._name = name
        self._every = every
        self._begin = begin
        self._next = 0.0
        self._rest: Iterator[None] | None = None

    def hurry(self) -> None:
        """Be due at once."""
        self._next = 0.0

    def go_on(self) -> None:
        """Begin if it is due, or go on from where it was, for `TIME_SLICE` seconds."""
        now = time.monotonic()
        if self._rest is None and now < self._next:
            return
        try:
            if self._rest is None:
                work = self._begin()
                self._rest = work if isinstance(work, Iterator) else iter(())
            for _step in self._rest:
                if time.monotonic() - now >= TIME_SLICE:
                    return
        except ResponseError as error:
            text = key_types.explain(error, self._redis, settings.RQ_QUEUES)
            logger.error("The ledger's work on %s waits for Redis: %s", self._name, text)
        except Exception:
            logger.exception("The ledger's work on %s failed; it is tried again.", self._name)
        self._rest = None
        self._next = time.monotonic() + self._every


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
        until = time.monotonic() + (ROUND_AT_ONCE if self._hurries else TIME_SLICE)
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
    """Project the live rows of which Redis doesn't have what they say, chunk by chunk.

    Which are live isn't asked of the database here, nor wherever rows are read by their keys: it
    may take the index of the status then, and read all live rows for each chunk.
    """
    last, full = 0, True
    rows = ScheduledTask.objects.select_related("calendar").order_by("pk").defer(*NOT_PROJECTED)
    while full:
        chunk = list(rows.filter(pk__gt=last)[:CHUNK])
        full = len(chunk) == CHUNK
        if live := [task for task in chunk if task.is_live]:
            project_all(_out_of_date(live, redis), redis)
        last = chunk[-1].pk if chunk else last
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
    states = ScheduledTask.objects.filter(job_id__in=members).values_list("job_id", "status")
    stray = members - {job_id for job_id, status in states if status in ScheduledTask.LIVE}
    if stray:
        projection.remove(stray, redis)
        # One may have been resumed between the look and the removal.
        again = ScheduledTask.objects.select_related("calendar").filter(job_id__in=stray)
        project_all([task for task in again if task.is_live], redis)


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
        pending = ScheduledTask.objects.select_related("calendar").in_bulk(changed)
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
            if problems[task.pk] != task.problem:
                trace = None if known_kind else error
                logger.error("Schedule “%s” can't be scheduled: %s", task, problem, exc_info=trace)
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
    """Close the books of every live schedule that has to be looked at, as far as complete.

    A due instant of half a minute ago or more without a row, whose job isn't in Redis either, is
    lost: once that is certain, it is run or recorded as missed, by the catch-up policy. A
    schedule without anything left to be due, or to run, is over: `death`.
    """
    for _step in balancing(redis, watch):
        pass


def balancing(redis: Redis, watch: rescue.Watch) -> Iterator[None]:
    """Do what `balance` says, and yield wherever that can be interrupted.

    A schedule is looked at when something of it was due since the last look: its `look_at`
    says when. All others cost nothing.
    """
    to_look_at = ScheduledTask.objects.live().filter(look_at__lte=timezone.now())
    # Not in order: to sort them for each step would cost more than to look at them.
    pks = list(to_look_at.order_by().values_list("pk", flat=True)[:BOOKS_A_ROUND])
    rows = ScheduledTask.objects.select_related("calendar")
    rows = rows.defer("args", "kwargs", "description", "note")
    for chunk in _chunks(pks, BOOKS_AT_ONCE):
        if tasks := [task for task in rows.filter(pk__in=chunk) if task.is_live]:
            _balance_some(tasks, redis, watch)
        yield


@dataclass(slots=True)
class _Look:
    """What a look at a schedule's books has found."""

    task: ScheduledTask
    accounted_until: datetime
    unrecorded: list[datetime]
    all_seen: bool
    next_due: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether everything that was ever due has its row."""
        return self.all_seen and not self.unrecorded and self.next_due is None

    def again_at(self, now: datetime) -> datetime:
        """Return when to look again: soon if something is open, else after the next due.

        After an hour in any case: rows may be changed past the services.
        """
        is_open = self.unrecorded or not self.all_seen or self.next_due is None
        return LOOK_AGAIN + (now if is_open else min(self.next_due or now, now + LOOK_AT_LEAST))


def _balance_some(tasks: list[ScheduledTask], redis: Redis, watch: rescue.Watch) -> None:
    now = timezone.now()
    looks = _look(tasks, now)
    again_at = {task.pk: (task, task.accounted_until, now + LOOK_AT_BROKEN) for task in tasks}
    again_at |= {
        look.task.pk: (look.task, look.accounted_until, look.again_at(now)) for look in looks
    }
    overdue = [
        (look.task, due) for look in looks for due in look.unrecorded if due < now - SETTLING
    ]
    lost_dues: dict[int, list[datetime]] = {}
    for task, due in _not_in_flight(overdue, redis):
        lost_dues.setdefault(task.pk, []).append(due)
    _write_books(again_at.values())
    for look in looks:
        certain = watch.confirmed(lost_dues.get(look.task.pk, ()), look.task.pk)
        if certain:
            _try_to_fill(certain, look.task.pk, redis)
        if look.is_over:
            _end_if_idle(look.task, redis)


def _look(tasks: list[ScheduledTask], now: datetime) -> list[_Look]:
    """Lay what was due beside the rows, of all these schedules at once.

    A schedule whose spec can't be is left out: `reconcile` says so on its row.
    """
    dues: dict[int, list[datetime]] = {}
    next_dues: dict[int, datetime | None] = {}
    for task in tasks:
        with suppress(TasksError, ValueError, TypeError):
            task_spec = task.spec()
            next_dues[task.pk] = spec.next_due(task_spec, now)
            found = spec.dues(task_spec, task.accounted_until, now)
            dues[task.pk] = list(islice(found, DUES_AT_ONCE))
    few = [pk for pk, instants in dues.items() if 0 < len(instants) <= FEW]
    rows = ScheduledTaskInstance.objects.filter(
        parent__in=few, due__gt=F("parent__accounted_until"), due__lte=now
    )
    recorded = set(rows.values_list("parent_id", "due"))
    looks = []
    for task in tasks:
        if task.pk not in dues:
            continue
        mine = dues[task.pk]
        if len(mine) > FEW:
            unrecorded = books.unrecorded(task, mine)
        else:
            unrecorded = [due for due in mine if (task.pk, due) not in recorded]
        complete = mine[: mine.index(unrecorded[0])] if unrecorded else mine
        accounted_until = complete[-1] if complete else task.accounted_until
        all_seen = len(mine) < DUES_AT_ONCE
        looks.append(_Look(task, accounted_until, unrecorded, all_seen, next_dues[task.pk]))
    return looks


def _write_books(entries: Iterable[tuple[ScheduledTask, datetime, datetime]]) -> None:
    """Write for schedules up to when they are accounted and when to look again, in one go.

    What has been changed since it was read is left alone: it will be looked at again.
    """
    sql = (
        f"UPDATE {connection.ops.quote_name(ScheduledTask._meta.db_table)} "
        "SET accounted_until = %s, look_at = %s "
        "WHERE id = %s AND accounted_until = %s AND look_at = %s"
    )
    adapt = connection.ops.adapt_datetimefield_value
    rows = [
        (
            adapt(accounted_until),
            adapt(look_at),
            task.pk,
            adapt(task.accounted_until),
            adapt(task.look_at),
        )
        for task, accounted_until, look_at in entries
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(sql, rows)


def _try_to_fill(dues: list[datetime], schedule_pk: int, redis: Redis) -> None:
    try:
        fill(dues, schedule_pk, redis)
    except (RedisError, Error):
        raise
    except TasksError as error:  # It is on the row as well.
        logger.debug("Lost occurrences of schedule %s wait: %s", schedule_pk, error)
    except Exception:
        logger.exception("Lost occurrences of schedule %s can't be made up for yet.", schedule_pk)


def _end_if_idle(seen: ScheduledTask, redis: Redis) -> None:
    """Declare a schedule over that will never be due again and has no run or retry to come.

    Not if it was changed after it was `seen` to be so.
    """
    with transaction.atomic():
        unchanged = ScheduledTask.objects.live().filter(pk=seen.pk, updated=seen.updated)
        task = unchanged.select_for_update(of=("self",)).first()
        if task is None or not _is_idle(task):
            return
        books.close_period(task, timezone.now(), "The schedule was over.")
        task.status = ScheduledTask.Status.DEATH
        task.save(update_fields=["status", "since", "accounted_until"])
    projection.remove([task.job_id], redis)


def _is_idle(task: ScheduledTask) -> bool:
    if task.runs.running().exists():
        return False
    failed = task.runs.filter(status="failed", attempt__lte=task.retries).select_related("parent")
    return not any(rescue.awaits_retry(run) for run in failed)


def _not_in_flight(
    overdue: list[tuple[ScheduledTask, datetime]], redis: Redis
) -> list[tuple[ScheduledTask, datetime]]:
    """Return those occurrences whose job is neither waiting nor being started."""
    jobs = [(RunId(task.job_id, due).job_id, task.queue) for task, due in overdue]
    states = rescue.in_flight(jobs, redis)
    return [one for one, in_flight in zip(overdue, states, strict=True) if not in_flight]


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
        runs += books.missed_runs(task, reasons)
        if len(runs) >= CHUNK:
            books.write(runs)
            runs = []
    books.write(runs)


def record_missed(task: ScheduledTask, plan: catchup.Plan) -> None:
    """Write the rows of occurrences that will not run; existing rows stay as they are."""
    books.write_missed(task, _reasons(task, plan))


def _reasons(task: ScheduledTask, plan: catchup.Plan) -> dict[datetime, str]:
    late = f"It could not start within its start deadline of {task.start_deadline} s."
    missed = f"It could not be dispatched in time (catch-up: {task.catch_up})."
    return dict.fromkeys(plan.late, late) | dict.fromkeys(plan.missed, missed)


def database_answers() -> bool:
    """Tell whether the database can be asked."""
    try:
        close_old_connections()
        connection.ensure_connection()
    except Error:
        return False
    return True


def prune() -> None:
    """Delete the ended runs that their schedule doesn't keep any more."""
    for _step in pruning():
        pass


def pruning() -> Iterator[None]:
    """Do what `prune` says, and yield wherever that can be interrupted.

    Of occurrences the newest by due instant are kept, without gaps; of runs by hand the newest.
    """
    kept = ScheduledTask.objects.exclude(keep_runs=None, keep_days=None).order_by("pk")
    kept = kept.only("keep_runs", "keep_days", "accounted_until", "pruned_until")
    last = 0
    while tasks := list(kept.filter(pk__gt=last)[:CHUNK]):
        last = tasks[-1].pk
        for task in _with_too_many(tasks):
            yield from _prune_occurrences(task)
            yield from _prune_runs_by_hand(task)
        yield


def _with_too_many(tasks: list[ScheduledTask]) -> list[ScheduledTask]:
    """Return those that may have runs to delete, by counting the runs of all at once."""
    now = timezone.now()
    rows = ScheduledTaskInstance.objects.filter(parent__in=[task.pk for task in tasks]).order_by()
    counts = rows.values_list("parent").annotate(Count("pk"), Count("due"), Min("due"))
    found = {pk: values for pk, *values in counts}
    too_many = []
    for task in tasks:
        number, occurrences, oldest = found.get(task.pk, (0, 0, None))
        by_hand = number - occurrences
        has_more = task.keep_runs is not None and max(occurrences, by_hand) > task.keep_runs
        has_older = task.keep_days is not None and (
            by_hand > 0 or (oldest and oldest < now - timedelta(days=task.keep_days))
        )
        if has_more or has_older:
            too_many.append(task)
    return too_many


def _prune_occurrences(task: ScheduledTask) -> Iterator[None]:
    """Delete the occurrences up to the newest one that isn't kept; first the books say so."""
    occurrences = task.runs.filter(due__lte=task.accounted_until)
    until = _newest_not_kept(task, task.runs.filter(due__isnull=False), "due")
    until = until and min(until, task.accounted_until)
    if until is None:
        return
    if task.pruned_until is None or task.pruned_until < until:
        ScheduledTask.objects.filter(pk=task.pk).update(pruned_until=until)
        task.periods.filter(end__lte=until).delete()
    yield from _delete_in_chunks(occurrences.ended().filter(due__lte=until))


def _prune_runs_by_hand(task: ScheduledTask) -> Iterator[None]:
    by_hand = task.runs.filter(due=None)
    until = _newest_not_kept(task, by_hand, "requested")
    if until is not None:
        yield from _delete_in_chunks(by_hand.ended().filter(requested__lte=until))


def _newest_not_kept(task: ScheduledTask, rows: Any, moment: str) -> datetime | None:
    newest_first = rows.order_by(f"-{moment}").values_list(moment, flat=True)
    found = []
    if task.keep_runs is not None:
        found += newest_first[task.keep_runs : task.keep_runs + 1]
    if task.keep_days is not None:
        cutoff = timezone.now() - timedelta(days=task.keep_days)
        found += newest_first.filter(**{f"{moment}__lt": cutoff})[:1]
    return max(found, default=None)


def _delete_in_chunks(rows: Any) -> Iterator[None]:
    while ids := list(rows.order_by().values_list("id", flat=True)[:CHUNK]):
        ScheduledTaskInstance.objects.filter(id__in=ids).delete()
        yield


def _chunks(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
