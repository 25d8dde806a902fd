"""Settles the ledger: each occurrence that was due has its row."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from django.db import Error
from django.db.models import F
from redis import Redis
from redis.exceptions import RedisError

from tasks import clock
from tasks.broker import projection
from tasks.broker.in_flight import in_flight
from tasks.database import CHUNK, atomic, chunks, connection
from tasks.exceptions import TasksError
from tasks.job_ids import RunId
from tasks.ledger.misfires import catch_up_lost
from tasks.ledger.periods import close_period
from tasks.models import MAX_TIMEOUT, ScheduledTask, ScheduledTaskInstance
from tasks.outages import database_outage
from tasks.reasons import Code, reason
from tasks.runs.lost import Watch
from tasks.runs.retries import awaits_retry
from tasks.timing import spec

logger = logging.getLogger(__name__)

# An occurrence whose due is more recent is still on its way to a worker, and not searched for.
SETTLING_TIME = timedelta(seconds=30)
# How many schedules are checked in one step: a step should not take long.
CHECKED_AT_ONCE = 200
# How many are checked in a round at most; the next round, a second later, takes the others.
CHECKED_A_ROUND = 50_000
# How many dues of one schedule are checked at a time.
DUES_AT_ONCE = 10_000
# One query reads the rows of all schedules that have at most this many dues to check.
FEW_DUES = 100
# How long after a due a schedule is checked, and how often while an occurrence has no row.
CHECK_AGAIN = timedelta(seconds=5)
# How long a schedule goes unchecked at most, and how long one with an invalid spec.
CHECK_AT_LEAST = timedelta(hours=1)
CHECK_INVALID = timedelta(minutes=1)
# For how long after a run ended its next attempt may be refused: the longest retry delay, and more.
ANSWERS_READ = timedelta(seconds=MAX_TIMEOUT) + timedelta(days=1)


def settle(redis: Redis, watch: Watch) -> None:
    """Settle every live schedule whose check is due, as far as its occurrences have their rows.

    An occurrence that was due half a minute ago or more, without a row and without a job in
    Redis, is lost: once that is certain, it is run or recorded as missed, by the catch-up policy.
    A schedule that has nothing left to be due, or to run, ends: its status becomes `death`.
    """
    for _step in settling_steps(redis, watch):
        pass


def settling_steps(redis: Redis, watch: Watch) -> Iterator[None]:
    """Do what `settle` does, and yield wherever it can be interrupted.

    A schedule is checked once it was due again after its last check, by its `next_check_at`. All
    others cost nothing.
    """
    to_check = ScheduledTask.objects.live().filter(next_check_at__lte=clock.now())
    # Not in order: to sort them for each step would cost more than to check them.
    pks = list(to_check.order_by().values_list("pk", flat=True)[:CHECKED_A_ROUND])
    database_outage.worked()
    rows = ScheduledTask.objects.select_related("calendar")
    rows = rows.defer("args", "kwargs", "description", "note")
    for chunk in chunks(pks, CHECKED_AT_ONCE):
        if schedules := [schedule for schedule in rows.filter(pk__in=chunk) if schedule.is_live]:
            _settle_some(schedules, redis, watch)
        yield


def end_refused(redis: Redis) -> None:
    """End the live schedules whose function's check has said not at all in their present period."""
    for _step in ending_refused(redis):
        pass


def ending_refused(redis: Redis) -> Iterator[None]:
    """Do what `end_refused` does, and yield wherever it can be interrupted.

    The answers are read through an index of their own: as long as a schedule is live, its check is
    called again. One schedule that can't be ended stops no other.
    """
    answers = ScheduledTaskInstance.objects.filter(
        reason_code=Code.CHECK_NOT_AT_ALL, ended__gt=clock.now() - ANSWERS_READ
    )
    refused: dict[int, datetime] = {}
    for run in answers.only("parent_id", "reason_values"):
        at = datetime.fromisoformat((run.reason_values or {})["at"])
        refused[run.parent_id] = max(at, refused.get(run.parent_id, at))
    for chunk in chunks(refused, CHUNK):
        live = ScheduledTask.objects.live().filter(pk__in=chunk)
        for schedule in live.only("name", "job_id", "period_start", "calendar"):
            if schedule.period_start >= refused[schedule.pk]:
                continue
            try:
                _end_refused(schedule, refused[schedule.pk], redis)
            except (RedisError, Error):
                raise
            except Exception:
                logger.exception("“%s” can't be ended yet, as its check asks.", schedule.name)
            yield


