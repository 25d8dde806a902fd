"""Settles the ledger: each occurrence that was due has its row."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db import Error, connection, transaction
from django.db.models import F
from django.utils import timezone
from redis import Redis
from redis.exceptions import RedisError

from tasks.broker import projection
from tasks.broker.in_flight import in_flight
from tasks.database import chunks
from tasks.exceptions import TasksError
from tasks.job_ids import RunId
from tasks.ledger import periods
from tasks.ledger.misfires import fill
from tasks.ledger.periods import DUES_AT_ONCE, SETTLING, close_period
from tasks.models import ScheduledTask, ScheduledTaskInstance
from tasks.runs.lost import Watch
from tasks.runs.retries import awaits_retry
from tasks.timing import spec

logger = logging.getLogger(__name__)

# How many schedules' books are looked at in one go: it should not take long.
CHECKED_AT_ONCE = 200
# How many in a round at most; the next one, a second later, goes on with the others.
CHECKED_A_ROUND = 50_000
# The rows of schedules with so few due instants to look at are asked for together.
FEW = 100
# How long after something was due its books are looked at, and how often while they are open.
CHECK_AGAIN = timedelta(seconds=5)
# How long no schedule's books stay unlooked at, and those of a row whose spec can't be.
CHECK_AT_LEAST = timedelta(hours=1)
CHECK_BROKEN = timedelta(minutes=1)


def settle(redis: Redis, watch: Watch) -> None:
    """Close the books of every live schedule that has to be looked at, as far as complete.

    A due instant of half a minute ago or more without a row, whose job isn't in Redis either, is
    lost: once that is certain, it is run or recorded as missed, by the catch-up policy. A
    schedule without anything left to be due, or to run, is over: `death`.
    """
    for _step in settling_steps(redis, watch):
        pass


def settling_steps(redis: Redis, watch: Watch) -> Iterator[None]:
    """Do what `settle` says, and yield wherever that can be interrupted.

    A schedule is looked at when something of it was due since the last look: its `next_check_at`
    says when. All others cost nothing.
    """
    to_check = ScheduledTask.objects.live().filter(next_check_at__lte=timezone.now())
    # Not in order: to sort them for each step would cost more than to look at them.
    pks = list(to_check.order_by().values_list("pk", flat=True)[:CHECKED_A_ROUND])
    rows = ScheduledTask.objects.select_related("calendar")
    rows = rows.defer("args", "kwargs", "description", "note")
    for chunk in chunks(pks, CHECKED_AT_ONCE):
        if schedules := [schedule for schedule in rows.filter(pk__in=chunk) if schedule.is_live]:
            _settle_some(schedules, redis, watch)
        yield


@dataclass(slots=True)
class _Look:
    """What a look at a schedule's books has found."""

    schedule: ScheduledTask
    settled_through: datetime
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
        return CHECK_AGAIN + (now if is_open else min(self.next_due or now, now + CHECK_AT_LEAST))


def _settle_some(schedules: list[ScheduledTask], redis: Redis, watch: Watch) -> None:
    now = timezone.now()
    looks = _look(schedules, now)
    again_at = {
        schedule.pk: (schedule, schedule.settled_through, now + CHECK_BROKEN)
        for schedule in schedules
    }
    again_at |= {
        look.schedule.pk: (look.schedule, look.settled_through, look.again_at(now))
        for look in looks
    }
    overdue = [
        (look.schedule, due) for look in looks for due in look.unrecorded if due < now - SETTLING
    ]
    lost_dues: dict[int, list[datetime]] = {}
    for schedule, due in _not_in_flight(overdue, redis):
        lost_dues.setdefault(schedule.pk, []).append(due)
    _write_settled(again_at.values())
    for look in looks:
        certain = watch.confirmed(lost_dues.get(look.schedule.pk, ()), look.schedule.pk)
        if certain:
            _try_to_fill(certain, look.schedule.pk, redis)
        if look.is_over:
            _end_if_idle(look.schedule, redis)


def _look(schedules: list[ScheduledTask], now: datetime) -> list[_Look]:
    """Lay what was due beside the rows, of all these schedules at once.

    A schedule whose spec can't be is left out: `reconcile` says so on its row.
    """
    dues: dict[int, list[datetime]] = {}
    next_dues: dict[int, datetime | None] = {}
    for schedule in schedules:
        with suppress(TasksError, ValueError, TypeError):
            task_spec = schedule.spec()
            next_dues[schedule.pk] = spec.next_due(task_spec, now)
            found = spec.dues(task_spec, schedule.settled_through, now)
            dues[schedule.pk] = list(islice(found, DUES_AT_ONCE))
    few = [pk for pk, instants in dues.items() if 0 < len(instants) <= FEW]
    rows = ScheduledTaskInstance.objects.filter(
        parent__in=few, due__gt=F("parent__settled_through"), due__lte=now
    )
    recorded = set(rows.values_list("parent_id", "due"))
    looks = []
    for schedule in schedules:
        if schedule.pk not in dues:
            continue
        mine = dues[schedule.pk]
        if len(mine) > FEW:
            unrecorded = periods.unrecorded(schedule, mine)
        else:
            unrecorded = [due for due in mine if (schedule.pk, due) not in recorded]
        complete = mine[: mine.index(unrecorded[0])] if unrecorded else mine
        settled_through = complete[-1] if complete else schedule.settled_through
        all_seen = len(mine) < DUES_AT_ONCE
        looks.append(_Look(schedule, settled_through, unrecorded, all_seen, next_dues[schedule.pk]))
    return looks


def _write_settled(entries: Iterable[tuple[ScheduledTask, datetime, datetime]]) -> None:
    """Write for schedules up to when they are accounted and when to look again, in one go.

    What has been changed since it was read is left alone: it will be looked at again.
    """
    sql = (
        f"UPDATE {connection.ops.quote_name(ScheduledTask._meta.db_table)} "
        "SET settled_through = %s, next_check_at = %s "
        "WHERE id = %s AND settled_through = %s AND next_check_at = %s"
    )
    adapt = connection.ops.adapt_datetimefield_value
    rows = [
        (
            adapt(settled_through),
            adapt(next_check_at),
            schedule.pk,
            adapt(schedule.settled_through),
            adapt(schedule.next_check_at),
        )
        for schedule, settled_through, next_check_at in entries
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
        schedule = unchanged.select_for_update(of=("self",)).first()
        if schedule is None or not _is_idle(schedule):
            return
        close_period(schedule, timezone.now(), "The schedule was over.")
        schedule.status = ScheduledTask.Status.DEATH
        schedule.save(update_fields=["status", "period_start", "settled_through"])
    projection.remove([schedule.job_id], redis)


def _is_idle(schedule: ScheduledTask) -> bool:
    if schedule.runs.running().exists():
        return False
    failed = schedule.runs.filter(status="failed", attempt__lte=schedule.retries).select_related(
        "parent"
    )
    return not any(awaits_retry(run) for run in failed)


def _not_in_flight(
    overdue: list[tuple[ScheduledTask, datetime]], redis: Redis
) -> list[tuple[ScheduledTask, datetime]]:
    """Return those occurrences whose job is neither waiting nor being started."""
    jobs = [(RunId(schedule.job_id, due).job_id, schedule.queue) for schedule, due in overdue]
    states = in_flight(jobs, redis)
    return [one for one, in_flight in zip(overdue, states, strict=True) if not in_flight]