def _end_refused(seen: ScheduledTask, refused: datetime, redis: Redis) -> None:
    with atomic():
        live = ScheduledTask.objects.live().filter(pk=seen.pk, period_start__lt=refused)
        schedule = live.select_for_update(of=("self",)).first()
        if schedule is None:
            return
        schedule.requests.filter(due__isnull=False).delete()
        _end(schedule, Code.SCHEDULE_ENDED)
    logger.warning("“%s” has ended: its check said not at all.", schedule.name)
    projection.remove([schedule.job_id], redis)


@dataclass(slots=True)
class _Check:
    """A check of one schedule: the dues since it was settled, and which of them have no row.

    A schedule with an invalid spec has nothing to check: `reconcile` writes the problem on its row.
    """

    schedule: ScheduledTask
    is_valid: bool = False
    dues: list[datetime] = field(default_factory=list)
    next_due: datetime | None = None
    unrecorded: list[datetime] = field(default_factory=list)

    @property
    def settled_through(self) -> datetime:
        """The last due before the first one without a row."""
        number = self.dues.index(self.unrecorded[0]) if self.unrecorded else len(self.dues)
        return self.dues[number - 1] if number else self.schedule.settled_through

    @property
    def is_complete(self) -> bool:
        """Whether everything that was due by now has its row."""
        return self.is_valid and len(self.dues) < DUES_AT_ONCE and not self.unrecorded

    @property
    def is_exhausted(self) -> bool:
        """Whether everything that will ever be due has its row."""
        return self.is_complete and self.next_due is None

    def next_check_at(self, now: datetime) -> datetime:
        """Return when to check again: soon if a row is still to come, else after the next due.

        After an hour in any case: rows may be changed without the services.
        """
        if not self.is_valid:
            return now + CHECK_INVALID
        if not self.is_complete or self.next_due is None:
            return now + CHECK_AGAIN
        return min(self.next_due, now + CHECK_AT_LEAST) + CHECK_AGAIN


def _settle_some(schedules: list[ScheduledTask], redis: Redis, watch: Watch) -> None:
    now = clock.now()
    checks = _check(schedules, now)
    lost = _find_lost(checks, now, redis)
    _write_settled(checks, now)
    for check in checks:
        schedule = check.schedule
        if certain := watch.confirmed(lost.get(schedule.pk, ()), schedule.pk):
            _try_to_catch_up(certain, schedule.pk, redis)
        if check.is_exhausted:
            _end_if_idle(schedule, redis)


def _check(schedules: list[ScheduledTask], now: datetime) -> list[_Check]:
    """Compare what was due with the rows, for all these schedules at once."""
    checks = [_expected(schedule, now) for schedule in schedules]
    with_few = [check.schedule.pk for check in checks if 0 < len(check.dues) <= FEW_DUES]
    rows = ScheduledTaskInstance.objects.filter(
        parent__in=with_few, due__gt=F("parent__settled_through"), due__lte=now
    )
    recorded = set(rows.values_list("parent_id", "due"))
    for check in checks:
        if len(check.dues) > FEW_DUES:
            check.unrecorded = _unrecorded(check.schedule, check.dues)
        else:
            pk = check.schedule.pk
            check.unrecorded = [due for due in check.dues if (pk, due) not in recorded]
    return checks


def _expected(schedule: ScheduledTask, now: datetime) -> _Check:
    """Return the check of one schedule before its rows are read."""
    try:
        task_spec = schedule.spec()
        dues = spec.dues(task_spec, schedule.settled_through, now)
        return _Check(
            schedule,
            is_valid=True,
            dues=list(islice(dues, DUES_AT_ONCE)),
            next_due=spec.next_due(task_spec, now),
        )
    except (TasksError, ValueError, TypeError):
        return _Check(schedule)


def _unrecorded(schedule: ScheduledTask, dues: list[datetime]) -> list[datetime]:
    """Return which of a schedule's dues, given in order, have no row."""
    rows = schedule.runs.filter(due__gte=dues[0], due__lte=dues[-1])
    recorded = set(rows.values_list("due", flat=True))
    return [due for due in dues if due not in recorded]


def _find_lost(checks: list[_Check], now: datetime, redis: Redis) -> dict[int, list[datetime]]:
    """Return, by schedule, the dues without a row whose job neither waits nor is being started."""
    overdue = [
        (check.schedule, due)
        for check in checks
        for due in check.unrecorded
        if due < now - SETTLING_TIME
    ]
    jobs = [(RunId(schedule.job_id, due).job_id, schedule.queue) for schedule, due in overdue]
    lost: dict[int, list[datetime]] = {}
    for (schedule, due), is_in_flight in zip(overdue, in_flight(jobs, redis), strict=True):
        if not is_in_flight:
            lost.setdefault(schedule.pk, []).append(due)
    return lost


def _write_settled(checks: list[_Check], now: datetime) -> None:
    """Write how far schedules are settled and when to check them again, all at once.

    One that has changed since it was read is left alone: it will be checked again.
    """
    sql = (
        f"UPDATE {connection.ops.quote_name(ScheduledTask._meta.db_table)} "
        "SET settled_through = %s, next_check_at = %s "
        "WHERE id = %s AND settled_through = %s AND next_check_at = %s"
    )
    adapt = connection.ops.adapt_datetimefield_value
    rows = [
        (
            adapt(check.settled_through),
            adapt(check.next_check_at(now)),
            check.schedule.pk,
            adapt(check.schedule.settled_through),
            adapt(check.schedule.next_check_at),
        )
        for check in checks
    ]
    with atomic(), connection.cursor() as cursor:
        cursor.executemany(sql, rows)


def _try_to_catch_up(dues: list[datetime], schedule_pk: int, redis: Redis) -> None:
    try:
        catch_up_lost(dues, schedule_pk, redis)
    except (RedisError, Error):
        raise
    except TasksError as error:  # It is on the row as well.
        logger.debug("Lost occurrences of schedule %s wait: %s", schedule_pk, error)
    except Exception:
        logger.exception("Can't catch up on lost occurrences of schedule %s yet.", schedule_pk)


def _end_if_idle(seen: ScheduledTask, redis: Redis) -> None:
    """End an exhausted schedule, unless it has a run or a retry to come.

    One that has changed since it was `seen` is left alone.
    """
    with atomic():
        unchanged = ScheduledTask.objects.live().filter(pk=seen.pk, updated=seen.updated)
        schedule = unchanged.select_for_update(of=("self",)).first()
        if schedule is None or not _is_idle(schedule):
            return
        _end(schedule, Code.SCHEDULE_ENDED)
    projection.remove([schedule.job_id], redis)


def _end(schedule: ScheduledTask, code: Code) -> None:
    """End a schedule whose row the caller has locked; what it still expects is missed."""
    close_period(schedule, clock.now(), reason(code))
    schedule.status = ScheduledTask.Status.DEATH
    schedule.save(update_fields=["status", "period_start", "settled_through"])


def _is_idle(schedule: ScheduledTask) -> bool:
    if schedule.runs.running().exists():
        return False
    failed = schedule.runs.filter(
        status=ScheduledTaskInstance.Status.FAILED, attempt__lte=schedule.retries
    )
    return not any(awaits_retry(run) for run in failed.select_related("parent"))
